"""Claims of Wang et al. (2022) about robust accuracy within the ball (docs/mathematics/statistics.md)."""

from __future__ import annotations

from gradflip.claims import Claim, Contour, Equals, Largest, Reported

ATTACKS = {
    "robust_pgd": "PGD, 100 steps from five starts",
    "robust_one_step": "a single gradient step of the whole budget",
    "robust_ray": "the exact flip along the gradient ray, within the budget",
}
"""The attacks on each network, by the column of their robust accuracy."""
ATTACK_NAMES = {"robust_pgd": "PGD, five starts", "robust_one_step": "single step", "robust_ray": "exact ray flip"}
"""Short names of the attacks, by the same columns."""


def contours(*, over: str, along: str, quantity: str, law: str) -> tuple[Claim, ...]:
    """Claim for each of the three attacks that robust accuracy is one half along c / sqrt of an axis.

    Args:
        over: The column of that axis.
        along: The column in which the accuracy falls or rises.
        quantity: Where it is 1/2, in LaTeX.
        law: The law of the theory, in words.

    Returns:
        A claim per attack.
    """
    return tuple(
        Claim(
            Contour(column, along=along, over=over, label=ATTACK_NAMES[column]), Equals(-0.5), quantity,
            f"50 % contour of Figure 4, {law}: {words}",
        )
        for column, words in ATTACKS.items()
    )  # fmt: skip


GAPS = (
    Claim(
        Largest("missed_by_one_step", along="epsilon"), Reported(), r"A_{\text{step}} - A_{\text{PGD}}",
        "what PGD finds beyond a single step of the whole budget, at the budget where that is most",
    ),
    Claim(
        Largest("missed_by_ray", along="epsilon"), Reported(), r"A_{\text{ray}} - A_{\text{PGD}}",
        "what PGD finds beyond the gradient ray, at the budget where that is most",
    ),
)  # fmt: skip
"""How much weaker a single step is than many; the paper leaves this open, so it is only reported."""
