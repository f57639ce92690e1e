"""The report of one run or several: claims, figures, a gallery, how to get them again; one page, no network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
import polars as pl
from markupsafe import Markup

from gradflip._errors import FileError
from gradflip._version import __version__
from gradflip.claims import Finding, find
from gradflip.experiments import Experiment, Plan, Settings, folder_settings
from gradflip.report._draw import draw
from gradflip.report._figures import Figure
from gradflip.report._gallery import gallery
from gradflip.sweep import CellResult, RunFolder, atomic_write
from gradflip.theory import smallest_covered_dim, width_window


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
        classes = f"{settings.classes[0]}/{settings.classes[1]}"
        return f"{settings.data} {classes}, {settings.preset}, {settings.protocol}"


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
        The table.

    Raises:
        FileError: If the run has no table yet.
    """
    path = folder.path / f"{name}.parquet"
    if path.is_file():
        return pl.read_parquet(path)
    if name == "observations":
        return pl.DataFrame()
    raise FileError(f"{folder.path} has no {path.name} yet; run the experiment to its end first.")


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
            for finding in find(claim, rows, experiment.curves):
                curve = {"width": "m", "C0": "C0"}[finding.by]
                found.append((experiment.name, f"{curve} = {finding.curve:g}", finding))
    return found


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
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    environment.filters["math"] = _math
    experiments = list(dict.fromkeys(name for run in runs for name in run.figures))
    bundle = vlc.javascript_bundle(snippet="window.vegaEmbed = vegaEmbed;")
    return environment.from_string(templates.joinpath("report.html.j2").read_text()).render(
        version=__version__,
        runs=[_about(run) for run in runs],
        claims=_claims(runs),
        window=_window(runs),
        choices=_choices(runs),
        sections=[
            {
                "experiment": experiment,
                "figure": run.figures[name],
                "curves": experiment.curves if experiment.drawn == "against-dim" else "seed",
                "held": _held(experiment, run.plan.settings),
                "panels": [_embedded(panel) for panel in run.figures[name].panels],
                "command": " ".join(["gradflip run", name, *_options(run.plan)]),
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
    table = run.table
    return {
        "name": run.name,
        "experiments": [experiment.name for experiment in run.plan.experiments],
        "settings": run.plan.settings.model_dump(exclude_none=True),
        "summary": _summary(table),
        "missing": run.missing,
        "rows": table.sort("normalize", "width", "C0", "dim", "seed").to_dicts() if len(table) else [],
        "failed": [result for result in run.results if result.status == "failed"],
        "results": sorted(run.results, key=lambda result: -result.seconds),
        "seconds": sum(result.seconds for result in run.results),
        "peak_memory": max((result.peak_memory_bytes for result in run.results), default=0),
        "env": json.loads(env_file.read_text()) if env_file.is_file() else {},
    }


def _summary(table: pl.DataFrame) -> dict[str, Any]:
    """The few numbers of the first paragraph."""
    if not len(table):
        return {"networks": 0}
    large = table.filter(pl.col("dim") == table["dim"].max())
    flips = table.select(pl.sum("correct"), pl.sum("flipped"), pl.sum("never"), pl.sum("flat")).row(0, named=True)
    return {
        "networks": len(table),
        "stayed": int((table["stopped_because"] == "max-epochs").sum()),
        "median_test_error": table["test_error"].median(),
        "largest_test_error": table["test_error"].max(),
        "dim": large["dim"][0],
        "relative": large["relative"].median(),
        "relative_sqrt_d": table["relative_sqrt_d"].median(),
        **flips,
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
            "claimed": _claimed(claim),
            "at": at[name] | {finding.by: finding.curve for finding in found if finding},
            "judged": claim.value is not None,
        }
        for (name, claim, curve), found in rows.items()
    ]


def _claimed(claim: Any) -> str:
    what = {"exponent": "exponent in d", "grows-with-C0": "exponent in C0", "variation": "coefficient of variation"}
    if claim.value is None:
        return what[claim.kind]
    return f"{what[claim.kind]} {'above 0' if claim.kind == 'grows-with-C0' else f'{claim.value:g} ± 0.1'}"


def _window(runs: list[_Run]) -> dict[str, Any]:
    """Whether Theorem 3.1 covers any of the networks, its constants being 1."""
    dims = sorted({dim for run in runs if len(run.table) for dim in run.table["dim"].to_list()})
    covered = [dim for dim in dims if not width_window(dim).empty]
    return {"dims": dims, "covered": covered, "from": smallest_covered_dim()}


def _options(plan: Plan) -> list[str]:
    """What of the settings a command line must say."""
    settings = plan.settings
    shown: dict[str, Any] = {"data": settings.data, "preset": settings.preset}
    if settings.classes != (0, 1):
        shown["classes"] = ",".join(map(str, settings.classes))
    for name, default in (("protocol", "text"), ("seeds", None), ("seed", 0), ("device", "cpu")):
        if getattr(settings, name) != default:
            shown[name] = getattr(settings, name)
    return [f"--{name} {value}" for name, value in shown.items()]


def _held(experiment: Experiment, settings: Settings) -> dict[str, float]:
    """Width and C0 of all networks of a figure, where they have one in common."""
    grid = experiment.grid(settings)
    values: dict[str, tuple[int, ...]] = {"width": grid.widths, "C0": grid.C0s}
    return {name: float(own[0]) for name, own in values.items() if len(own) == 1}


def _choices(runs: list[_Run]) -> list[dict[str, Any]]:
    """What a reader may choose the networks by, the columns of which there are several values."""
    tables = [run.table for run in runs if len(run.table)]
    titles = {"width": "width m", "C0": "C0"}
    values = {name: sorted({f"{value:g}" for table in tables for value in table[name]}, key=float) for name in titles}
    return [{"column": name, "title": titles[name], "at": at} for name, at in values.items() if len(at) > 1]


def _embedded(panel: alt.LayerChart | alt.FacetChart) -> Markup:
    """Return a chart as JSON for a script element: no sequence in it can close the element."""
    text = json.dumps(panel.to_dict(validate=False))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _math(latex: str) -> Markup:
    """Return a formula as MathML."""
    from latex2mathml.converter import convert

    return Markup(convert(latex))


def _number(value: Any) -> str:
    """Return a number as a reader wants it: three digits, a dash for what does not exist."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.3g}"
