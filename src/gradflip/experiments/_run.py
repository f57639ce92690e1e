"""A run: what is to be computed, the folder it goes to, and the tables made from it."""

from __future__ import annotations

import logging
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pydantic

from gradflip._errors import FileError
from gradflip._version import __version__
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._family import Family
from gradflip.experiments._log import logged_to
from gradflip.experiments._registry import named
from gradflip.experiments._settings import Settings
from gradflip.sweep import Cell, Progress, RunFolder, RunSummary, run_cells

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What a run will compute.

    Attributes:
        experiments: Which experiments it serves.
        settings: The user's choice.
        cells: What is computed, each trajectory or ensemble once.
    """

    experiments: tuple[Experiment, ...]
    settings: Settings
    cells: tuple[Cell, ...]

    @property
    def families(self) -> tuple[Family, ...]:
        """Those of its experiments, each once."""
        return _families(self.experiments)

    def cells_of(self, family: Family) -> tuple[Cell, ...]:
        """Those of its cells that are of a family.

        Args:
            family: Which.

        Returns:
            Cells, in order.
        """
        own = {cell.measure for e in self.experiments if e.family is family for cell in e.cells(self.settings)}
        return tuple(cell for cell in self.cells if cell.measure in own)

    @property
    def uses_data(self) -> bool:
        """Whether any cell reads a data set."""
        return any(family.uses_data for family in self.families)

    @property
    def spec(self) -> dict[str, Any]:
        """What `spec.toml` holds: everything that decides the rows, and nothing that does not."""
        heeded = {name for family in self.families for name in family.settings}
        chosen = self.settings.model_dump(exclude_none=True, include=heeded)
        if "classes" in chosen:
            chosen["classes"] = list(chosen["classes"])
        return {
            "experiments": [experiment.name for experiment in self.experiments],
            "settings": chosen,
            "versions": {"gradflip": __version__} | {cell.measure.name: cell.measure.version for cell in self.cells},
        }

    @property
    def default_folder(self) -> Path:
        """Where the run goes if nothing is said."""
        names = [experiment.name for experiment in self.experiments]
        shown = []
        for paper in dict.fromkeys(name.split("-")[0] for name in names):
            own = [name for name in names if name.split("-")[0] == paper]
            shown += [paper] if own == [experiment.name for experiment in named([paper])] else own
        data = f"-{self.settings.data}" if self.uses_data else ""
        protocol = "-published" if self.uses_data and self.settings.protocol == "published" else ""
        return Path("runs") / f"{'+'.join(shown)}{data}-{self.settings.preset}{protocol}"


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        folder: Where everything is.
        summary: How many cells were computed, and which failed.
        rows: Rows in the table.
    """

    folder: RunFolder
    summary: RunSummary
    rows: int


def plan(names: Sequence[str], settings: Settings) -> Plan:
    """What a run of these experiments computes; trajectories that several of them need are computed once.

    Args:
        names: Experiments or papers.
        settings: The user's choice.

    Returns:
        A plan.

    Raises:
        UsageError: If there is no such experiment.
    """
    experiments = named(names)
    cells: list[Cell] = []
    for family in _families(experiments):
        own = [experiment for experiment in experiments if experiment.family is family]
        cells += family.merge([cell for experiment in own for cell in experiment.cells(settings)])
    return Plan(tuple(experiments), settings, tuple(cells))


def run(
    planned: Plan,
    out: Path,
    *,
    workers: int = 1,
    force: bool = False,
    report: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Compute what is not yet in the folder, and write its tables.

    Args:
        planned: What.
        out: The run folder; one that holds the same run is gone on with.
        workers: Processes; each cell is computed on one thread whatever their number, so that rows are the same.
        force: Throw away what is in the run folder.
        report: Called with the progress.

    Returns:
        The folder and what happened.

    Raises:
        UsageError: If the folder holds another run.
        FileError: If something cannot be read or written.
        KeyboardInterrupt: If interrupted; what was computed is kept.
    """
    folder = RunFolder.create(out, planned.spec, force=force)
    folder.write_env(environment())
    with logged_to(out / "log.jsonl"):
        names = ", ".join(experiment.name for experiment in planned.experiments)
        logger.info("%s: %d cells, %d workers", names, len(planned.cells), workers)
        try:
            summary = run_cells(planned.cells, folder, workers=workers, report=report)
        except KeyboardInterrupt:
            logger.info("interrupted")
            raise
        for result in summary.failed:
            logger.error("cell %s failed (%s): %s", result.cell.hash, result.cell.label, result.reason)
        rows = folder.write_tables(planned.cells)
        logger.info("%d computed, %d taken over, %d rows", summary.done, summary.skipped, rows)
    return Outcome(folder, summary, rows)


def folder_settings(folder: RunFolder) -> Plan:
    """The plan that a run folder was made by, read back from its `spec.toml`.

    Args:
        folder: A run folder.

    Returns:
        Its plan.

    Raises:
        FileError: If this version of gradflip cannot read it.
    """
    try:
        return plan(folder.spec["experiments"], Settings(**folder.spec["settings"]))
    except (KeyError, TypeError, ValueError, pydantic.ValidationError) as error:
        raise FileError(f"{folder.path / 'spec.toml'} is not of this version of gradflip: {error}.") from error


def prepare_data(settings: Settings, data_dir: Path | None) -> None:
    """Load the data once before any cell does: find them, fetch them if need be, and check them.

    Args:
        settings: Which data.
        data_dir: Where to look; handed on to the workers as `$GRADFLIP_DATA`, so that no cell depends on a path.

    Raises:
        UsageError: If the classes do not exist.
        FileError: If a file is missing, damaged, or cannot be fetched.
    """
    from gradflip.data import load_data

    load_data(settings.data, settings.classes, data_dir=data_dir)
    if data_dir is not None:
        os.environ["GRADFLIP_DATA"] = str(data_dir.resolve())


def environment() -> dict[str, Any]:
    """What the numbers may depend on besides the settings: versions and machine.

    Returns:
        JSON values by name.
    """
    packages = ("torch", "numpy", "scipy", "polars", "altair")
    return {
        "gradflip": __version__,
        "python": sys.version.split()[0],
        **{name: metadata.version(name) for name in packages},
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _families(experiments: Sequence[Experiment]) -> tuple[Family, ...]:
    by_name = {experiment.family.name: experiment.family for experiment in experiments}
    return tuple(by_name.values())


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
