"""Figure 5 of Wang et al. (2022): the flip against the input dimension, by width: inputs of norm 1, no biases."""

from gradflip.experiments._experiment import Experiment
from gradflip.experiments.lazy._cells import LAZY, LAZY_FLIP
from gradflip.experiments.lazy._claims import FLAT, RAW
from gradflip.experiments.lazy.wang2022_fig2 import by_width

WANG2022_FIG5 = Experiment(
    name="wang2022-fig5",
    title="Step, gradient and perturbation against d, by width, inputs of norm 1",
    question="Figure 2 again in the setting of the theorem, inputs of norm 1 and no biases: is s* d flat, and does the "
    "width m matter?",
    source="Wang, Ullah, Mianjy & Arora (2022), Figure 5",
    family=LAZY,
    measure=LAZY_FLIP,
    figure="gradflip.experiments.lazy._against_dim_figure:against_dim_figure",
    curve="width",
    claims=FLAT + RAW,
    groups=by_width(normalize=True, bias=False),
)
