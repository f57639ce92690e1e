"""Figure 5 of Wang et al. (2022): the flip against the input dimension, by width: inputs of norm 1, no biases."""

from gradflip.experiments._experiment import Experiment
from gradflip.experiments._lazy_claims import FLAT, RAW
from gradflip.experiments._settings import LazyGrid
from gradflip.experiments.wang2022_fig2 import SIZES

WANG2022_FIG5 = Experiment(
    name="wang2022-fig5",
    title="Step, gradient and perturbation against d, by width, inputs of norm 1",
    question="Figure 2 again in the setting of the theorem, inputs of norm 1 and no biases: is s* d flat, and does the "
    "width m matter?",
    source="Wang, Ullah, Mianjy & Arora (2022), Figure 5",
    curves="width",
    normalize=True,
    bias=False,
    claims=FLAT + RAW,
    grids={
        "quick": LazyGrid((5, 8, 14, 20, 28), (250, 1000), (10,), seeds=3, max_epochs=20, min_steps=3000),
        "standard": LazyGrid(SIZES, (1000, 10_000), (10,), seeds=3, max_epochs=200, min_steps=20_000),
        "paper": LazyGrid(SIZES, (1000, 10_000, 100_000), (10,), seeds=5, max_epochs=1000, min_steps=40_000),
    },
)
