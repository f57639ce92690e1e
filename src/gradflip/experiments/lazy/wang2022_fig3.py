"""Figure 3 of Wang et al. (2022): the flip against the input dimension, for several sizes of the lazy ball."""

from collections.abc import Mapping

from gradflip.experiments._experiment import Experiment
from gradflip.experiments._group import Group
from gradflip.experiments._settings import Preset
from gradflip.experiments.lazy._cells import LAZY, LAZY_FLIP, trainings
from gradflip.experiments.lazy._claims import FLAT, GROWTH, RAW
from gradflip.experiments.lazy.wang2022_fig2 import SIZES


def by_C0(*, normalize: bool, bias: bool) -> Mapping[Preset, tuple[Group, ...]]:
    """Make the presets of Figures 3 and 6: m = 1000, several C0.

    Args:
        normalize: Whether inputs have norm 1.
        bias: Whether hidden biases are trained.

    Returns:
        Groups by preset.
    """
    form = {"normalize": normalize, "bias": bias}
    C0s = (10, 20, 30, 40)
    return {
        "quick": trainings((5, 8, 14, 20, 28), (1000,), C0s[:2], seeds=3, max_epochs=20, min_steps=3000, **form),
        "standard": trainings(SIZES, (1000,), C0s, seeds=3, max_epochs=200, min_steps=20_000, **form),
        "paper": trainings(SIZES, (1000,), C0s, seeds=5, max_epochs=1000, min_steps=40_000, **form),
    }


WANG2022_FIG3 = Experiment(
    name="wang2022-fig3",
    title="Step, gradient and perturbation against d, by C0",
    question="At width m = 1000, what changes when training may go further from its start, C0 from 10 to 40?",
    source="Wang, Ullah, Mianjy & Arora (2022), Figure 3",
    family=LAZY,
    measure=LAZY_FLIP,
    figure="gradflip.experiments.lazy._against_dim_figure:against_dim_figure",
    curve="C0",
    claims=FLAT + GROWTH + RAW,
    groups=by_C0(normalize=False, bias=True),
)
