"""The figure of an experiment on the lazy ball, by its kind."""

from __future__ import annotations

import polars as pl

from gradflip.drawing import Figure
from gradflip.experiments import BallExperiment, Settings
from gradflip.experiments.ball._certified_figure import certified_figure
from gradflip.experiments.ball._cone_figure import cone_figure
from gradflip.experiments.ball._lemmas_figure import lemmas_figure


def ball_figure(
    experiment: BallExperiment, table: pl.DataFrame, observations: pl.DataFrame, settings: Settings
) -> Figure:
    """The figure of an experiment on the lazy ball.

    Args:
        experiment: Which.
        table: Rows of a run that computed it.
        observations: Its observations.
        settings: Those of the run.

    Returns:
        A figure.

    Raises:
        ValueError: If nothing of the experiment was measured.
    """
    rows = experiment.select(table, settings)
    if not len(rows):
        raise ValueError(f"nothing of {experiment.name} was measured; see the cells that failed for what happened.")
    seen = experiment.select(observations, settings)
    match experiment.kind:
        case "certified":
            return certified_figure(experiment, rows, seen, settings)
        case "lemmas":
            return lemmas_figure(experiment, rows, seen, settings)
        case "cone":
            return cone_figure(experiment, rows, seen, settings)
