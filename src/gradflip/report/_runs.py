"""A run folder, read and drawn: its tables, figures, findings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gradflip._errors import FileError
from gradflip.claims import Finding, find
from gradflip.drawing import Figure, Table
from gradflip.experiments import Family, Plan, plan_of
from gradflip.sweep import CellResult, RunFolder


@dataclass(frozen=True)
class DrawnRun:
    """A run folder, read and drawn."""

    folder: RunFolder
    plan: Plan
    table: pl.DataFrame
    observations: pl.DataFrame
    results: list[CellResult]
    figures: dict[str, Figure]
    missing: list[str]

    @property
    def name(self) -> str:
        """A name that distinguishes this run from others."""
        settings = self.plan.settings
        if not self.plan.uses_data:
            seeds = f"{settings.seeds} seeds from" if settings.seeds else "seed"
            networks = ", ".join(family.networks for family in self.families)
            return f"{networks}, {settings.preset}, {seeds} {settings.seed}"
        classes = f"{settings.classes[0]}/{settings.classes[1]}"
        relevant = any("protocol" in family.settings for family in self.plan.families)
        return f"{settings.data} {classes}, {settings.preset}" + (f", {settings.protocol}" if relevant else "")

    @property
    def families(self) -> tuple[Family, ...]:
        """The families of its experiments."""
        return self.plan.families


def read_run(folder: RunFolder) -> DrawnRun:
    """Read a run folder and draw the figures of its experiments.

    Args:
        folder: A run folder with its tables.

    Returns:
        The run; `missing` says what could not be drawn.
    """
    plan = plan_of(folder)
    table, observations = read_table(folder), read_table(folder, "observations")
    planned = [result for cell in plan.cells if (result := folder.read(cell)) is not None]
    results = planned or folder.results()  # another version planned other cells: use those in the folder
    figures, missing = {}, []
    for experiment in plan.experiments:
        try:
            figures[experiment.name] = experiment.draw(table, observations, plan.settings)
        except ValueError as error:
            missing.append(str(error))
    return DrawnRun(folder, plan, table, observations, results, figures, missing)


def read_table(folder: RunFolder, name: str = "table") -> pl.DataFrame:
    """Read a table of a run.

    Args:
        folder: A run folder.
        name: `"table"`, a row per network, or `"observations"`, a row per network and test image.

    Returns:
        The table. One of gradflip 0.1 lacks the column `measure`, which selects rows; it is read from the cells.

    Raises:
        FileError: If the run has no table yet, or an old one whose cells are gone.
    """
    path = folder.path / f"{name}.parquet"
    if path.is_file():
        table = pl.read_parquet(path)
        return table if "measure" in table.columns else _from_cells(folder, path, len(table))
    if name == "observations":
        return pl.DataFrame()
    raise FileError(f"{folder.path} has no {path.name} yet; run the experiment to its end first.")


def _from_cells(folder: RunFolder, path: Path, length: int) -> pl.DataFrame:
    rows, observations = folder.tables(plan_of(folder).cells)
    table = rows if path.stem == "table" else observations
    if len(table) != length:
        raise FileError(
            f"{path} has no column 'measure' and its cells hold {len(table)} of its {length} rows; "
            "run the experiment again to its end, which takes over what is there."
        )
    return table


def findings(run: Plan, table: pl.DataFrame) -> list[tuple[str, str, Finding]]:
    """Evaluate the claims of a run's experiments on its table.

    Args:
        run: The plan of the run.
        table: A row per network.

    Returns:
        Triples (experiment, curve in words, finding).
    """
    judged = []
    for experiment in run.experiments:
        rows = experiment.select(table, run.settings)
        for claim in experiment.claims:
            for finding in find(claim, rows, experiment.curve):
                judged.append((experiment.name, _curve(finding), finding))
    return judged


def listings(run: Plan, table: pl.DataFrame) -> list[Table]:
    """The tables of a run for its page, family by family.

    Args:
        run: The plan of the run.
        table: Its table.

    Returns:
        The tables; none of a family without rows.
    """
    tables = []
    for family in run.families:
        own = [experiment for experiment in run.experiments if experiment.family is family]
        tables += family.load_chapter().tables(own, run.settings, table)
    return tables


def _curve(finding: Finding) -> str:
    """Name the curve of a finding: words speak for themselves, numbers need the name of their column."""
    if isinstance(finding.curve, str):
        return finding.curve
    return f"{'m' if finding.by == 'width' else finding.by} = {finding.curve:g}"
