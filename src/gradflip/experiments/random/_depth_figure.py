"""Deep random networks by shape: how often and how far one step flips, what several steps add, which theorems apply."""

from __future__ import annotations

import altair as alt
import polars as pl

from gradflip.drawing import (
    COLORS,
    DASHED,
    HINT,
    PANEL,
    THEORY,
    Chart,
    Figure,
    colored,
    extent,
    faded,
    heading,
    interval_tooltip,
    linear_y,
    listed,
    log_y,
    selection,
    with_shares,
)
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._settings import Settings
from gradflip.experiments.random._shapes import PAPERS, SHAPES, covered

_TOP = 30.0  # larger ratios, including infinite ones, are drawn at this value
_BOTTOM = 0.1


def depth_figure(experiment: Experiment, rows: pl.DataFrame, observations: pl.DataFrame, settings: Settings) -> Figure:
    """Draw three panels per activation and weight variance, and one of what the theorems cover.

    Args:
        experiment: The experiment.
        rows: Its rows.
        observations: How many networks each attack flips.
        settings: The settings of the run.

    Returns:
        A figure.
    """
    numbers = _numbers(rows)
    panels: list[Chart] = []
    at: list[dict[str, str]] = []
    for scale, activation in numbers.select("scale", "activation").unique(maintain_order=True).iter_rows():
        own = numbers.filter(scale=scale)
        steps = _steps(observations, own)
        panels += [_probability(own, scale), _ratio(own, scale), _several(steps, scale)]
        at += [{"activation": activation}] * 3
    panels.append(_theorems(rows))
    at.append({})
    return Figure(experiment.name, tuple(panels), numbers, _caption(rows, numbers), at=tuple(at), hint=HINT)


def _numbers(rows: pl.DataFrame) -> pl.DataFrame:
    """A row per shape, size and depth: counts pooled over seeds, quantiles averaged over seeds."""
    by = ["curve", "activation", "weight_variance", "shape", "dim", "depth", "widths"]
    # a quantile is infinite if that of one seed is: so many never flip that a mean of the others is meaningless
    quantiles = [
        pl.when(pl.col(q).null_count() == 0).then(pl.col(q).mean() / pl.col("limit_q50").first()).alias(name)
        for q, name in (("q25", "lower"), ("q50", "median"), ("q75", "upper"))
    ]
    pooled = rows.group_by(*by, maintain_order=True).agg(
        pl.sum("flips"), pl.sum("draws"), pl.sum("ray_draws"), pl.sum("flipped"), pl.first("limit"),
        *quantiles,
        (pl.first("limit_q25") / pl.first("limit_q50")).alias("limit_lower"),
        (pl.first("limit_q75") / pl.first("limit_q50")).alias("limit_upper"),
    )  # fmt: skip
    scale = pl.when(pl.col("weight_variance") == 1).then("activation").otherwise(
        pl.format("{}, variance {}", "activation", pl.col("weight_variance").cast(pl.Int64))
    )  # fmt: skip
    return with_shares(pooled).with_columns(scale.alias("scale"))


def _largest(numbers: pl.DataFrame) -> pl.DataFrame:
    """The rows of the largest inputs of each shape, named by shape and size."""
    kept = numbers.filter(pl.col("dim") == pl.col("dim").max().over("shape"))
    return kept.with_columns(pl.col("shape").alias("curve"))


def _shapes(numbers: pl.DataFrame) -> list[str]:
    present = set(numbers["shape"].to_list())
    return [shape for shape in SHAPES if shape in present]


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("curve:N", title="shape"),
        alt.Tooltip("depth:Q", title="depth L"),
        alt.Tooltip("widths:N", title="widths"),
        alt.Tooltip("probability:Q", format=".3f", title="flipped by s = ν/τ²"),
        *interval_tooltip(".3f"),
        alt.Tooltip("draws:Q", title="networks drawn"),
        alt.Tooltip("median:Q", format=".3g", title="median ρ √d / limit"),
        alt.Tooltip("ray_draws:Q", title="rays followed"),
    ]


def _by_depth(drawn: pl.DataFrame, chosen: alt.Parameter) -> alt.Chart:
    """A chart of the shapes side by side at every depth; those not selected are faint."""
    depths, shapes = sorted(set(drawn["depth"].to_list())), _shapes(drawn)
    chart: alt.Chart = alt.Chart(drawn).encode(
        x=alt.X("depth:O", title="depth L, hidden layers", sort=depths, axis=alt.Axis(labelAngle=0, grid=False)),
        xOffset=alt.XOffset("curve:N", sort=shapes),
        color=colored(shapes, "", columns=3),
        opacity=faded(chosen),
    )
    return chart


def _chosen(panel: str, scale: str) -> alt.Parameter:
    """A selection by the legend, under a name that Vega allows."""
    word = "".join(c if c.isalnum() else "_" for c in scale)
    return selection(f"{panel}_{word}")


def _probability(numbers: pl.DataFrame, scale: str) -> Chart:
    drawn = _largest(numbers)
    chosen, title = _chosen("probability", scale), "P(flip) at s = ν/τ²"
    base = _by_depth(drawn, chosen)
    bars = base.mark_rule(strokeWidth=1.5).encode(y=linear_y("low", title), y2="high:Q")
    points = base.mark_point(filled=True, size=36).encode(y=linear_y("probability", title), tooltip=_tooltip())
    limit = alt.Chart(drawn.select("limit").head(1)).mark_rule(**DASHED).encode(y=linear_y("limit", title))
    return alt.layer(limit, bars, points.add_params(chosen)).properties(
        **PANEL, title=heading(f"{scale}: one step of size ν/τ²", f"dashed: {drawn['limit'][0]:.3f}")
    )


def _ratio(numbers: pl.DataFrame, scale: str) -> Chart:
    drawn = _largest(numbers).with_columns(
        pl.col(name).fill_null(float("inf")).clip(_BOTTOM, _TOP).alias(f"{name}_drawn")
        for name in ("lower", "median", "upper")
    )
    chosen = _chosen("ratio", scale)

    def y(column: str) -> alt.Y:
        return log_y(column, "ρ √d over the limit's median", [_BOTTOM, _TOP])

    base = _by_depth(drawn, chosen)
    bars = base.mark_rule(strokeWidth=1.5).encode(y=y("lower_drawn"), y2="upper_drawn:Q")
    points = base.mark_point(filled=True, size=36).encode(y=y("median_drawn"), tooltip=_tooltip())
    first = drawn.row(0, named=True)
    quartiles = pl.DataFrame({"value": [first["limit_lower"], 1.0, first["limit_upper"]]})
    rules = alt.Chart(quartiles).mark_rule(**DASHED).encode(y=y("value"))
    return alt.layer(rules, bars, points.add_params(chosen)).properties(
        **PANEL, title=heading(f"{scale}: size of the flip", "dashed: quartiles of the limit")
    )


def _steps(observations: pl.DataFrame, numbers: pl.DataFrame) -> pl.DataFrame:
    """Shares at the greatest depth and largest input of each shape."""
    curves = set(numbers["curve"].to_list())
    own = observations.filter(pl.col("curve").is_in(list(curves)))
    own = own.filter(pl.col("dim") == pl.col("dim").max().over("shape"), pl.col("depth") == pl.col("depth").max())
    by = ["shape", "depth", "dim", "way", "s"]
    return with_shares(own.group_by(*by, maintain_order=True).agg(pl.sum("flips"), pl.sum("draws"))).with_columns(
        pl.col("shape").alias("curve")
    )


def _several(steps: pl.DataFrame, scale: str) -> Chart:
    chosen = _chosen("steps", scale)
    x = alt.X("s:Q", title="steps in all, in ν/τ²", scale=alt.Scale(domain=[0, extent(steps["s"])[1] * 1.04]))
    x = x.axis(grid=False, tickCount=5)
    dashes = alt.Scale(domain=["several steps", "one step"], range=[[1, 0], [2, 2]])
    tooltip = [
        alt.Tooltip("curve:N", title="shape"),
        alt.Tooltip("way:N", title="attack"),
        alt.Tooltip("s:Q", format=".3g", title="s, in ν/τ²"),
        alt.Tooltip("probability:Q", format=".3f", title="share flipped"),
        *interval_tooltip(".3f"),
        alt.Tooltip("draws:Q", title="networks drawn"),
    ]
    base = alt.Chart(steps).encode(
        x=x, y=linear_y("probability", "share flipped"), color=colored(_shapes(steps), "", columns=3),
        opacity=faded(chosen),
    )  # fmt: skip
    lines = base.mark_line(strokeWidth=1.5).encode(strokeDash=alt.StrokeDash("way:N", scale=dashes, legend=None))
    points = base.mark_point(filled=True, size=20).encode(tooltip=tooltip).add_params(chosen)
    depth, about = steps["depth"][0], "solid: steps of ν/(4 τ²); dotted: one step of their total"
    return alt.layer(lines, points).properties(
        **PANEL, title=heading(f"{scale}: several steps against one, L = {depth}", about)
    )


def _theorems(rows: pl.DataFrame) -> Chart:
    """Which theorem covers which shape."""
    kinds = rows.select("activation", "shape").unique(maintain_order=True).rows()
    order = [(a, shape) for a in dict.fromkeys(a for a, _ in kinds) for shape in SHAPES if (a, shape) in kinds]
    lines = [
        {
            "networks": f"{activation}, {shape}",
            "paper": paper,
            "covers": covered(paper, activation, shape) or "–",
            "yes": bool(covered(paper, activation, shape)),
        }
        for activation, shape in order
        for paper in PAPERS
    ]
    y = alt.Y("networks:N", title=None, sort=[f"{a}, {shape}" for a, shape in order], axis=alt.Axis(labelLimit=160))
    x = alt.X("paper:N", title=None, sort=list(PAPERS), axis=alt.Axis(labelAngle=-45, orient="top", labelLimit=160))
    base = alt.Chart(pl.DataFrame(lines)).encode(x=x, y=y)
    cells = base.mark_rect(color=COLORS[0]).encode(
        opacity=alt.condition("datum.yes", alt.value(0.35), alt.value(0.04)),
        tooltip=[alt.Tooltip("networks:N"), alt.Tooltip("paper:N"), alt.Tooltip("covers:N")],
    )
    text = base.mark_text(fontSize=10, color=THEORY).encode(text="covers:N")
    return alt.layer(cells, text).properties(width=130, height=230, title=heading("who proved it"))


def _caption(rows: pl.DataFrame, numbers: pl.DataFrame) -> str:
    sizes = listed([f"{d:,} ({shape})" for shape, d in _largest(numbers).select("shape", "dim").iter_rows()])
    return (
        f"Random networks with L hidden layers, never built; inputs of the largest d drawn: {sizes}. “Decreasing” "
        "halves the width from layer to layer, “polynomial” alternates d^(3/2) and d, “bottleneck” has one layer of "
        "√d in the middle; the last two shapes stay narrow, which no theorem covers. First panels: share of "
        f"{listed([f'{n:,}' for n in numbers['draws'].to_list()])} networks flipped by one step of size ν/τ² of the "
        "recursion of the limit, bars 95 % Wilson. Second: median and quartiles of ρ √d of "
        f"{listed([f'{n:,}' for n in numbers['ray_draws'].to_list()])} networks; above {_TOP:g} or infinite at the "
        "upper edge. Third: several small steps (solid), the attack of Daniely & Shacham (2020), against one step of "
        "their total (dotted). Last: for which depths a theorem speaks of a shape; Daniely & Shacham need widths that "
        "vanish against the one before and several steps, Bubeck et al. (2021) two layers, Bartlett et al. (2021) relu "
        "and widths polynomial in each other, Montanari & Wu (2022) only widths that grow."
    )
