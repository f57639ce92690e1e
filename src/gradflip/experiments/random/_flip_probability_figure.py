"""How often a step of size s flips: explicit networks as points, the exact law as lines, the limit dashed."""

from __future__ import annotations

import altair as alt
import numpy as np
import polars as pl

from gradflip.claims import wilson
from gradflip.drawing import (
    DASHED,
    HINT,
    Chart,
    Figure,
    colored,
    extent,
    faded,
    heading,
    interval_tooltip,
    linear_x,
    linear_y,
    listed,
    selection,
    with_shares,
)
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._settings import Settings
from gradflip.theory import limits

_LIMIT_POINTS = 60
_LOW = {"width": 250, "height": 200}  # panels


def flip_probability_figure(
    experiment: Experiment, rows: pl.DataFrame, observations: pl.DataFrame, settings: Settings
) -> Figure:
    """Draw one panel per activation.

    Args:
        experiment: The experiment.
        rows: Its rows.
        observations: Not drawn.
        settings: The settings of the run.

    Returns:
        A figure.
    """
    numbers = _numbers(rows)
    activations = list(dict.fromkeys(rows["activation"].to_list()))
    panels = [_panel(numbers.filter(activation=activation), activation) for activation in activations]
    panels.append(_differences(numbers, activations))
    at = (*({"activation": activation} for activation in activations), {})
    return Figure(experiment.name, tuple(panels), numbers, _caption(numbers), at=at, hint=HINT)


def _numbers(rows: pl.DataFrame) -> pl.DataFrame:
    """A row per series and step, with the draws of all seeds pooled."""
    by = ["activation", "dim", "width", "s"]
    parts = [rows.with_columns(pl.lit("exact law").alias("series"))]
    if "explicit_flips" in rows.columns:
        explicit = rows.drop_nulls("explicit_flips").drop("flips", "draws")
        names = {"explicit_flips": "flips", "explicit_draws": "draws"}
        parts.append(explicit.rename(names).with_columns(pl.lit("explicit").alias("series")))
    counts = pl.concat(
        [part.select(*by, "series", "flips", "draws", "limit") for part in parts], how="vertical_relaxed"
    )
    pooled = counts.group_by(*by, "series", maintain_order=True).agg(pl.sum("flips", "draws"), pl.first("limit"))
    size = pl.format("{}, d = {}, m = {}", "series", "dim", "width").alias("curve")
    return with_shares(pooled).with_columns(size)


def _steps(numbers: pl.DataFrame) -> alt.X:
    """The axis of steps, from 0 to a little beyond the largest."""
    return linear_x("s", "step s, in ν / τ²", [0, _last(numbers)])


def _last(numbers: pl.DataFrame) -> float:
    return extent(numbers["s"])[1] * 1.04


def _panel(numbers: pl.DataFrame, activation: str) -> Chart:
    curves = sorted(set(numbers["curve"].to_list()), key=lambda curve: ("explicit" not in curve, len(curve), curve))
    x, y, color = _steps(numbers), linear_y("probability", "P(f(x) f(x(s)) < 0)"), colored(curves, "")
    tooltip = [
        alt.Tooltip("curve:N", title="networks"),
        alt.Tooltip("s:Q", format=".3g", title="s, in ν / τ²"),
        alt.Tooltip("probability:Q", format=".4f", title="share that flips"),
        *interval_tooltip(".4f"),
        alt.Tooltip("limit:Q", format=".4f", title="limit"),
        alt.Tooltip("draws:Q", title="networks drawn"),
    ]
    exact = numbers.filter(pl.col("series") == "exact law")
    explicit = numbers.filter(pl.col("series") == "explicit")
    largest = exact.filter(pl.col("dim") == pl.col("dim").max())
    off = extent((largest["probability"] - largest["limit"]).abs())[1]
    layers = [
        alt.Chart(_limit(activation, _last(numbers))).mark_line(**DASHED).encode(x=x, y=y),
        alt.Chart(exact).mark_line(strokeWidth=1.5).encode(x=x, y=y, color=color),
        alt.Chart(exact).mark_point(opacity=0, size=60).encode(x=x, y=y, tooltip=tooltip),
        alt.Chart(explicit).mark_rule(strokeWidth=1.5).encode(
            x=x, y=alt.Y("low:Q", title=""), y2="high:Q", color=color
        ),
        alt.Chart(explicit).mark_point(filled=True, size=30).encode(x=x, y=y, color=color, tooltip=tooltip),
    ]  # fmt: skip
    about = f"d = {largest['dim'][0]}: at most {off:.3f} from the limit"
    return alt.layer(*layers).properties(**_LOW, title=heading(activation, about))


def _limit(activation: str, last: float) -> pl.DataFrame:
    """The flip probability of the limit."""
    known = limits(activation)
    s = np.linspace(0, last, _LIMIT_POINTS)
    return pl.DataFrame({"s": s, "probability": [known.flip_probability(v * known.nu / known.tau**2) for v in s]})


def _differences(numbers: pl.DataFrame, activations: list[str]) -> Chart:
    """The flip probability of the smallest networks of the exact law less its limit, for all activations."""
    exact = numbers.filter(pl.col("series") == "exact law")
    small = exact.filter(pl.col("dim") == pl.col("dim").min())
    drawn = small.with_columns(
        pl.col("activation").alias("curve"), (pl.col("probability") - pl.col("limit")).alias("from_limit")
    )
    x = _steps(numbers)
    y = alt.Y("from_limit:Q", title="P - limit", axis=alt.Axis(gridOpacity=0.4, tickCount=5))
    chosen = selection("difference")
    base = alt.Chart(drawn).encode(x=x, y=y, color=colored(activations, "", columns=4), opacity=faded(chosen))
    tooltip = [
        alt.Tooltip("curve:N", title="activation"),
        alt.Tooltip("s:Q", format=".3g", title="s, in ν / τ²"),
        alt.Tooltip("from_limit:Q", format="+.4f", title="share that flips, less the limit"),
        alt.Tooltip("draws:Q", title="networks drawn"),
    ]
    zero = alt.Chart(pl.DataFrame({"s": [0.0, _last(numbers)], "from_limit": [0.0, 0.0]})).mark_line(**DASHED)
    points = base.mark_point(filled=True, size=24).encode(tooltip=tooltip).add_params(chosen)
    size = small.row(0, named=True)
    about = f"exact law, d = {size['dim']}, m = {size['width']}; 95 % ± {_widest(small):.3f}"
    return alt.layer(zero.encode(x=x, y=y), base.mark_line(strokeWidth=1.5), points).properties(
        **_LOW, title=heading("difference from the limit", about)
    )


def _widest(numbers: pl.DataFrame) -> float:
    """Half the width of Wilson's interval at a share of one half, the widest."""
    return max(wilson(round(n / 2), n).high - 0.5 for n in numbers["draws"].to_list())


def _caption(numbers: pl.DataFrame) -> str:
    exact, explicit = (numbers.filter(pl.col("series") == series) for series in ("exact law", "explicit"))
    points = ""
    if len(explicit):
        points = (
            f"Points: {listed(explicit['draws'].to_list())} explicit networks each, bars the 95 % Wilson interval "
            f"(at most ± {_widest(explicit):.3f}). "
        )
    sizes = listed([f"{d} × {m}" for d, m in exact.select("dim", "width").unique(maintain_order=True).iter_rows()])
    return (
        f"How often the single gradient step of size s flips a random two-layer network; d × m = {sizes}. "
        f"{points}Lines: {listed(exact['draws'].to_list())} networks of the exact law at that size, which are never "
        "built. Dashed: the limit 2 Φ(s τ²/ν) - 1, the same for all activations in these units; the "
        "last panel shows how far the smallest networks are from it."
    )
