"""Figure 2 of Wang et al. (2022): the flip against the input dimension, for several widths."""

from collections.abc import Mapping

from gradflip.experiments._experiment import Experiment
from gradflip.experiments._group import Group
from gradflip.experiments._settings import Preset
from gradflip.experiments.lazy._cells import LAZY, LAZY_FLIP, trainings
from gradflip.experiments.lazy._claims import FLAT, RAW

SIZES = (5, 8, 10, 12, 14, 16, 20, 24, 28)


def by_width(*, normalize: bool, bias: bool) -> Mapping[Preset, tuple[Group, ...]]:
    """Make the presets of Figures 2 and 5: C0 = 10, several widths.

    Args:
        normalize: Whether inputs have norm 1.
        bias: Whether hidden biases are trained.

    Returns:
        Groups by preset.
    """
    form = {"normalize": normalize, "bias": bias}
    return {
        "quick": trainings((5, 8, 14, 20, 28), (250, 1000), (10,), seeds=3, max_epochs=20, min_steps=3000, **form),
        "standard": trainings(SIZES, (1000, 10_000), (10,), seeds=3, max_epochs=200, min_steps=20_000, **form),
        "paper": trainings(SIZES, (1000, 10_000, 100_000), (10,), seeds=5, max_epochs=1000, min_steps=40_000, **form),
    }


WANG2022_FIG2 = Experiment(
    name="wang2022-fig2",
    title="Step, gradient and perturbation against d, by width",
    question="In networks trained lazily (C0 = 10), how do the flipping step, the gradient norm and the relative "
    "perturbation depend on the input dimension d, and does the width m matter?",
    source="Wang, Ullah, Mianjy & Arora (2022), Figure 2",
    family=LAZY,
    measure=LAZY_FLIP,
    figure="gradflip.experiments.lazy._against_dim_figure:against_dim_figure",
    curve="width",
    claims=FLAT + RAW,
    groups=by_width(normalize=False, bias=True),
)
