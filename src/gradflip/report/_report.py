"""The report of one run or several: claims, figures, a gallery, how to get them again; one page, no network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
from markupsafe import Markup

from gradflip._errors import FileError
from gradflip._version import __version__
from gradflip.claims import Finding, find
from gradflip.drawing import Chart, Figure, Table, number
from gradflip.experiments import Experiment, LazyExperiment, Plan, Settings, folder_settings
from gradflip.experiments._chapter import Chapter
from gradflip.report._chapters import CHAPTERS
from gradflip.report._draw import draw
from gradflip.report._gallery import gallery
from gradflip.sweep import CellResult, RunFolder, atomic_write


@dataclass(frozen=True)
class _Run:
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
        """What sets this run apart from others."""
        settings = self.plan.settings
        if not self.plan.uses_data:
            seeds = f"{settings.seeds} seeds from" if settings.seeds else "seed"
            return f"random networks, {settings.preset}, {seeds} {settings.seed}"
        classes = f"{settings.classes[0]}/{settings.classes[1]}"
        heeded = any("protocol" in family.settings for family in self.plan.families)
        return f"{settings.data} {classes}, {settings.preset}" + (f", {settings.protocol}" if heeded else "")

    @property
    def chapters(self) -> list[Chapter]:
        """Those of its families."""
        return [CHAPTERS[family.name] for family in self.plan.families]


def write_report(folders: Sequence[RunFolder], page: Path | None = None) -> Path:
    """Draw the figures of runs and write a page about them.

    Args:
        folders: Run folders with their tables; several are compared.
        page: The page; `report.html` in the folder of a single run, `comparison.html` in the first of several.

    Returns:
        The page.

    Raises:
        FileError: If a folder has no table or something cannot be written.
    """
    runs = [_read(folder) for folder in folders]
    for run in runs:
        _save(run)
    page = page or folders[0].path / ("report.html" if len(folders) == 1 else "comparison.html")
    atomic_write(page, _render(runs).encode())
    return page


def write_figures(folder: RunFolder) -> list[Path]:
    """Draw the figures of a run again, in all their forms.

    Args:
        folder: A run folder with its tables.

    Returns:
        The pictures as PNG.

    Raises:
        FileError: If the folder has no table or something cannot be written.
    """
    run = _read(folder)
    _save(run)
    return [folder.path / "figures" / f"{name}.png" for name in run.figures]


def read_table(folder: RunFolder, name: str = "table") -> pl.DataFrame:
    """A table of a run.

    Args:
        folder: A run folder.
        name: `"table"`, a row per network, or `"observations"`, a row per network and test image.

    Returns:
        The table. One that gradflip 0.1 wrote has no column `measure` to select rows by: it is read from the cells.

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
    rows, observations = folder.tables(folder_settings(folder).cells)
    table = rows if path.stem == "table" else observations
    if len(table) != length:
        raise FileError(
            f"{path} has no column 'measure' and its cells hold {len(table)} of its {length} rows; "
            "run the experiment again to its end, which takes over what is there."
        )
    return table


def findings(run: Plan, table: pl.DataFrame) -> list[tuple[str, str, Finding]]:
    """What the rows of a run say to the claims of its experiments.

    Args:
        run: The plan of the run.
        table: A row per network.

    Returns:
        (experiment, curve in words, finding) for each.
    """
    found = []
    for experiment in run.experiments:
        rows = experiment.select(table, run.settings) if len(table) else table
        for claim in experiment.claims:
            for finding in find(claim, rows, experiment.curve):
                found.append((experiment.name, _curve(finding), finding))
    return found


def listings(run: Plan, table: pl.DataFrame) -> list[Table]:
    """The tables of a run as a reader wants them: one of all trained networks, one per experiment on random ones.

    Args:
        run: The plan of the run.
        table: Its table.

    Returns:
        A listing each; none of a family without rows.
    """
    return [listing for family in run.families for listing in CHAPTERS[family.name].listings(run, table)]


def _curve(finding: Finding) -> str:
    """Return which curve a finding is about: words say it themselves, numbers need a name."""
    if isinstance(finding.curve, str):
        return finding.curve
    return f"{'m' if finding.by == 'width' else finding.by} = {finding.curve:g}"


def _read(folder: RunFolder) -> _Run:
    plan = folder_settings(folder)
    table, observations = read_table(folder), read_table(folder, "observations")
    planned = [result for cell in plan.cells if (result := folder.read(cell)) is not None]
    results = planned or folder.results()  # a run of another version: its own cells
    figures, missing = {}, []
    for experiment in plan.experiments:
        try:
            figures[experiment.name] = draw(experiment, table, observations, plan.settings)
        except ValueError as error:
            missing.append(str(error))
    return _Run(folder, plan, table, observations, results, figures, missing)


def _save(run: _Run) -> None:
    for figure in run.figures.values():
        figure.save(run.folder.path / "figures")


def _render(runs: list[_Run]) -> str:
    import vl_convert as vlc

    templates = resources.files("gradflip.report").joinpath("templates")
    pages = {entry.name: entry.read_text() for entry in templates.iterdir() if entry.name.endswith(".html.j2")}
    families = resources.files("gradflip.experiments")
    for family in CHAPTERS:
        pages[f"{family}.html.j2"] = families.joinpath(family, "chapter.html.j2").read_text()
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(pages),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "math": _math, "prose": _prose}
    chapters = list({chapter.subject: chapter for run in runs for chapter in run.chapters}.values())
    experiments = list(dict.fromkeys(name for run in runs for name in run.figures))
    bundle = vlc.javascript_bundle(snippet="window.vegaEmbed = vegaEmbed;")
    return environment.get_template("report.html.j2").render(
        version=__version__,
        subjects=[chapter.subject for chapter in chapters],
        runs=[_about(run) for run in runs],
        claims=_claims(runs),
        theory=[
            {"template": chapter.template, "known": chapter.theory([chapter.rows(run.table) for run in runs])}
            for chapter in chapters
        ],
        choices=_choices(runs, chapters),
        sections=[
            {
                "experiment": experiment,
                "figure": run.figures[name],
                "curves": run.figures[name].curve,
                "held": _held(experiment, run.plan.settings),
                "panels": [
                    {"spec": _embedded(panel), "at": run.figures[name].at[i] if run.figures[name].at else {}}
                    for i, panel in enumerate(run.figures[name].panels)
                ],
                "command": " ".join(["gradflip run", name, *_options(experiment, run.plan.settings)]),
                "run": run.name,
                "first": run is next(other for other in runs if name in other.figures),
            }
            for name in experiments
            for run in runs
            for experiment in run.plan.experiments
            if experiment.name == name and name in run.figures
        ],
        exhibits=gallery(runs[0].observations),
        script=Markup(bundle.replace("</script", "<\\/script")),
        page_script=Markup(templates.joinpath("report.js").read_text()),
    )


def _about(run: _Run) -> dict[str, Any]:
    """Everything that the page says of one run."""
    env_file = run.folder.path / "env.json"
    return {
        "name": run.name,
        "experiments": [experiment.name for experiment in run.plan.experiments],
        "settings": run.plan.spec["settings"],
        "chapters": [
            {"template": chapter.template, "summary": chapter.summary(chapter.rows(run.table))}
            for chapter in run.chapters
        ],
        "missing": run.missing,
        "listings": listings(run.plan, run.table),
        "failed": [result for result in run.results if result.status == "failed"],
        "results": sorted(run.results, key=lambda result: -result.seconds),
        "seconds": sum(result.seconds for result in run.results),
        "peak_memory": max((result.peak_memory_bytes for result in run.results), default=0),
        "env": json.loads(env_file.read_text()) if env_file.is_file() else {},
    }


def _claims(runs: list[_Run]) -> list[dict[str, Any]]:
    """A row per claim and curve, with the finding of each run."""
    rows: dict[tuple[str, Any, str], list[Finding | None]] = {}
    at: dict[str, dict[str, float]] = {}
    for i, run in enumerate(runs):
        for experiment in run.plan.experiments:
            at[experiment.name] = _held(experiment, run.plan.settings)
        for name, curve, finding in findings(run.plan, run.table):
            rows.setdefault((name, finding.claim, curve), [None] * len(runs))[i] = finding
    return [
        {
            "experiment": name,
            "claim": claim,
            "curve": curve,
            "found": found,
            "claimed": claim.words,
            "at": at[name] | {finding.by: finding.curve for finding in found if finding},
            "judged": claim.judged,
        }
        for (name, claim, curve), found in rows.items()
    ]


def _options(experiment: Experiment, settings: Settings) -> list[str]:
    """What of the settings a command line must say to run this experiment alike."""
    shown: dict[str, Any] = {"data": settings.data, "preset": settings.preset}
    if settings.classes != (0, 1):
        shown["classes"] = ",".join(map(str, settings.classes))
    for name, default in (("protocol", "text"), ("seeds", None), ("seed", 0), ("device", "cpu")):
        if getattr(settings, name) != default:
            shown[name] = getattr(settings, name)
    return [f"--{name} {value}" for name, value in shown.items() if name in experiment.family.settings]


def _held(experiment: Experiment, settings: Settings) -> dict[str, float]:
    """Width and C0 of all networks of a figure, where they have one in common."""
    if not isinstance(experiment, LazyExperiment):
        return {}
    grid = experiment.grid(settings)
    values: dict[str, tuple[int, ...]] = {"width": grid.widths, "C0": grid.C0s}
    return {name: float(own[0]) for name, own in values.items() if len(own) == 1}


def _choices(runs: list[_Run], chapters: list[Chapter]) -> list[dict[str, Any]]:
    """What a reader may choose the networks by, the columns of which there are several values."""
    found = []
    for chapter in chapters:
        tables = [rows for run in runs if len(rows := chapter.rows(run.table))]
        for name, title in chapter.choices.items():
            values = {value for rows in tables if name in rows.columns for value in rows[name].drop_nulls()}
            if len(values) > 1:
                at = [value if isinstance(value, str) else f"{value:g}" for value in sorted(values)]
                found.append({"column": name, "title": title, "at": at})
    return found


def _embedded(panel: Chart) -> Markup:
    """Return a chart as JSON for a script element: no sequence in it can close the element."""
    text = json.dumps(panel.to_dict(validate=False))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _math(latex: str) -> Markup:
    """Return a formula as MathML."""
    from latex2mathml.converter import convert

    return Markup(convert(latex))


def _prose(text: str) -> Markup:
    """Return text with the formulas between its dollars as MathML."""
    parts = text.split("$")
    return Markup("").join(_math(part) if i % 2 else Markup.escape(part) for i, part in enumerate(parts))
