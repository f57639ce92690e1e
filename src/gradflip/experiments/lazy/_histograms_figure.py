"""The distribution of step, gradient norm and perturbation over the test images (Figure 7)."""

from __future__ import annotations

import math

import altair as alt
import numpy as np
import polars as pl

from gradflip.drawing import COLORS, PANEL, Chart, Figure, extent, linear_y, spanned
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._settings import Settings
from gradflip.experiments.lazy._against_dim_figure import PANELS

_BINS = 36


def histograms_figure(
    experiment: Experiment, rows: pl.DataFrame, observations: pl.DataFrame, settings: Settings
) -> Figure:
    """Draw histograms over the correctly classified test images, one colour per seed, each with its normal fit.

    Args:
        experiment: The experiment.
        rows: Not drawn.
        observations: Its observations, a row per network and test image.
        settings: The settings of the run.

    Returns:
        A figure of three panels.

    Raises:
        ValueError: If no image has a flip to draw.
    """
    images = observations
    if len(images):
        images = images.filter(pl.col("step").is_not_null(), pl.col("label") * pl.col("value") > 0)
    if not len(images):
        raise ValueError(f"no network of {experiment.name} has a flip to draw; see the table for what happened.")
    panels, numbers = [], []
    for panel in reversed(PANELS):
        bins = _bins(images, panel.column)
        variation = images.group_by("seed").agg(pl.col(panel.column).std() / pl.col(panel.column).mean())[panel.column]
        panels.append(_histogram(bins, panel.title, f"coefficient of variation {variation.to_numpy().mean():.3g}"))
        numbers.append(bins)
    seeds = images["seed"].n_unique()
    count = spanned(images.group_by("seed").len()["len"].to_list())
    size, width, C0 = (experiment.values(name, settings)[0] for name in ("size", "width", "C0"))
    caption = (
        f"d = {settings.data_set.dim(size)}, m = {width}, C0 = {C0}; {settings.data} {settings.classes[0]} "
        f"against {settings.classes[1]}, protocol “{settings.protocol}”. Each histogram: the {count} correctly "
        f"classified test images of one seed ({seeds} in all); lines: normal densities of the same mean and variance. "
        "The coefficient of variation is the mean over seeds."
    )
    return Figure(experiment.name, tuple(panels), pl.concat(numbers), caption, curve="seed")


def _bins(images: pl.DataFrame, column: str) -> pl.DataFrame:
    """Densities on common bins, and the normal density at their centres, for each seed."""
    values = images[column].to_numpy()
    low, high = float(values.min()), float(values.max())
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    parts = []
    for seed in sorted(set(images["seed"].to_list())):
        own = images.filter(seed=seed)[column].to_numpy()
        counts, _ = np.histogram(own, edges)
        centre = (edges[1:] + edges[:-1]) / 2
        spread = max(float(own.std()), 1e-300)
        normal = np.exp(-0.5 * ((centre - own.mean()) / spread) ** 2) / (spread * math.sqrt(2 * math.pi))
        parts.append(
            pl.DataFrame({
                "quantity": column,
                "seed": [seed] * _BINS,
                "low": edges[:-1],
                "high": edges[1:],
                "images": counts.astype(np.int64),
                "density": counts / (counts.sum() * np.diff(edges)),
                "normal": normal,
            })
        )
    return pl.concat(parts)


def _histogram(bins: pl.DataFrame, title: str, subtitle: str) -> Chart:
    seeds = [str(seed) for seed in sorted(set(bins["seed"].to_list()))]
    drawn = bins.with_columns(pl.col("seed").cast(pl.String), ((pl.col("low") + pl.col("high")) / 2).alias("centre"))
    colors = [COLORS[i % len(COLORS)] for i in range(len(seeds))]
    color = alt.Color("seed:N", title="seed").scale(domain=seeds, range=colors)
    color = color.legend(orient="bottom", titleAnchor="start", direction="horizontal", symbolOpacity=1)
    ends = [extent(bins["low"])[0], extent(bins["high"])[1]]
    scale = alt.Scale(domain=ends, nice=False, zero=False)
    highest = [0, max(extent(bins["density"])[1], extent(bins["normal"])[1]) * 1.05]
    x = alt.X("low:Q", title=title, scale=scale, axis=alt.Axis(grid=False, tickCount=5))
    tooltip = [
        alt.Tooltip("seed:N"),
        alt.Tooltip("images:Q"),
        alt.Tooltip("low:Q", format=".4g", title="from"),
        alt.Tooltip("high:Q", format=".4g", title="to"),
    ]
    bars = alt.Chart(drawn).mark_rect(opacity=0.3).encode(
        x=x, x2="high:Q", y=linear_y("density", "density", highest), y2=alt.datum(0), color=color, tooltip=tooltip
    )  # fmt: skip
    line = alt.Chart(drawn).mark_line(strokeWidth=2).encode(
        x=alt.X("centre:Q", title=title, scale=scale), y=linear_y("normal", "density", highest), color=color
    )  # fmt: skip
    heading = alt.TitleParams(subtitle, fontSize=11, fontWeight="normal", anchor="start")
    return alt.layer(bars, line).properties(**PANEL, title=heading)
