"""Lemmas 4.1 to 4.4 of Wang et al. (2022), for every network in the ball."""

from gradflip.experiments._experiment import Experiment
from gradflip.experiments._group import Group
from gradflip.experiments.ball._cells import BALL
from gradflip.experiments.ball._claims import LEMMAS
from gradflip.sweep import Measure

CONSTANT = 2.0  # perturbations of length 2 / sqrt d, about as long as those that flip a network
GAMMAS = (0.01, 0.1, 0.5, 0.9)


def _networks(
    sizes: tuple[int, ...], widths: tuple[int, ...], C0s: tuple[float, ...], points: int, seeds: int
) -> tuple[Group, ...]:
    """Make groups along both axes, which meet at the middle size and the second width; there C0 varies too."""
    size0, width0 = sizes[len(sizes) // 2], widths[1]
    lines: dict[tuple[int, int], list[str]] = {}
    for size in sizes:
        lines.setdefault((size, width0), []).append("dim")
    for width in widths:
        lines.setdefault((size0, width), []).append("width")
    lines[size0, width0].append("C0")
    return tuple(
        Group(
            f"networks: d = {size**2}, m = {width}",
            {
                "part": "networks", "size": size, "width": width, "C0s": C0s, "points": points, "lines": own,
                "constant": CONSTANT, "starts": 2, "steps": 15, "max_epochs": 400,
            },
            seeds=seeds,
            data=True,
            seconds=0.5 + (3e-8 * points * (1 + len(C0s)) + 2e-6) * size**2 * width,
        )
        for (size, width), own in lines.items()
    )  # fmt: skip


def _fixed(widths: tuple[int, ...], C0s: tuple[float, ...], draws: int) -> tuple[Group, ...]:
    return tuple(
        Group(
            f"neurons at x: m = {width}",
            {"part": "fixed", "width": width, "C0s": C0s, "gammas": GAMMAS, "draws": draws},
            seconds=0.2 + 4e-8 * width * draws,
        )
        for width in widths
    )


def _moved(shapes: tuple[tuple[int, int], ...], draws: int) -> tuple[Group, ...]:
    return tuple(
        Group(
            f"neurons at x + δ: d = {dim}, m = {width}",
            {
                "part": "moved", "dim": dim, "width": width, "C0": 1, "gammas": (0.1,), "constants": (1, 2, 4),
                "draws": draws,
            },
            seconds=0.2 + (4e-8 * width * dim + 3e-10 * min(width, dim) ** 3) * draws,
        )
        for dim, width in shapes
    )  # fmt: skip


BALL_LEMMAS = Experiment(
    name="ball-lemmas",
    title="The steps of the proof, of every network in the lazy ball",
    question="How large can |f|, how small |∇f| get over the lazy ball, how many neurons can change sign, and how much "
    "can the gradient change nearby, against the lemmas that Theorem 3.1 is made of?",
    source="Wang, Ullah, Mianjy & Arora (2022), Lemmas 4.1 to 4.4 and B.4 to B.9",
    claims=LEMMAS,
    family=BALL,
    measure=Measure(
        "ball-lemmas",
        version=1,
        reference="gradflip.experiments.ball._lemmas_measure:measure",
        hashed_as="gradflip.experiments._ball_lemmas:measure",
        renamed=(("ball_kind", None), ("deviation", "scaled_deviation")),
    ),
    figure="gradflip.experiments.ball._lemmas_figure:lemmas_figure",
    curve="line",
    shown={
        "size": "image sizes",
        "width": "widths m",
        "C0s": "C0",
        "gammas": "γ",
        "points": "inputs",
        "draws": "draws",
    },
    groups={
        "quick": _networks((8, 12, 16, 22, 28), (250, 1000, 4000), (1, 3, 10), 16, 3)
        + _fixed((100, 1000, 10_000), (1, 3, 10), 10_000)
        + _moved(((400, 250), (400, 1000), (400, 4000)), 100),
        "standard": _networks((8, 12, 16, 22, 28, 40, 64), (250, 1000, 4000), (1, 2, 5, 10), 32, 3)
        + _fixed((100, 1000, 10_000, 100_000), (1, 3, 10), 10_000)
        + _moved(((100, 1000), (400, 250), (400, 1000), (400, 4000), (784, 4000)), 200),
        "paper": _networks((8, 12, 16, 22, 28, 40, 64, 100), (250, 1000, 4000, 16_000), (1, 2, 5, 10, 20), 64, 5)
        + _fixed((100, 1000, 10_000, 100_000), (1, 3, 10), 100_000)
        + _moved(((100, 1000), (400, 250), (400, 1000), (400, 4000), (1600, 1000), (1600, 4000)), 1000),
    },
)
