"""Figure 1 of Wang et al. (2022): the ball, its cone, and the invariants along a ray."""

from gradflip.experiments._experiment import Experiment
from gradflip.experiments._group import Group
from gradflip.experiments.ball._cells import BALL
from gradflip.experiments.ball._claims import CONE
from gradflip.sweep import Measure


def _parts(width: int, stops: tuple[int, ...], seeds: int, each: int) -> tuple[Group, ...]:
    """Make one group: training, and iterates scaled by 10^-3 to 10^3, with `each` scales per decade."""
    scales = tuple(10.0 ** (k / each) for k in range(-3 * each, 3 * each + 1))
    return (
        Group(
            f"ball and cone: d = 100, m = {width}",
            {"size": 10, "width": width, "C0": 10, "stops": stops, "scales": scales},
            seeds=seeds,
            data=True,
            seconds=2 + 2e-7 * 100 * width * (stops[-1] / 64 + 3 * len(stops) * len(scales)),
        ),
    )


WANG2022_FIG1 = Experiment(
    name="wang2022-fig1",
    title="The ball, its cone, and networks trained out of them",
    question="What is said of every network in the lazy ball holds along every ray through it: when does training "
    "leave the ball, when the cone, and do s*|g| and ρ stay the same along a ray?",
    source="Wang, Ullah, Mianjy & Arora (2022), Figure 1 and “Beyond Lazy regime”",
    claims=CONE,
    family=BALL,
    measure=Measure(
        "ball-cone",
        version=1,
        reference="gradflip.experiments.ball._cone_measure:measure",
        hashed_as="gradflip.experiments._ball_cone:measure",
        renamed=(("ball_kind", None), ("deviation", "scaled_deviation")),
    ),
    figure="gradflip.experiments.ball._cone_figure:cone_figure",
    curve="line",
    shown={"size": "image sizes", "width": "widths m", "C0": "C0", "stops": "steps of SGD", "scales": "scales c"},
    groups={
        "quick": _parts(1000, (20, 50, 100, 200, 400, 800, 1600, 3200), 3, 1),
        "standard": _parts(1000, (20, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800), 5, 2),
        "paper": _parts(10_000, (20, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600), 10, 4),
    },
)
