"""The report of a run: its figures, its table and how to get them again, on one page that needs no network."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
import polars as pl
from markupsafe import Markup

from gradflip._errors import FileError
from gradflip._version import __version__
from gradflip.experiments import Plan, folder_settings
from gradflip.report._figures import Figure, lazy_figure
from gradflip.sweep import CellResult, RunFolder, atomic_write

_DIGITS = 3


def write_report(folder: RunFolder) -> Path:
    """Draw the figures of a run and write `report.html`.

    Args:
        folder: A run folder with its tables.

    Returns:
        The page.

    Raises:
        FileError: If the folder has no table or something cannot be written.
    """
    planned = folder_settings(folder)
    results = [result for cell in planned.cells if (result := folder.read(cell)) is not None]
    table = read_table(folder)
    figures, missing = [], []
    for experiment in planned.experiments:
        try:
            figures.append(lazy_figure(experiment, table, planned.settings))
        except ValueError as error:
            missing.append(str(error))
    for figure in figures:
        figure.save(folder.path / "figures")
    page = folder.path / "report.html"
    atomic_write(page, _render(folder, planned, table, results, figures, missing).encode())
    return page


def read_table(folder: RunFolder) -> pl.DataFrame:
    """The table of a run.

    Args:
        folder: A run folder.

    Returns:
        A row per network.

    Raises:
        FileError: If the run has no table yet.
    """
    path = folder.path / "table.parquet"
    if not path.is_file():
        raise FileError(f"{folder.path} has no table.parquet yet; run the experiment to its end first.")
    return pl.read_parquet(path)


def _render(
    folder: RunFolder,
    planned: Plan,
    table: pl.DataFrame,
    results: list[CellResult],
    figures: list[Figure],
    missing: list[str],
) -> str:
    import vl_convert as vlc

    template = resources.files("gradflip.report").joinpath("templates/report.html.j2").read_text()
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = _number
    titles = {experiment.name: experiment for experiment in planned.experiments}
    settings = planned.settings
    options = [f"--{name} {value}" for name, value in _options(planned).items()]
    env = json.loads((folder.path / "env.json").read_text()) if (folder.path / "env.json").is_file() else {}
    return environment.from_string(template).render(
        version=__version__,
        title=", ".join(titles),
        settings=settings.model_dump(),
        figures=[
            {
                "figure": figure,
                "experiment": titles[figure.name],
                "panels": [_embedded(panel) for panel in figure.panels],
                "command": " ".join(["gradflip run", figure.name, *options]),
            }
            for figure in figures
        ],
        missing=missing,
        summary=_summary(table),
        rows=table.sort("width", "C0", "dim", "seed").to_dicts() if len(table) else [],
        failed=[result for result in results if result.status == "failed"],
        total_seconds=sum(result.seconds for result in results),
        peak_memory=max((result.peak_memory_bytes for result in results), default=0),
        slowest=sorted(results, key=lambda result: -result.seconds)[:5],
        cells=len(results),
        env=env,
        script=Markup(vlc.javascript_bundle(snippet="window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")),
    )


def _summary(table: pl.DataFrame) -> dict[str, Any]:
    """The few numbers of the first paragraph."""
    if not len(table):
        return {"networks": 0}
    large = table.filter(pl.col("dim") == table["dim"].max())
    flips = table.select(pl.sum("correct"), pl.sum("flipped"), pl.sum("never"), pl.sum("flat")).row(0, named=True)
    return {
        "networks": len(table),
        "median_test_error": table["test_error"].median(),
        "largest_test_error": table["test_error"].max(),
        "dim": large["dim"][0],
        "relative": large["relative"].median(),
        "relative_sqrt_d": table["relative_sqrt_d"].median(),
        **flips,
    }


def _options(planned: Plan) -> dict[str, Any]:
    """What of the settings a command line must say."""
    settings = planned.settings
    shown: dict[str, Any] = {"data": settings.data, "preset": settings.preset}
    if settings.classes != (0, 1):
        shown["classes"] = ",".join(map(str, settings.classes))
    for name, default in (("protocol", "text"), ("seeds", None), ("seed", 0), ("device", "cpu")):
        if getattr(settings, name) != default:
            shown[name] = getattr(settings, name)
    return shown


def _embedded(panel: alt.LayerChart | alt.FacetChart) -> Any:
    """A chart as JSON for a script element: no sequence in it can close the element."""
    text = (
        json
        .dumps(panel.to_dict(validate=False))
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026")
    )
    return Markup(text)


def _number(value: Any) -> str:
    """A number as a reader wants it: three digits, a dash for what does not exist."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.{_DIGITS}g}"
