"""The report on one or several runs: claims, figures, a gallery, commands to reproduce them; it works offline."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from gradflip._atomic import atomic_write
from gradflip._version import __version__
from gradflip.claims import Finding
from gradflip.drawing import Chart, number
from gradflip.experiments import Experiment, Family, Settings
from gradflip.report._gallery import gallery
from gradflip.report._runs import DrawnRun, findings, listings, read_run
from gradflip.sweep import RunFolder


def write_report(folders: Sequence[RunFolder], page: Path | None = None) -> Path:
    """Draw the figures of runs and write a page about them.

    Args:
        folders: Run folders with their tables; several are compared.
        page: Where to write it; by default `report.html` in the folder of a single run, `comparison.html` in the first
            of several.

    Returns:
        Where the page is.

    Raises:
        FileError: If a folder has no table or something cannot be written.
    """
    runs = [read_run(folder) for folder in folders]
    for run in runs:
        _save(run)
    page = page or folders[0].path / ("report.html" if len(folders) == 1 else "comparison.html")
    atomic_write(page, _render(runs).encode())
    return page


def write_figures(folder: RunFolder) -> list[Path]:
    """Draw the figures of a run again, in all formats.

    Args:
        folder: A run folder with its tables.

    Returns:
        The PNG files.

    Raises:
        FileError: If the folder has no table or something cannot be written.
    """
    run = read_run(folder)
    _save(run)
    return [folder.path / "figures" / f"{name}.png" for name in run.figures]


def _save(run: DrawnRun) -> None:
    for figure in run.figures.values():
        figure.save(run.folder.path / "figures")


def _render(runs: list[DrawnRun]) -> str:
    templates = resources.files("gradflip.report").joinpath("templates")
    pages = {entry.name: entry.read_text() for entry in templates.iterdir() if entry.name.endswith(".html.j2")}
    families = list({family.name: family for run in runs for family in run.families}.values())
    pages |= {_template(family): family.template for family in families}
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(pages),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "math": _math, "prose": _prose}
    return environment.get_template("report.html.j2").render(
        version=__version__,
        subjects=[family.subject for family in families],
        runs=[_about(run) for run in runs],
        claims=_claims(runs),
        theory=[
            {
                "template": _template(family),
                "known": family.load_chapter().theory([family.rows(run.table) for run in runs]),
            }
            for family in families
        ],
        choices=_choices(runs, families),
        sections=_sections(runs),
        exhibits=gallery(runs[0].observations),
        script=Markup(_drawing_library()),
        page_script=Markup(templates.joinpath("report.js").read_text()),
    )


@functools.cache
def _drawing_library() -> str:
    """The JavaScript that draws the charts; to bundle it takes more than a second."""
    import vl_convert as vlc

    bundle: str = vlc.javascript_bundle(snippet="window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", "<\\/script")


def _template(family: Family) -> str:
    return f"{family.name}.html.j2"


def _sections(runs: list[DrawnRun]) -> list[dict[str, Any]]:
    """A section per figure and run, the runs of a figure one after another."""
    names = dict.fromkeys(name for run in runs for name in run.figures)
    return [
        _section(experiment, run, first=run is next(other for other in runs if name in other.figures))
        for name in names
        for run in runs
        for experiment in run.plan.experiments
        if experiment.name == name and name in run.figures
    ]


def _section(experiment: Experiment, run: DrawnRun, *, first: bool) -> dict[str, Any]:
    figure, settings = run.figures[experiment.name], run.plan.settings
    return {
        "experiment": experiment,
        "figure": figure,
        "curves": figure.curve,
        "held": experiment.held(settings),
        "panels": [
            {"spec": _embedded(panel), "at": figure.at[i] if figure.at else {}} for i, panel in enumerate(figure.panels)
        ],
        "command": " ".join(["gradflip run", experiment.name, *_options(experiment, settings)]),
        "run": run.name,
        "first": first,
    }


def _about(run: DrawnRun) -> dict[str, Any]:
    """Everything that the page says about one run."""
    env_file = run.folder.path / "env.json"
    return {
        "name": run.name,
        "experiments": [experiment.name for experiment in run.plan.experiments],
        "settings": run.plan.spec["settings"],
        "chapters": [
            {"template": _template(family), "summary": family.load_chapter().summary(family.rows(run.table))}
            for family in run.families
        ],
        "missing": run.missing,
        "listings": listings(run.plan, run.table),
        "failed": [result for result in run.results if result.status == "failed"],
        "results": sorted(run.results, key=lambda result: -result.seconds),
        "seconds": sum(result.seconds for result in run.results),
        "peak_memory": max((result.peak_memory_bytes for result in run.results), default=0),
        "env": json.loads(env_file.read_text()) if env_file.is_file() else {},
    }


def _claims(runs: list[DrawnRun]) -> list[dict[str, Any]]:
    """A row per claim and curve, with the finding of each run."""
    rows: dict[tuple[str, Any, str], list[Finding | None]] = {}
    at: dict[str, dict[str, float]] = {}
    for i, run in enumerate(runs):
        for experiment in run.plan.experiments:
            at[experiment.name] = experiment.held(run.plan.settings)
        for name, curve, finding in findings(run.plan, run.table):
            rows.setdefault((name, finding.claim, curve), [None] * len(runs))[i] = finding
    return [
        {
            "experiment": name,
            "claim": claim,
            "curve": curve,
            "findings": own,
            "claimed": claim.words,
            "at": at[name] | {finding.by: finding.curve for finding in own if finding},
            "judged": claim.judged,
        }
        for (name, claim, curve), own in rows.items()
    ]


def _options(experiment: Experiment, settings: Settings) -> list[str]:
    """The command-line options that run this experiment with the same settings."""
    shown: dict[str, Any] = {"data": settings.data, "preset": settings.preset}
    if settings.classes != (0, 1):
        shown["classes"] = ",".join(map(str, settings.classes))
    for name, default in (("protocol", "text"), ("seeds", None), ("seed", 0), ("device", "cpu")):
        if getattr(settings, name) != default:
            shown[name] = getattr(settings, name)
    return [f"--{name} {value}" for name, value in shown.items() if name in experiment.family.settings]


def _choices(runs: list[DrawnRun], families: list[Family]) -> list[dict[str, Any]]:
    """The filters that the page offers: columns with more than one value."""
    choices = []
    for family in families:
        tables = [rows for run in runs if len(rows := family.rows(run.table))]
        for name, title in family.choices.items():
            values = {value for rows in tables if name in rows.columns for value in rows[name].drop_nulls()}
            if len(values) > 1:
                at = [value if isinstance(value, str) else f"{value:g}" for value in sorted(values)]
                choices.append({"column": name, "title": title, "at": at})
    return choices


def _embedded(panel: Chart) -> Markup:
    """Return a chart as JSON for a script element: no sequence in it can close the element."""
    text = json.dumps(panel.to_dict(validate=False))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _math(latex: str) -> Markup:
    """Return a formula as MathML."""
    from latex2mathml.converter import convert

    return Markup(convert(latex))


def _prose(text: str) -> Markup:
    """Return text with the formulas between dollar signs as MathML."""
    parts = text.split("$")
    return Markup("").join(_math(part) if i % 2 else Markup.escape(part) for i, part in enumerate(parts))
