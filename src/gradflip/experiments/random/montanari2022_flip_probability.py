"""How often one gradient step of size s flips a random two-layer network, by activation."""

from gradflip.claims import Claim, Difference, EqualsUpToChance, Excess, Reported
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._group import Group
from gradflip.experiments.random._cells import RANDOM
from gradflip.sweep import Measure

ACTIVATIONS = ("relu", "tanh", "erf", "gelu", "softplus", "abs", "sin", "leaky_relu")
STEPS = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0)


def _ensembles(size: int, draws: int, explicit_draws: int) -> tuple[Group, ...]:
    """Make groups with d = m = size, both by the exact law and with explicit matrices."""
    seconds = 2e-8 * size * (20 * draws + size * explicit_draws)
    return tuple(
        Group(
            f"flip probability: {activation}, d = m = {size}",
            {
                "activation": activation, "dim": size, "width": size, "draws": draws, "explicit_draws": explicit_draws,
                "steps": STEPS,
            },
            seconds=seconds,
        )
        for activation in ACTIVATIONS
    )  # fmt: skip


MONTANARI2022_FLIP_PROBABILITY = Experiment(
    name="montanari2022-flip-probability",
    title="How often one gradient step flips a random network, by activation",
    question="Does a step of s times the gradient flip a random two-layer network with probability 2 Φ(s τ²/ν) - 1, "
    "for every activation, and is the law of networks that are never built that of explicit ones?",
    source="Montanari & Wu (2022), the joint law behind their theorem for two layers",
    family=RANDOM,
    measure=Measure(
        "random-flip-probability",
        version=1,
        reference="gradflip.experiments.random._flip_probability_measure:measure",
        hashed_as="gradflip.experiments._random_flip_probability:measure",
        renamed=(("kind", None),),
    ),
    figure="gradflip.experiments.random._flip_probability_figure:flip_probability_figure",
    curve="activation",
    claims=(
        Claim(
            Difference("flips"),
            EqualsUpToChance(0.0),
            r"P(f(x) f(x(s)) < 0)",
            "the law of networks that are never built is that of networks with explicit matrices, at every s",
        ),
        Claim(
            Excess("flips"),
            Reported(),
            r"P(f(x) f(x(s)) < 0)",
            "how far the largest networks are from 2 Φ(s τ²/ν) - 1, at the s where they are furthest",
            at_last=("dim",),
        ),
    ),
    groups={
        "quick": _ensembles(200, 4000, 4000) + _ensembles(2000, 2000, 0),
        "standard": _ensembles(200, 20_000, 20_000) + _ensembles(2000, 20_000, 4000),
        "paper": _ensembles(200, 100_000, 100_000) + _ensembles(2000, 100_000, 20_000) + _ensembles(20_000, 100_000, 0),
    },
)
