"""Figure 5 of Wang et al. (2022): the flip against the input dimension, by width: inputs of norm 1, no biases."""

from gradflip.experiments.lazy._claims import FLAT, RAW
from gradflip.experiments.lazy._experiment import LazyExperiment
from gradflip.experiments.lazy.wang2022_fig2 import WANG2022_FIG2

WANG2022_FIG5 = LazyExperiment(
    name="wang2022-fig5",
    title="Step, gradient and perturbation against d, by width, inputs of norm 1",
    question="Figure 2 again in the setting of the theorem, inputs of norm 1 and no biases: is s* d flat, and does the "
    "width m matter?",
    source="Wang, Ullah, Mianjy & Arora (2022), Figure 5",
    curves="width",
    normalize=True,
    bias=False,
    claims=FLAT + RAW,
    grids=WANG2022_FIG2.grids,
)
