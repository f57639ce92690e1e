"""Figure 4, left, of Wang et al. (2022): robust accuracy over input dimension and budget."""

from dataclasses import replace

from gradflip.experiments._experiment import Experiment
from gradflip.experiments._group import COMPARED, Group
from gradflip.experiments._lattice import lattice
from gradflip.experiments.adversarial._cells import ADVERSARIAL, ADVERSARIAL_ATTACKS, VARIANTS, Workload, trainings
from gradflip.experiments.adversarial._claims import contours

C0 = 10.0
WIDTH = 1000


def _trainings(sizes: tuple[int, ...], step: float, low: float, high: float, workload: Workload) -> tuple[Group, ...]:
    """Make groups with budgets of one lattice, for each size those around the drop: low to high over sqrt d."""
    return tuple(
        group
        for size in sizes
        for group in trainings(
            size, WIDTH, [(epsilon, C0) for epsilon in lattice(low / size, high / size, 0.3, step)], workload
        )
    )


def _compared(step: float, low: float, high: float, workload: Workload) -> tuple[Group, ...]:
    """Make the slice d = 100: both protocols, and each with one of the three effects taken from the other."""
    runs = [(epsilon, C0) for epsilon in lattice(low, high, 0.3, step)]
    return trainings(10, WIDTH, runs, workload, variants=tuple(VARIANTS), part=COMPARED)


_QUICK = Workload(seeds=3, images=500, test_images=500, max_epochs=10, min_steps=400)
_STANDARD = Workload(seeds=3, images=2000, test_images=1000, max_epochs=15, min_steps=900)
_PAPER = Workload(
    seeds=5, images=12_700, test_images=2200, max_epochs=60, min_steps=1000, script_epochs=1000, script_steps=100
)

WANG2022_FIG4_LEFT = Experiment(
    name="wang2022-fig4-left",
    title="Robust accuracy over input dimension and budget",
    question="At m = 1000 and C0 = 10, up to which budget do networks trained adversarially within the ball resist, as "
    "the input dimension d grows?",
    source="Wang, Ullah, Mianjy & Arora (2022), Figure 4, left",
    claims=contours(over="dim", along="epsilon", quantity=r"\epsilon_{1/2}", law="c / √d"),
    family=ADVERSARIAL,
    measure=ADVERSARIAL_ATTACKS,
    figure="gradflip.experiments.adversarial._heat_maps_figure:dim_budget_figure",
    curve="protocol",
    groups={
        "quick": _trainings((5, 7, 10, 14, 20), 2**0.5, 1.2, 6.2, _QUICK) + _compared(2**0.5, 0.14, 0.45, _QUICK),
        "standard": _trainings((5, 7, 10, 14, 20, 28), 2**0.25, 1.2, 7.0, _STANDARD)
        + _compared(2**0.5, 0.1, 0.61, _STANDARD),
        "paper": _trainings((5, 7, 10, 14, 20, 28), 2**0.125, 1.2, 7.0, _PAPER)
        + _compared(2**0.25, 0.1, 0.61, replace(_PAPER, images=2000)),
    },
)
