"""What Wang et al. (2022) say of robust accuracy within the ball, as numbers (docs/mathematics/statistics.md)."""

from __future__ import annotations

from gradflip.claims import Claim, Contour, Equals, Largest, Reported

ATTACKS = {
    "robust_pgd": "PGD, 100 steps from five starts",
    "robust_one_step": "a single gradient step of the whole budget",
    "robust_ray": "the exact flip along the gradient ray, within the budget",
}
"""The three layers of each cell: columns of a row, and what attacks."""
ATTACK_NAMES = {"robust_pgd": "PGD, five starts", "robust_one_step": "single step", "robust_ray": "exact ray flip"}
"""The same columns, and what attacks in a word or two."""


def contours(*, over: str, along: str, quantity: str, law: str) -> tuple[Claim, ...]:
    """The claim that half of the robust accuracy is lost along c / sqrt of an axis, for each of the three attacks.

    Args:
        over: The column of that axis.
        along: The column in which the accuracy falls or rises.
        quantity: Where it is 1/2, in LaTeX.
        law: The theory in words.

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
"""How much weaker a single step is than many; the paper leaves it open, so it is reported."""
