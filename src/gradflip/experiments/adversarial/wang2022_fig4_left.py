"""Figure 4, left, of Wang et al. (2022): robust accuracy over input dimension and budget."""

from gradflip.experiments._lattice import lattice
from gradflip.experiments.adversarial._cells import WAYS, Effort
from gradflip.experiments.adversarial._claims import contours
from gradflip.experiments.adversarial._experiment import AdversarialExperiment, AdversarialGrid, Trainings

C0 = 10.0


def _trainings(sizes: tuple[int, ...], width: int, step: float, low: float, high: float) -> tuple[Trainings, ...]:
    """Budgets of one lattice, of each size those around the drop: from low to high over sqrt d."""
    return tuple(
        Trainings(size, width, tuple((epsilon, C0) for epsilon in lattice(low / size, high / size, 0.3, step)))
        for size in sizes
    )


def _compared(width: int, step: float, low: float, high: float) -> Trainings:
    """The slice d = 100: both protocols, and each with one of the three effects taken from the other."""
    runs = tuple((epsilon, C0) for epsilon in lattice(low, high, 0.3, step))
    return Trainings(10, width, runs, ways=tuple(WAYS))


WANG2022_FIG4_LEFT = AdversarialExperiment(
    name="wang2022-fig4-left",
    title="Robust accuracy over input dimension and budget",
    question="At m = 1000 and C0 = 10, up to which budget do networks trained adversarially within the ball resist, as "
    "the input dimension d grows?",
    source="Wang, Ullah, Mianjy & Arora (2022), Figure 4, left",
    claims=contours(over="dim", along="epsilon", quantity=r"\epsilon_{1/2}", law="c / √d"),
    drawn="dim-budget",
    grids={
        "quick": AdversarialGrid(
            _trainings((5, 7, 10, 14, 20), 1000, 2**0.5, 1.2, 6.2),
            Effort(seeds=3, images=500, test_images=500, max_epochs=10, min_steps=400),
            _compared(1000, 2**0.5, 0.14, 0.45),
        ),
        "standard": AdversarialGrid(
            _trainings((5, 7, 10, 14, 20, 28), 1000, 2**0.25, 1.2, 7.0),
            Effort(seeds=3, images=2000, test_images=1000, max_epochs=15, min_steps=900),
            _compared(1000, 2**0.5, 0.1, 0.61),
        ),
        "paper": AdversarialGrid(
            _trainings((5, 7, 10, 14, 20, 28), 1000, 2**0.125, 1.2, 7.0),
            Effort(seeds=5, images=12_700, test_images=2200, max_epochs=60, min_steps=1000, script_epochs=1000,
                   script_steps=100),
            _compared(1000, 2**0.25, 0.1, 0.61),
            Effort(seeds=5, images=2000, test_images=2200, max_epochs=60, min_steps=1000, script_epochs=1000,
                   script_steps=100),
        ),
    },
)  # fmt: skip
