"""Beyond Wang et al. (2022): the share of PGD's flips that a single step finds, in and out of the lazy regime."""

from gradflip.experiments._experiment import Experiment
from gradflip.experiments._group import Group
from gradflip.experiments._lattice import lattice
from gradflip.experiments.adversarial._cells import ADVERSARIAL, ADVERSARIAL_ATTACKS, Run, Workload, trainings
from gradflip.experiments.adversarial._claims import GAPS

EPSILON = 0.3
FREE = 10_000.0
"""A C0 that no training reaches, so that there is no ball."""


def _trainings(constants: tuple[float, ...], step: float, workload: Workload) -> tuple[Group, ...]:
    runs: list[Run] = [(against, C0) for against in (None, EPSILON) for C0 in constants]
    return trainings(10, 1000, runs, workload, budgets=lattice(0.02, 2.5, EPSILON, step))


WANG2022_ONE_STEP_VS_PGD = Experiment(
    name="wang2022-one-step-vs-pgd",
    title="One gradient step against many, in and out of the lazy regime",
    question="At d = 100 and m = 1000, how much of what PGD finds does a single gradient step find, in networks "
    "trained plainly and adversarially, within a ball and without one?",
    source="Wang, Ullah, Mianjy & Arora (2022), Section 6, a future direction",
    claims=GAPS,
    family=ADVERSARIAL,
    measure=ADVERSARIAL_ATTACKS,
    figure="gradflip.experiments.adversarial._attacks_figure:attacks_figure",
    curve="network",
    groups={
        "quick": _trainings(
            (10.0, FREE),
            2**0.5,
            Workload(seeds=3, images=500, test_images=500, max_epochs=20, min_steps=1000),
        ),
        "standard": _trainings(
            (10.0, 40.0, FREE),
            2**0.5,
            Workload(seeds=3, images=2000, test_images=1000, max_epochs=30, min_steps=1000),
        ),
        "paper": _trainings(
            (10.0, 40.0, FREE),
            2**0.125,
            Workload(seeds=5, images=12_700, test_images=2200, max_epochs=200, min_steps=1000),
        ),
    },
)
