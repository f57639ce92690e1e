"""The joint law of f(x) and f(x(s)): explicit networks as a density, the exact law as bands, the limit dashed."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from gradflip.drawing import COLORS, DASHED, Chart, Figure, extent, heading, listed
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._settings import Settings


def joint_law_figure(
    experiment: Experiment, rows: pl.DataFrame, observations: pl.DataFrame, settings: Settings
) -> Figure:
    """Draw a panel per activation and step.

    Args:
        experiment: The experiment.
        rows: Its rows.
        observations: Counts of explicit networks, bands of implicit ones.
        settings: The settings of the run.

    Returns:
        A figure.

    Raises:
        ValueError: If no explicit networks were drawn.
    """
    if not len(observations):
        raise ValueError(f"no explicit network of {experiment.name} was drawn; there is nothing to compare.")
    numbers = _numbers(observations)
    panels, at = [], []
    for activation, s in numbers.select("activation", "s").unique(maintain_order=True).iter_rows():
        own = rows.drop_nulls("explicit_draws").filter(activation=activation, s=s)
        panels.append(_panel(numbers.filter(activation=activation, s=s), own.row(0, named=True)))
        at.append({"activation": activation})
    caption, hint = _caption(rows), "Hover a cell for its count."
    return Figure(experiment.name, tuple(panels), numbers, caption, at=tuple(at), hint=hint)


def _numbers(observations: pl.DataFrame) -> pl.DataFrame:
    """Counts pooled over seeds, bands averaged over seeds."""
    by = ["activation", "dim", "width", "s", "what", "f"]
    corner = ["f_to", "after", "after_to"]
    columns = [*by, *corner, "count", "low", "middle", "high"]
    counts = observations.filter(what="count").group_by(*by, *corner, maintain_order=True).agg(pl.sum("count"))
    bands = observations.filter(what="band").group_by(*by, maintain_order=True).agg(
        pl.sum("count"), pl.mean("low", "middle", "high")
    )  # fmt: skip
    both = pl.concat([counts, bands], how="diagonal")
    return both.select(
        pl.col(name).round(4) if name in ("f", *corner, "low", "middle", "high") else name for name in columns
    )


def _panel(numbers: pl.DataFrame, row: dict[str, Any]) -> Chart:
    s, reach = row["s"], row["reach"]
    scale = alt.Scale(domain=[-reach, reach], nice=False)
    axis = alt.Axis(grid=False, tickCount=7)
    x = alt.X("f:Q", title="f(x) / ν", scale=scale, axis=axis)

    def y(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", title="f(x(s)) / ν", scale=scale, axis=axis)

    counts = _shaded(numbers)
    shades = alt.Scale(domain=[0, extent(counts["shade"])[1]], range=[0.04, 1])
    tooltip = [
        alt.Tooltip("count:Q", title="networks"),
        alt.Tooltip("f:Q", format=".1f", title="f(x) / ν from"),
        alt.Tooltip("after:Q", format=".1f", title="f(x(s)) / ν from"),
    ]
    density = alt.Chart(counts).mark_rect(color=COLORS[0]).encode(
        x=x, x2="f_to:Q", y=y("after"), y2="after_to:Q", tooltip=tooltip,
        opacity=alt.Opacity("shade:Q", legend=None, scale=shades),
    )  # fmt: skip
    limit = alt.Chart(_half_lines(s, reach)).mark_line(**DASHED, clip=True)
    bands = alt.Chart(numbers.filter(what="band").sort("f").with_columns((pl.col("f") > 0).alias("side")))
    lines = [
        bands.mark_line(color=COLORS[1], strokeWidth=width, clip=True).encode(x=x, y=y(name), detail="side:N")
        for name, width in (("low", 1), ("middle", 2), ("high", 1))
    ]
    about = f"correlation {row['correlation']:.3f}, explicit {row['explicit_correlation']:.3f}, "
    title = heading(f"{row['activation']}, s = {s:g} ν/τ²", about + f"limit {row['limit_correlation']:.3f}")
    return alt.layer(density, limit.encode(x=x, y=y("after"), detail="side:N"), *lines).properties(
        width=250, height=250, title=title
    )


def _shaded(numbers: pl.DataFrame) -> pl.DataFrame:
    """Counts and their shade: the square root of the share, so that rare pairs are visible."""
    counts = numbers.filter(what="count").select("f", "f_to", "after", "after_to", "count")
    total = int(counts["count"].sum())
    return counts.with_columns((pl.col("count") / total).sqrt().round(4).alias("shade"))


def _half_lines(s: float, reach: float) -> pl.DataFrame:
    """The limit: f - s where f > 0, f + s where f < 0."""
    return pl.DataFrame({
        "f": [0.0, reach, -reach, 0.0], "after": [-s, reach - s, s - reach, s], "side": ["+", "+", "-", "-"],
    })  # fmt: skip


def _caption(rows: pl.DataFrame) -> str:
    explicit = rows.drop_nulls("explicit_draws")
    size = listed([f"d = {d}, m = {m}" for d, m in explicit.select("dim", "width").iter_rows()])
    seeds = explicit["seed"].n_unique()
    draws = listed([f"{n * seeds:,}" for n in explicit["explicit_draws"].to_list()])
    implicit = listed([f"{n * seeds:,}" for n in explicit["draws"].to_list()])
    return (
        f"f at a random input and after a gradient step of size s, in units of ν; {size}. Shaded: {draws} explicit "
        f"networks, the darker the more (on the scale of the square root). Lines: the 5, 50 and 95 % quantiles of "
        f"f(x(s)) given f(x), from {implicit} implicit networks. Dashed: the limit, f(x(s)) = f(x) - s sign(f(x)) τ², "
        f"two half-lines. The largest Kolmogorov distance between implicit and explicit networks, of "
        f"{int(explicit['tests'][0])} marginals and projections at each s, is {float(explicit['ks'].max()):.4f}."  # type: ignore[arg-type]
    )
