"""The figure of an experiment on adversarial training, by what it is drawn over."""

from __future__ import annotations

import polars as pl

from gradflip.drawing import Figure
from gradflip.experiments import AdversarialExperiment, Settings
from gradflip.experiments.adversarial._attacks_figure import attacks_figure
from gradflip.experiments.adversarial._heat_maps_figure import heat_maps_figure


def adversarial_figure(
    experiment: AdversarialExperiment, table: pl.DataFrame, observations: pl.DataFrame, settings: Settings
) -> Figure:
    """The figure of an experiment on adversarial training.

    Args:
        experiment: Which.
        table: Rows of a run that computed it.
        observations: Its observations.
        settings: Those of the run.

    Returns:
        A figure.

    Raises:
        ValueError: If no network of the experiment was trained.
    """
    rows = experiment.select(table, settings)
    if not len(rows):
        raise ValueError(f"no network of {experiment.name} was trained; see the cells that failed for what happened.")
    if experiment.drawn == "attacks":
        return attacks_figure(experiment, rows, observations, settings)
    return heat_maps_figure(experiment, table, observations, settings)  # its rows and those of the slice
