"""What the figures of adversarial training share: means over seeds of robust accuracies, and how they are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from gradflip.drawing import heading, ticks
from gradflip.experiments import Settings

SIDE = {"width": 250, "height": 230}
SURVIVING = "share of test images still right"
QUARTERS = [0, 0.25, 0.5, 0.75, 1]
OUTSIDE = 1 + 1e-6
"""A network lies outside its ball if its deviation is above C0 times this."""


def averages(rows: pl.DataFrame, by: Sequence[str], column: str) -> pl.DataFrame:
    """Means over seeds of an accuracy.

    Args:
        rows: Of the measure `adversarial-attacks`.
        by: What tells the points apart.
        column: One of `ATTACKS`; rows where it is null do not count.

    Returns:
        A row per point: `by`, `attack`, `robust` and its standard deviation `std` (0 of one seed), `low` and `high` one
        of these away but within 0 and 1, `correct` without an attack, `deviation`, `seeds`, `images`.
    """
    kept = rows.filter(pl.col(column).is_not_null())
    means = kept.group_by(*by).agg(
        pl.lit(column).alias("attack"),
        pl.col(column).mean().alias("robust"),
        pl.col(column).std().fill_null(0.0).alias("std"),
        (1 - pl.col("test_error").mean()).alias("correct"),
        pl.col("scaled_deviation").mean(),
        pl.col("seed").n_unique().cast(pl.Int64).alias("seeds"),
        pl.col("images").max(),
    )
    return means.sort(*by).with_columns(
        (pl.col("robust") - pl.col("std")).clip(0.0, 1.0).alias("low"),
        (pl.col("robust") + pl.col("std")).clip(0.0, 1.0).alias("high"),
    )


def log_x(column: str, title: str, domain: Sequence[float], values: Sequence[float] = ()) -> alt.X:
    """A logarithmic axis with these ticks, or 1-2-5 ones."""
    scale = alt.Scale(type="log", domain=list(domain), nice=False)
    axis = alt.Axis(values=list(values) or ticks(domain), format="~g", grid=False, labelOverlap=True)
    return alt.X(f"{column}:Q", title=title, scale=scale, axis=axis)


def shares(column: str) -> alt.Y:
    """The axis of an accuracy, all of it from 0 to 1."""
    axis = alt.Axis(gridOpacity=0.4, values=QUARTERS, format=".2~f")
    return alt.Y(f"{column}:Q", title=SURVIVING, scale=alt.Scale(domain=[0, 1], nice=False), axis=axis)


def around(values: Sequence[float]) -> list[float]:
    """A little more than the range of positive numbers."""
    return [min(values) / 1.12, max(values) * 1.12]


def titled(title: str, *lines: str) -> alt.TitleParams:
    """The title of a panel, at its left, and lines below it."""
    found = heading(title)
    found.subtitle = list(lines)
    return found


def accuracy_tooltip(title: str, *more: alt.Tooltip) -> list[alt.Tooltip]:
    """What a point says of itself: its curve, its place, its accuracy."""
    return [
        alt.Tooltip("curve:N", title=title),
        *more,
        alt.Tooltip("robust:Q", format=".1%", title="still right, mean over seeds"),
        alt.Tooltip("std:Q", format=".2%", title="standard deviation"),
        alt.Tooltip("correct:Q", format=".1%", title="right without an attack"),
        alt.Tooltip("seeds:Q", title="seeds"),
    ]


def data_words(rows: pl.DataFrame, settings: Settings) -> str:
    """What networks were trained on, in a caption: data, how many images, biases, protocol."""
    first = rows.row(0, named=True)
    return (
        f"{settings.data} {settings.classes[0]} against {settings.classes[1]}, at most {first['train_images']:,} "
        f"training images, inputs of norm 1, {'biases' if first['bias'] else 'no biases'}, protocol "
        f"“{settings.protocol}”"
    )


def sample_words(rows: pl.DataFrame) -> str:
    """Of how many test images accuracies are shares, over how many seeds their means, in a caption."""
    images = " or ".join(f"{count:,}" for count in sorted(set(rows["images"].to_list())))
    seeds = rows["seed"].n_unique()
    return f"share of {images} test images still right, mean over {seeds} seed{'s' if seeds > 1 else ''}"
