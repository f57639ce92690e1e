"""Figure 6 of Wang et al. (2022): the flip against the dimension, by size of the ball: inputs of norm 1, no biases."""

from gradflip.experiments._experiment import Experiment
from gradflip.experiments.lazy._cells import LAZY, LAZY_FLIP
from gradflip.experiments.lazy._claims import FLAT, GROWTH, RAW
from gradflip.experiments.lazy.wang2022_fig3 import by_C0

WANG2022_FIG6 = Experiment(
    name="wang2022-fig6",
    title="Step, gradient and perturbation against d, by C0, inputs of norm 1",
    question="Figure 3 again in the setting of the theorem: what changes with C0, from 10 to 40?",
    source="Wang, Ullah, Mianjy & Arora (2022), Figure 6",
    family=LAZY,
    measure=LAZY_FLIP,
    figure="gradflip.experiments.lazy._against_dim_figure:against_dim_figure",
    curve="C0",
    claims=FLAT + GROWTH + RAW,
    groups=by_C0(normalize=True, bias=False),
)
