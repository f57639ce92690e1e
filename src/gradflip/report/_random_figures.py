"""The figure of an experiment on random networks, by its kind."""

from __future__ import annotations

import polars as pl

from gradflip.drawing import Figure
from gradflip.experiments import RandomExperiment, Settings
from gradflip.experiments.random._any_width_figure import any_width_figure
from gradflip.experiments.random._depth_figure import depth_figure
from gradflip.experiments.random._flip_probability_figure import flip_probability_figure
from gradflip.experiments.random._joint_law_figure import joint_law_figure


def random_figure(
    experiment: RandomExperiment, table: pl.DataFrame, observations: pl.DataFrame, settings: Settings
) -> Figure:
    """The figure of an experiment on random networks.

    Args:
        experiment: Which.
        table: Rows of a run that computed it.
        observations: Its observations.
        settings: Those of the run.

    Returns:
        A figure.

    Raises:
        ValueError: If no ensemble of the experiment was drawn.
    """
    rows = experiment.select(table, settings)
    if not len(rows):
        raise ValueError(f"no ensemble of {experiment.name} was drawn; see the cells that failed for what happened.")
    seen = experiment.select(observations, settings)
    match experiment.kind:
        case "flip-probability":
            return flip_probability_figure(experiment, rows, seen, settings)
        case "any-width":
            return any_width_figure(experiment, rows, seen, settings)
        case "joint-law":
            return joint_law_figure(experiment, rows, seen, settings)
        case "depth":
            return depth_figure(experiment, rows, seen, settings)
