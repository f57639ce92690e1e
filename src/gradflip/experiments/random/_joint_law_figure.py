"""The joint law of f(x) and f(x(s)): explicit networks as a density, the exact law as bands, the limit dashed."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from gradflip.drawing import COLORS, THEORY, Drawn, Figure, heading, listed


def joint_law_figure(name: str, rows: pl.DataFrame, observations: pl.DataFrame) -> Figure:
    """A panel per activation and step.

    Args:
        name: Of the experiment.
        rows: Of the measure `_random_joint_law`.
        observations: Of it: counts of explicit networks, bands of implicit ones.

    Returns:
        A figure.

    Raises:
        ValueError: If no explicit networks were drawn.
    """
    if not len(observations):
        raise ValueError(f"no explicit network of {name} was drawn; there is nothing to compare.")
    numbers = _numbers(observations)
    panels, at = [], []
    for activation, s in numbers.select("activation", "s").unique(maintain_order=True).iter_rows():
        own = rows.drop_nulls("explicit_draws").filter(activation=activation, s=s)
        panels.append(_panel(numbers.filter(activation=activation, s=s), own.row(0, named=True)))
        at.append({"activation": activation})
    return Figure(name, tuple(panels), numbers, _caption(rows), at=tuple(at), hint="Hover a cell for its count.")


def _numbers(observations: pl.DataFrame) -> pl.DataFrame:
    """Counts of all seeds together, bands averaged over seeds."""
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


def _panel(numbers: pl.DataFrame, row: dict[str, Any]) -> Drawn:
    s, reach = row["s"], row["reach"]
    domain = alt.Scale(domain=[-reach, reach], nice=False)
    axis = alt.Axis(grid=False, tickCount=7)
    x = alt.X("f:Q", title="f(x) / ν", scale=domain, axis=axis)
    total = int(numbers.filter(what="count")["count"].sum())
    counts = numbers.filter(what="count").select("f", "f_to", "after", "after_to", "count")
    counts = counts.with_columns((pl.col("count") / total).sqrt().round(4).alias("shade"))
    y_title = "f(x(s)) / ν"
    tooltip = [
        alt.Tooltip("count:Q", title="networks"),
        alt.Tooltip("f:Q", format=".1f", title="f(x) / ν from"),
        alt.Tooltip("after:Q", format=".1f", title="f(x(s)) / ν from"),
    ]
    top = float(counts["shade"].max())  # type: ignore[arg-type]
    density = alt.Chart(counts).mark_rect(color=COLORS[0]).encode(
        x=x, x2="f_to:Q", y=alt.Y("after:Q", title=y_title, scale=domain, axis=axis), y2="after_to:Q",
        opacity=alt.Opacity("shade:Q", legend=None, scale=alt.Scale(domain=[0, top], range=[0.04, 1])),
        tooltip=tooltip,
    )  # fmt: skip
    ends = pl.DataFrame({
        "f": [0.0, reach, -reach, 0.0], "after": [-s, reach - s, s - reach, s], "side": ["+", "+", "-", "-"],
    })  # fmt: skip
    limit = alt.Chart(ends).mark_line(strokeDash=[6, 4], color=THEORY, strokeWidth=1.5, clip=True).encode(
        x=x, y=alt.Y("after:Q", title=y_title, scale=domain, axis=axis), detail="side:N"
    )  # fmt: skip
    bands = numbers.filter(what="band").sort("f").with_columns((pl.col("f") > 0).alias("side"))
    lines = [
        alt.Chart(bands).mark_line(color=COLORS[1], strokeWidth=width, clip=True).encode(
            x=x, y=alt.Y(f"{name}:Q", title=y_title, scale=domain, axis=axis), detail="side:N"
        )
        for name, width in (("low", 1), ("middle", 2), ("high", 1))
    ]  # fmt: skip
    about = f"correlation {row['correlation']:.3f}, explicit {row['explicit_correlation']:.3f}, "
    title = heading(f"{row['activation']}, s = {s:g} ν/τ²", about + f"limit {row['limit_correlation']:.3f}")
    return alt.layer(density, limit, *lines).properties(width=250, height=250, title=title)


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
