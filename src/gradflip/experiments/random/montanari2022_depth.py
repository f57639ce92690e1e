"""Deep random networks of many shapes: where the recursion of the limit holds, and where it must fail."""

from gradflip.claims import Above, Approach, Below, Claim, Equals, Excess
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._group import Group
from gradflip.experiments.random._cells import RANDOM
from gradflip.experiments.random._shapes import GROWING, NARROW, SHAPES, hidden_widths
from gradflip.sweep import Measure

DEPTHS = (1, 2, 3, 4, 5, 6)


def _ensembles(
    dims: tuple[int, ...], polynomial: tuple[int, ...], scales: tuple[tuple[str, float], ...], draws: int, rays: int
) -> tuple[Group, ...]:
    """Make groups of every shape at several input dimensions, for each activation and weight variance."""
    groups = []
    for activation, variance in scales:
        for shape in SHAPES:
            for dim in polynomial if shape == "polynomial" else dims[-1:] if shape in NARROW else dims:
                for depth in DEPTHS:
                    widths = [dim, *hidden_widths(shape, dim, depth)]
                    cost = sum(p + q for p, q in zip(widths, widths[1:], strict=False))
                    groups.append(
                        Group(
                            f"depth: {activation}, variance {variance:g}, {shape}, L = {depth}, d = {dim}",
                            {
                                "activation": activation, "weight_variance": variance, "shape": shape,
                                "widths": widths, "draws": draws, "ray_draws": rays, "attack_steps": 10,
                            },
                            seconds=8e-3 * rays + 1.3e-7 * cost * (draws + 8 * rays),
                        )
                    )  # fmt: skip
    return tuple(groups)


FLIPS = r"P(f(x) f(x(\nu / \tau^2)) < 0)"
_SCALES = (("relu", 1.0), ("relu", 2.0), ("tanh", 1.0))

MONTANARI2022_DEPTH = Experiment(
    name="montanari2022-depth",
    title="Deep random networks: shapes for which one step flips, and shapes for which it does not",
    question="Does one gradient step of the same order flip a deep random network, whatever its shape, and what do "
    "several steps add?",
    source="Montanari & Wu (2022), networks of constant depth; beside Daniely & Shacham (2020), Bubeck et al. (2021) "
    "and Bartlett et al. (2021)",
    family=RANDOM,
    measure=Measure(
        "random-depth",
        version=1,
        reference="gradflip.experiments.random._depth_measure:measure",
        hashed_as="gradflip.experiments._random_depth:measure",
        renamed=(("kind", None),),
    ),
    figure="gradflip.experiments.random._depth_figure:depth_figure",
    curve="curve",
    claims=(
        Claim(
            Excess("flips"),
            Equals(0.0),
            FLIPS,
            "at the largest d, one step flips as often as in the limit, 2 Φ(1) - 1 = 0.683, at every depth up to 6",
            only=("shape", GROWING),
            at_last=("dim",),
        ),
        Claim(
            Approach("flips", along="dim"),
            Above(0.0),
            FLIPS,
            "at the greatest depth, the probability comes closer to its limit from the smallest d to the largest",
            only=("shape", GROWING),
            at_last=("depth",),
        ),
        Claim(
            Excess("flips"),
            Below(-0.1),
            FLIPS,
            "the theorem needs widths that grow: where they stay at 2 or 5 and the network is deep, one step fails",
            only=("shape", NARROW),
            at_last=("depth",),
        ),
    ),
    groups={
        "quick": _ensembles((100, 1000), (25, 250), (("relu", 1.0), ("tanh", 1.0)), 1000, 100),
        "standard": _ensembles((100, 400, 4000), (25, 100, 400), _SCALES, 4000, 400),
        "paper": _ensembles((100, 1000, 20_000), (25, 250, 2000), _SCALES, 10_000, 2000),
    },
)
