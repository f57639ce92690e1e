"""All experiments, by name."""

from __future__ import annotations

from collections.abc import Sequence

from gradflip._errors import UsageError, unknown
from gradflip.experiments._experiment import Experiment
from gradflip.experiments.adversarial.wang2022_fig4_left import WANG2022_FIG4_LEFT
from gradflip.experiments.adversarial.wang2022_fig4_right import WANG2022_FIG4_RIGHT
from gradflip.experiments.adversarial.wang2022_one_step_vs_pgd import WANG2022_ONE_STEP_VS_PGD
from gradflip.experiments.ball.ball_certified import BALL_CERTIFIED
from gradflip.experiments.ball.ball_lemmas import BALL_LEMMAS
from gradflip.experiments.ball.wang2022_fig1 import WANG2022_FIG1
from gradflip.experiments.lazy.wang2022_fig2 import WANG2022_FIG2
from gradflip.experiments.lazy.wang2022_fig3 import WANG2022_FIG3
from gradflip.experiments.lazy.wang2022_fig5 import WANG2022_FIG5
from gradflip.experiments.lazy.wang2022_fig6 import WANG2022_FIG6
from gradflip.experiments.lazy.wang2022_fig7 import WANG2022_FIG7
from gradflip.experiments.random.montanari2022_any_width import MONTANARI2022_ANY_WIDTH
from gradflip.experiments.random.montanari2022_depth import MONTANARI2022_DEPTH
from gradflip.experiments.random.montanari2022_flip_probability import MONTANARI2022_FLIP_PROBABILITY
from gradflip.experiments.random.montanari2022_joint_law import MONTANARI2022_JOINT_LAW
from gradflip.sweep import Measure

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (
        WANG2022_FIG1,
        WANG2022_FIG2,
        WANG2022_FIG3,
        WANG2022_FIG4_LEFT,
        WANG2022_FIG4_RIGHT,
        WANG2022_FIG5,
        WANG2022_FIG6,
        WANG2022_FIG7,
        WANG2022_ONE_STEP_VS_PGD,
        MONTANARI2022_FLIP_PROBABILITY,
        MONTANARI2022_ANY_WIDTH,
        MONTANARI2022_JOINT_LAW,
        MONTANARI2022_DEPTH,
        BALL_CERTIFIED,
        BALL_LEMMAS,
    )
}
"""The experiments there are."""

MEASURES: dict[str, Measure] = {experiment.measure.name: experiment.measure for experiment in EXPERIMENTS.values()}
"""What computes their cells, by the stable names that stand in the column `measure` of every row."""


def select_experiments(names: Sequence[str]) -> list[Experiment]:
    """Select experiments by name; the name of a paper, such as `wang2022`, stands for all of its experiments.

    Args:
        names: At least one name.

    Returns:
        Experiments, each once, in the order of the registry.

    Raises:
        UsageError: If there is no such experiment; the message suggests the nearest name.
    """
    wanted: set[str] = set()
    for name in names:
        family = {known for known in EXPERIMENTS if known.split("-", 1)[0] == name}
        if name not in EXPERIMENTS and not family:
            raise UsageError(unknown("experiment", name, EXPERIMENTS))
        wanted |= family or {name}
    return [experiment for name, experiment in EXPERIMENTS.items() if name in wanted]
