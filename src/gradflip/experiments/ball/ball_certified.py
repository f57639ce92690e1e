"""Beyond Wang et al. (2022): a proved bound on every network of the ball, and the best network found."""

from gradflip.experiments._experiment import Experiment
from gradflip.experiments._group import Group
from gradflip.experiments._lattice import lattice
from gradflip.experiments.ball._cells import BALL
from gradflip.experiments.ball._claims import BRACKET
from gradflip.sweep import Measure


def _parts(
    sizes: tuple[int, ...], width: int, C0s: tuple[float, ...], step: float, images: int, points: int, epochs: int,
    seeds: int,
) -> tuple[Group, ...]:  # fmt: skip
    """Make groups with budgets around those that certify single points, sqrt(2) (C0 / 2 + 0.7) / sqrt d."""
    parts = []
    for size in sizes:
        for C0 in C0s:
            scale = 2**0.5 * (C0 / 2 + 0.7) / size
            epsilons = lattice(0.14 * scale, 1.4 * scale, 0.1, step)
            name = f"d = {size**2}, C0 = {C0:g}" + (f", m = {width}" if width != 1000 else "")
            parts.append(_part(name, size, width, C0, epsilons, images, points, epochs, seeds))
    return tuple(parts)


def _part(
    name: str, size: int, width: int, C0: float, epsilons: tuple[float, ...], images: int, points: int, epochs: int,
    seeds: int,
) -> Group:  # fmt: skip
    return Group(
        f"certificates: {name}",
        {
            "line": name, "size": size, "width": width, "C0": C0, "epsilons": epsilons, "images": images,
            "test_images": points, "max_epochs": epochs,
        },
        seeds=seeds,
        data=True,
        seconds=len(epsilons) * size**2 * width * (90 * images * epochs + 2000 * points) * 3e-11,
    )  # fmt: skip


BALL_CERTIFIED = Experiment(
    name="ball-certified",
    title="What no network of the ball can do, beside the best one found",
    question="At which budget is it certain, before any training, that every network within C0 / sqrt m of this "
    "initialisation fails, and how far from there is the best network that training found?",
    source="Corollary 3.2 and Figure 4 of Wang, Ullah, Mianjy & Arora (2022), with numbers in place of constants",
    claims=BRACKET,
    family=BALL,
    measure=Measure(
        "ball-certified",
        version=1,
        reference="gradflip.experiments.ball._certified_measure:measure",
        hashed_as="gradflip.experiments._ball_certified:measure",
        renamed=(("ball_kind", None), ("deviation", "scaled_deviation")),
    ),
    figure="gradflip.experiments.ball._certified_figure:certified_figure",
    curve="line",
    shown={"size": "image sizes", "width": "widths m", "C0": "C0", "epsilons": "epsilon", "test_images": "points"},
    groups={
        "quick": _parts((10,), 1000, (1.0, 5.0, 10.0), 2**0.5, 300, 60, 20, 2),
        "standard": _parts((5, 10, 20, 28), 1000, (1.0, 2.0, 5.0, 10.0, 20.0), 2**0.5, 1000, 200, 8, 3)
        + (_part("d = 784, C0 = 10, m = 10000", 28, 10_000, 10.0, (0.1, 0.2, 0.3), 1000, 300, 5, 1),),
        "paper": _parts((5, 10, 20, 28), 1000, (1.0, 2.0, 5.0, 10.0, 20.0), 2**0.25, 12_700, 2200, 30, 5)
        + _parts((28,), 10_000, (1.0, 5.0, 10.0), 2**0.25, 12_700, 2200, 30, 3),
    },
)
