"""The figure of an experiment, drawn as the experiment says."""

from __future__ import annotations

import polars as pl

from gradflip.drawing import Figure
from gradflip.experiments import (
    AdversarialExperiment,
    BallExperiment,
    Experiment,
    LazyExperiment,
    RandomExperiment,
    Settings,
)
from gradflip.experiments.lazy._against_dim_figure import against_dim_figure
from gradflip.experiments.lazy._histograms_figure import histograms_figure
from gradflip.report._adversarial_figures import adversarial_figure
from gradflip.report._ball_figures import ball_figure
from gradflip.report._random_figures import random_figure


def draw(experiment: Experiment, table: pl.DataFrame, observations: pl.DataFrame, settings: Settings) -> Figure:
    """The figure of an experiment.

    Args:
        experiment: Which.
        table: A row per network, or per question asked of an ensemble of random ones.
        observations: A row per network and test image, or per random network.
        settings: Those of the run.

    Returns:
        A figure.

    Raises:
        ValueError: If there is nothing to draw.
        TypeError: If the experiment is of no known family.
    """
    match experiment:
        case LazyExperiment():
            own = (experiment.select(table, settings), experiment.select(observations, settings))
            figure = histograms_figure if experiment.drawn == "histograms" else against_dim_figure
            return figure(experiment, *own, settings)
        case RandomExperiment():
            return random_figure(experiment, table, observations, settings)
        case AdversarialExperiment():
            return adversarial_figure(experiment, table, observations, settings)
        case BallExperiment():
            return ball_figure(experiment, table, observations, settings)
    raise TypeError(f"experiment must be of a family of gradflip.experiments, got {type(experiment).__name__}.")
