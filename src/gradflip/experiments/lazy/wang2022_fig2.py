"""Figure 2 of Wang et al. (2022): the flip against the input dimension, for several widths."""

from gradflip.experiments._settings import LazyGrid
from gradflip.experiments.lazy._claims import FLAT, RAW
from gradflip.experiments.lazy._experiment import LazyExperiment

SIZES = (5, 8, 10, 12, 14, 16, 20, 24, 28)

WANG2022_FIG2 = LazyExperiment(
    name="wang2022-fig2",
    title="Step, gradient and perturbation against d, by width",
    question="In networks trained lazily (C0 = 10), how do the flipping step, the gradient norm and the relative "
    "perturbation depend on the input dimension d, and does the width m matter?",
    source="Wang, Ullah, Mianjy & Arora (2022), Figure 2",
    curves="width",
    normalize=False,
    bias=True,
    claims=FLAT + RAW,
    grids={
        "quick": LazyGrid((5, 8, 14, 20, 28), (250, 1000), (10,), seeds=3, max_epochs=20, min_steps=3000),
        "standard": LazyGrid(SIZES, (1000, 10_000), (10,), seeds=3, max_epochs=200, min_steps=20_000),
        "paper": LazyGrid(SIZES, (1000, 10_000, 100_000), (10,), seeds=5, max_epochs=1000, min_steps=40_000),
    },
)
