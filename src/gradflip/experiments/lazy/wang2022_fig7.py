"""Figure 7 of Wang et al. (2022): how the flip is distributed over the test images."""

from gradflip.experiments._settings import LazyGrid
from gradflip.experiments.lazy._claims import VARIATION
from gradflip.experiments.lazy._experiment import LazyExperiment

WANG2022_FIG7 = LazyExperiment(
    name="wang2022-fig7",
    title="Histograms of perturbation, gradient norm and step over the test images",
    question="At d = 784, m = 1000, C0 = 10, how much do the relative perturbation, the gradient norm and the step "
    "vary from image to image?",
    source="Wang, Ullah, Mianjy & Arora (2022), Figure 7",
    curves="width",
    normalize=False,
    bias=True,
    claims=VARIATION,
    drawn="histograms",
    grids={
        "quick": LazyGrid((28,), (1000,), (10,), seeds=3, max_epochs=20, min_steps=3000),
        "standard": LazyGrid((28,), (1000,), (10,), seeds=3, max_epochs=200, min_steps=20_000),
        "paper": LazyGrid((28,), (1000,), (10,), seeds=5, max_epochs=1000, min_steps=40_000),
    },
)
