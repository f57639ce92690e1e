"""Figure 4, right, of Wang et al. (2022): robust accuracy over width and radius of the ball."""

from gradflip.experiments._experiment import Experiment
from gradflip.experiments._group import Group
from gradflip.experiments._lattice import lattice
from gradflip.experiments.adversarial._cells import ADVERSARIAL, ADVERSARIAL_ATTACKS, Workload, trainings
from gradflip.experiments.adversarial._claims import contours

EPSILON = 0.3
SIZE = 10


def _trainings(widths: tuple[int, ...], step: float, low: float, workload: Workload) -> tuple[Group, ...]:
    """Make groups with radii of one lattice, for each width those around the rise: C0 / sqrt m for C0 up to 20."""
    runs = [(EPSILON, C0) for C0 in lattice(low, 20.1, 10.0, step)]
    return tuple(group for width in widths for group in trainings(SIZE, width, runs, workload))


_QUICK = Workload(seeds=3, images=500, test_images=500, max_epochs=10, min_steps=400)
_STANDARD = Workload(seeds=3, images=2000, test_images=1000, max_epochs=15, min_steps=900)
_PAPER = Workload(
    seeds=5, images=12_700, test_images=2200, max_epochs=60, min_steps=1000, script_epochs=1000, script_steps=100
)

WANG2022_FIG4_RIGHT = Experiment(
    name="wang2022-fig4-right",
    title="Robust accuracy over width and radius",
    question="At d = 100 and a budget of 0.3, how far must the neurons be allowed to move before adversarial training "
    "helps, as the width m grows?",
    source="Wang, Ullah, Mianjy & Arora (2022), Figure 4, right",
    claims=contours(over="width", along="radius", quantity=r"R_{1/2}", law="c / √m"),
    family=ADVERSARIAL,
    measure=ADVERSARIAL_ATTACKS,
    figure="gradflip.experiments.adversarial._heat_maps_figure:width_radius_figure",
    curve="protocol",
    groups={
        "quick": _trainings((125, 250, 500, 1000), 2**0.5, 3.5, _QUICK),
        "standard": _trainings((125, 250, 500, 1000, 2000), 2**0.25, 2.4, _STANDARD),
        "paper": _trainings((125, 250, 500, 1000, 2000, 4000, 8000, 16_000), 2**0.125, 1.7, _PAPER),
    },
)
