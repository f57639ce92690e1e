"""Figure 7 of Wang et al. (2022): how the flip is distributed over the test images."""

from gradflip.experiments._experiment import Experiment
from gradflip.experiments.lazy._cells import LAZY, LAZY_FLIP, trainings
from gradflip.experiments.lazy._claims import VARIATION

_FORM = {"normalize": False, "bias": True}

WANG2022_FIG7 = Experiment(
    name="wang2022-fig7",
    title="Histograms of perturbation, gradient norm and step over the test images",
    question="At d = 784, m = 1000, C0 = 10, how much do the relative perturbation, the gradient norm and the step "
    "vary from image to image?",
    source="Wang, Ullah, Mianjy & Arora (2022), Figure 7",
    family=LAZY,
    measure=LAZY_FLIP,
    figure="gradflip.experiments.lazy._histograms_figure:histograms_figure",
    curve="width",
    claims=VARIATION,
    groups={
        "quick": trainings((28,), (1000,), (10,), seeds=3, max_epochs=20, min_steps=3000, **_FORM),
        "standard": trainings((28,), (1000,), (10,), seeds=3, max_epochs=200, min_steps=20_000, **_FORM),
        "paper": trainings((28,), (1000,), (10,), seeds=5, max_epochs=1000, min_steps=40_000, **_FORM),
    },
)
