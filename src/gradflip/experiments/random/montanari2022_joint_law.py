"""The joint law of f at an input and where the gradient step leads: implicit networks against explicit ones."""

from gradflip.claims import Claim, Distance, DistanceToExplicit, EqualsUpToChance, Reported
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._group import Group
from gradflip.experiments.random._cells import RANDOM
from gradflip.sweep import Measure

STEPS = (0.5, 1.0, 2.0)


def _ensembles(
    activations: tuple[str, ...], size: int, draws: int, explicit_draws: int, larger: tuple[int, ...] = ()
) -> tuple[Group, ...]:
    """Make groups with d = m = size, implicit and explicit, and larger implicit ones that approach the limit."""
    sizes = [(size, draws, explicit_draws), *[(other, draws, 0) for other in larger]]
    return tuple(
        Group(
            f"joint law: {activation}, d = m = {side}",
            {
                "activation": activation, "dim": side, "width": side, "draws": implicit, "explicit_draws": explicit,
                "steps": STEPS, "reach": 3.6, "bins": 36,
            },
            seconds=3e-7 * side * implicit + 2e-8 * side**2 * explicit,
        )
        for activation in activations
        for side, implicit, explicit in sizes
    )  # fmt: skip


MONTANARI2022_JOINT_LAW = Experiment(
    name="montanari2022-joint-law",
    title="Where the gradient step leads: the joint law of f(x) and f(x(s))",
    question="Is f(x(s)) what Gaussian conditioning says it is, given f(x), and are networks known only by their "
    "products the same in law as explicit ones?",
    source="Montanari & Wu (2022), the Gaussian conditioning of the proof",
    family=RANDOM,
    measure=Measure(
        "random-joint-law",
        version=1,
        reference="gradflip.experiments.random._joint_law_measure:measure",
        hashed_as="gradflip.experiments._random_joint_law:measure",
        renamed=(("kind", None),),
    ),
    figure="gradflip.experiments.random._joint_law_figure:joint_law_figure",
    curve="activation",
    claims=(
        Claim(
            DistanceToExplicit("ks"),
            EqualsUpToChance(0.0),
            r"(f(x), f(x(s)))",
            "implicit and explicit networks have the same law: both marginals and 20 random projections at each s",
        ),
        Claim(
            Distance("distance"),
            Reported(),
            r"f(x(s))",
            "how far the largest networks are from the limit f(x) - s sign(f(x)) τ², at the s where they are furthest",
            at_last=("dim",),
        ),
    ),
    groups={
        "quick": _ensembles(("relu", "tanh"), 100, 20_000, 20_000, (1000,)),
        "standard": _ensembles(("relu", "tanh", "gelu", "abs"), 100, 100_000, 100_000, (1000, 10_000)),
        "paper": _ensembles(("relu", "tanh", "gelu", "abs"), 400, 200_000, 200_000, (10_000, 100_000)),
    },
)
