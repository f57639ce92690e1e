"""Step, gradient norm and relative perturbation against the input dimension, on log-log axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import altair as alt
import polars as pl

from gradflip.drawing import (
    DASHED,
    HINT,
    PANEL,
    THEORY,
    Chart,
    Figure,
    around,
    colored,
    counted,
    faded,
    log_scale,
    log_y,
    selection,
    spanned,
)
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._settings import Settings

_ROOM = 1.15  # factor by which the axis extends beyond the dimensions


@dataclass(frozen=True)
class Panel:
    """One quantity of a figure.

    Attributes:
        column: The column of the table.
        title: The title of the vertical axis, with the unit.
        exponent: The exponent of its growth in d according to the theory.
        law: That growth in words.
        at_norm: The law for inputs of any norm, in words; empty if the norm does not matter.
        factor: The factor at that norm, from |x| and b (1 with biases, 0 without); in the theorem (x, b) has norm 1.
    """

    column: str
    title: str
    exponent: float
    law: str
    at_norm: str
    factor: Callable[[float, float], float]


PANELS = (
    Panel("step", "flipping step s*", -1.0, "c / d", "c √(|x|² + b) / d", lambda x, b: math.hypot(x, b)),
    Panel("gradient_norm", "gradient norm |g|", 0.5, "c √d", "", lambda x, b: 1.0),
    Panel(
        "relative",
        "relative perturbation ρ = s*|g| / |x|",
        -0.5,
        "c / √d",
        "c √(1 + b / |x|²) / √d",
        lambda x, b: math.hypot(1, b / x),
    ),
)


def against_dim_figure(
    experiment: Experiment, rows: pl.DataFrame, observations: pl.DataFrame, settings: Settings
) -> Figure:
    """Draw the three panels of the paper: step, gradient norm, relative perturbation.

    Args:
        experiment: The experiment.
        rows: Its rows.
        observations: Not drawn.
        settings: The settings of the run.

    Returns:
        A figure; points are means over seeds of means over the correctly classified test images, bands one standard
        deviation over seeds.

    Raises:
        ValueError: If no network of the experiment has a flip to draw.
    """
    if not len(rows) or not rows["step"].count():
        raise ValueError(f"no network of {experiment.name} has a flip to draw; see the table for what happened.")
    curve = experiment.curve
    (normalize,), (bias,) = experiment.values("normalize", settings), experiment.values("bias", settings)
    numbers = pl.concat([_averages(rows, curve, panel) for panel in PANELS])
    norms = dict(rows.group_by("dim").agg(pl.col("input_norm").mean()).iter_rows())
    charts, laws = [], []
    for panel in PANELS:
        drawn = numbers.filter(quantity=panel.column)
        law = _law(drawn, panel, norms, float(bias), varying=not normalize)
        charts.append(_panel(drawn, curve, panel, law))
        laws.append(law)
    caption = _caption(experiment, rows, settings, laws)
    return Figure(experiment.name, tuple(charts), numbers, caption, curve=curve, hint=HINT)


@dataclass(frozen=True)
class _Law:
    """The theory of one panel with fitted constants: curves to draw, and words."""

    plain: pl.DataFrame
    at_norms: pl.DataFrame
    words: str


def _law(numbers: pl.DataFrame, panel: Panel, norms: dict[int, float], bias: float, *, varying: bool) -> _Law:
    dims = sorted(set(numbers["dim"].to_list()))
    ends = around(dims, _ROOM)
    constant = _fitted(numbers, {dim: dim**panel.exponent for dim in dims})
    plain = pl.DataFrame({"dim": ends, "mean": [constant * dim**panel.exponent for dim in ends]})
    words = f"dashed: {panel.law}, c = {constant:.3g}"
    if not varying or not panel.at_norm:
        return _Law(plain, plain.clear(), words)
    shape = {dim: dim**panel.exponent * panel.factor(norms[dim], bias) for dim in dims}
    constant = _fitted(numbers, shape)
    at_norms = pl.DataFrame({"dim": [float(dim) for dim in dims], "mean": [constant * shape[dim] for dim in dims]})
    # b is 0 or 1: write it out
    words += f"; dotted: {panel.at_norm.replace('b', '1') if bias else panel.law}, c = {constant:.3g}"
    return _Law(plain, at_norms, words)


def _averages(rows: pl.DataFrame, curve: str, panel: Panel) -> pl.DataFrame:
    """Mean and standard deviation over seeds at each dimension, for each curve."""
    return (
        rows
        .filter(pl.col(panel.column).is_not_null())
        .group_by(curve, "dim", maintain_order=True)
        .agg(
            pl.col(panel.column).mean().alias("mean"),
            pl.col(panel.column).std().fill_null(0.0).alias("std"),
            pl.len().cast(pl.Int64).alias("seeds"),
        )
        .sort(curve, "dim")
        .select(pl.lit(panel.column).alias("quantity"), pl.col(curve).cast(pl.Int64), "dim", "mean", "std", "seeds")
    )


def _fitted(numbers: pl.DataFrame, shape: dict[int, float]) -> float:
    """The c for which c * shape is closest to all points on the log scale."""
    logs = [math.log(mean / shape[dim]) for mean, dim in numbers.select("mean", "dim").iter_rows()]
    return math.exp(sum(logs) / len(logs))


def _panel(numbers: pl.DataFrame, curve: str, panel: Panel, law: _Law) -> Chart:
    name = {"width": "width m", "C0": "C0"}[curve]
    order = [str(value) for value in sorted(set(numbers[curve].to_list()))]
    drawn, y_domain = _with_bands(numbers, curve, law)
    x = _dimensions(numbers["dim"].to_list())
    y = log_y("mean", panel.title, y_domain)
    legend = alt.Legend(
        orient="bottom", titleAnchor="start", direction="horizontal", symbolType="circle", symbolOpacity=1
    )
    color = colored(order, name, legend=legend)
    chosen = selection(panel.column)
    base = alt.Chart(drawn).encode(x=x, color=color, opacity=faded(chosen))
    low = log_y("low", panel.title, y_domain)
    band = base.mark_area(clip=True).encode(y=low, y2="high:Q", opacity=faded(chosen, 0.18, 0.02))
    line = base.mark_line(strokeWidth=2, clip=True).encode(y=y)
    points = base.mark_point(filled=True, size=46, clip=True).encode(y=y, tooltip=_tooltip(name))
    dashed = alt.Chart(law.plain).mark_line(**DASHED).encode(x=x, y=y)
    dotted = alt.Chart(law.at_norms).mark_line(strokeDash=[1, 3], color=THEORY, strokeWidth=2).encode(x=x, y=y)
    title = alt.TitleParams(law.words.split("; "), fontSize=11, fontWeight="normal", color=THEORY, anchor="start")
    return alt.layer(band, dashed, dotted, line, points.add_params(chosen)).properties(**PANEL, title=title)


def _with_bands(numbers: pl.DataFrame, curve: str, law: _Law) -> tuple[pl.DataFrame, list[float]]:
    """The points with the ends of their bands, which stay positive, and the range that contains them and the law."""
    means, spreads = numbers["mean"].to_list(), numbers["std"].to_list()
    floor = min(means) / 1.4
    edges = [max(mean - std, floor) for mean, std in zip(means, spreads, strict=True)]
    tops = [mean + std for mean, std in zip(means, spreads, strict=True)]
    theory = pl.concat([law.plain, law.at_norms])["mean"].to_list()
    drawn = numbers.with_columns(
        pl.Series("low", edges), pl.Series("high", tops), pl.col(curve).cast(pl.String).alias("curve")
    )
    return drawn, [min(edges + theory) / 1.1, max(tops + theory) * 1.1]


def _dimensions(values: list[int]) -> alt.X:
    """The axis of input dimensions, with a tick at each or at every second one."""
    dims = sorted(set(values))
    scale = log_scale(around(dims, _ROOM))
    axis = alt.Axis(values=dims if len(dims) < 7 else dims[::2], format="d", grid=False)
    return alt.X("dim:Q", title="input dimension d", scale=scale, axis=axis)


def _tooltip(name: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("curve:N", title=name),
        alt.Tooltip("dim:Q", title="d"),
        alt.Tooltip("mean:Q", format=".4g", title="mean over seeds"),
        alt.Tooltip("std:Q", format=".2g", title="standard deviation"),
        alt.Tooltip("seeds:Q", title="seeds"),
    ]


def _caption(experiment: Experiment, rows: pl.DataFrame, settings: Settings, laws: list[_Law]) -> str:
    """The caption: what varies, how many seeds and images, which interval, what the theory curves are."""
    widths, C0s = experiment.values("width", settings), experiment.values("C0", settings)
    (normalize,), (bias,) = experiment.values("normalize", settings), experiment.values("bias", settings)
    seeds = rows["seed"].n_unique()
    images = spanned(rows["correct"].to_list())
    what = (
        f"Width m = {', '.join(map(str, widths))} at C0 = {C0s[0]}"
        if experiment.curve == "width"
        else f"C0 = {', '.join(map(str, C0s))} at width m = {widths[0]}"
    )
    inputs = "inputs of norm 1" if normalize else "pixels as they are"
    biases = "hidden biases" if bias else "no biases"
    theory = "Dashed: the law of the theorem for inputs of norm 1; "
    if any(len(law.at_norms) for law in laws):
        theory += "dotted: the same law at the measured norms of the inputs; "
    theory += "each constant c is fitted to all points on the log scale."
    stayed = int((rows["stopped_because"] == "max-epochs").sum())
    never_left = (
        f" {stayed} of {len(rows)} networks had not reached the surface of their ball when training ended."
        if stayed
        else ""
    )
    return (
        f"{what}; {settings.data} {settings.classes[0]} against {settings.classes[1]}, {inputs}, {biases}, "
        f"protocol “{settings.protocol}”. Points: mean over {counted(seeds, 'seed')} of the mean over "
        f"the correctly classified test images ({images}); bands: one standard deviation over seeds. "
        f"{theory}{never_left}"
    )
