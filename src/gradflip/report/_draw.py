"""The figure of an experiment, drawn as the experiment says."""

from __future__ import annotations

import polars as pl

from gradflip.experiments import Experiment, Settings
from gradflip.report._figures import Figure, lazy_figure
from gradflip.report._histograms import histogram_figure


def draw(experiment: Experiment, table: pl.DataFrame, observations: pl.DataFrame, settings: Settings) -> Figure:
    """The figure of an experiment.

    Args:
        experiment: Which.
        table: A row per network.
        observations: A row per network and test image.
        settings: Those of the run.

    Returns:
        A figure.

    Raises:
        ValueError: If there is nothing to draw.
    """
    if experiment.drawn == "histograms":
        return histogram_figure(experiment, observations, settings)
    return lazy_figure(experiment, table, settings)
