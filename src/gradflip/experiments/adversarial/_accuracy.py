"""Robust accuracies in the figures of adversarial training: means over seeds, their axis, parts of captions."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from gradflip.drawing import counted, share_y
from gradflip.experiments._settings import Settings

SURVIVING = "share of test images still right"
OUTSIDE = 1 + 1e-6
"""A network lies outside its ball if its deviation is above C0 times this."""


def averages(rows: pl.DataFrame, by: Sequence[str], column: str) -> pl.DataFrame:
    """Means over seeds of an accuracy.

    Args:
        rows: Rows of the measure `adversarial-attacks`.
        by: The columns that distinguish the points.
        column: One of `ATTACKS`; rows where it is null do not count.

    Returns:
        A row per point: `by`, `attack`, `robust` and its standard deviation `std` (0 for one seed), `low` and `high` at
        one `std` from it but within [0, 1], `correct` without an attack, `scaled_deviation`, `seeds`, `images`.
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


def shares(column: str) -> alt.Y:
    """The axis of an accuracy."""
    return share_y(column, SURVIVING)


def accuracy_tooltip(title: str, *more: alt.Tooltip) -> list[alt.Tooltip]:
    """The tooltip of a point: its curve, its place, its accuracy."""
    return [
        alt.Tooltip("curve:N", title=title),
        *more,
        alt.Tooltip("robust:Q", format=".1%", title="still right, mean over seeds"),
        alt.Tooltip("std:Q", format=".2%", title="standard deviation"),
        alt.Tooltip("correct:Q", format=".1%", title="right without an attack"),
        alt.Tooltip("seeds:Q", title="seeds"),
    ]


def data_words(rows: pl.DataFrame, settings: Settings) -> str:
    """What a caption says about training: data, number of images, biases, protocol."""
    first = rows.row(0, named=True)
    return (
        f"{settings.data} {settings.classes[0]} against {settings.classes[1]}, at most {first['train_images']:,} "
        f"training images, inputs of norm 1, {'biases' if first['bias'] else 'no biases'}, protocol "
        f"“{settings.protocol}”"
    )


def sample_words(rows: pl.DataFrame) -> str:
    """What a caption says about the sample: how many test images, how many seeds."""
    images = " or ".join(f"{count:,}" for count in sorted(set(rows["images"].to_list())))
    seeds = rows["seed"].n_unique()
    return f"share of {images} test images still right, mean over {counted(seeds, 'seed')}"
