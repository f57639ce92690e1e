"""Figure 3 of Wang et al. (2022): the flip against the input dimension, for several sizes of the lazy ball."""

from gradflip.experiments._settings import LazyGrid
from gradflip.experiments.lazy._claims import FLAT, GROWTH, RAW
from gradflip.experiments.lazy._experiment import LazyExperiment
from gradflip.experiments.lazy.wang2022_fig2 import SIZES

WANG2022_FIG3 = LazyExperiment(
    name="wang2022-fig3",
    title="Step, gradient and perturbation against d, by C0",
    question="At width m = 1000, what changes when training may go further from its start, C0 from 10 to 40?",
    source="Wang, Ullah, Mianjy & Arora (2022), Figure 3",
    curves="C0",
    normalize=False,
    bias=True,
    claims=FLAT + GROWTH + RAW,
    grids={
        "quick": LazyGrid((5, 8, 14, 20, 28), (1000,), (10, 20), seeds=3, max_epochs=20, min_steps=3000),
        "standard": LazyGrid(SIZES, (1000,), (10, 20, 30, 40), seeds=3, max_epochs=200, min_steps=20_000),
        "paper": LazyGrid(SIZES, (1000,), (10, 20, 30, 40), seeds=5, max_epochs=1000, min_steps=40_000),
    },
)
