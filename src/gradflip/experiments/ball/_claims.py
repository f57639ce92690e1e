"""Claims of Lemmas 4.1 to 4.4 and Figure 1 of Wang et al. (2022) (docs/mathematics/lazy-training.md)."""

from __future__ import annotations

from gradflip.claims import Above, AtMost, Below, Claim, Equals, Expectation, Exponent, Ratio, Reported, ShareAbove

IN_BALL, IN_CONE, OUTSIDE = "in the ball", "in the cone only", "outside"
"""Lines of Figure 1: where an iterate of training is."""
FIXED = "x fixed"
INDEPENDENT, GRADIENT, CHOSEN = "δ independent of W0", "δ along the gradient", "δ chosen from W0"
"""Lines of Lemma 4.3: the inputs at which neurons are counted."""

_RISE = r"\sup_W |f(x; W)| - |f(x; W_0)|"
_MINIMUM = r"\min_W |\nabla f(x; W)|"
_DROP = r"|\nabla f(x; W_0)| - \min_W |\nabla f(x; W)|"
_DIFFERENCE = r"\sup_\delta |\nabla f(x + \delta; W) - \nabla f(x; W)|"
_EXCEEDED = r"P(|S| > \text{bound}) - \gamma"


def _exponent(column: str, over: str, expectation: Expectation, quantity: str, why: str) -> Claim:
    """A claim on an exponent, over networks that differ in one column."""
    return Claim(Exponent(column, over), expectation, quantity, why, only=("over", (over,)))


LEMMAS = (
    _exponent("rise", "dim", Equals(0.0), _RISE, "Lemma 4.1: what the ball adds to |f| does not depend on d"),
    _exponent("rise", "width", Equals(0.0), _RISE, "Lemma 4.1: what the ball adds to |f| does not depend on m"),
    _exponent("rise", "C0", Equals(1.0), _RISE, "Lemma 4.1: what the ball adds to |f| grows as C0, as C0/2"),
    _exponent(
        "gradient0", "dim", Equals(0.5), r"|\nabla f(x; W_0)|",
        "Lemma 4.2 at W0: the gradient norm grows as √d, as √(d/2)",
    ),
    _exponent("gradient", "dim", Equals(0.5), r"|\nabla f(x; W)|", "Lemma 4.2 at trained networks, at test images"),
    _exponent(
        "minimum", "dim", Equals(0.5), _MINIMUM,
        "Lemma 4.2 at the worst network of the ball: its c √d shows only where C0 is small against √(d/2), since the "
        "ball takes about (1/2 + 1/π) C0 away; at sizes where it is not the exponent is larger, and where the gradient "
        "vanishes there is none",
    ),
    _exponent(
        "drop", "dim", Equals(0.0), _DROP,
        "Lemma 4.2: what the ball takes from the gradient norm does not depend on d",
    ),
    _exponent("drop", "width", Equals(0.0), _DROP, "Lemma 4.2: what the ball takes from it is the same at every m"),
    _exponent("drop", "C0", Equals(1.0), _DROP, "Lemma 4.2: it grows as C0 as long as there is gradient left"),
    Claim(
        ShareAbove("violations"), AtMost(0.0), _EXCEEDED,
        "Lemma 4.3: more neurons than its bound can change sign in a share γ of draws at most, for inputs fixed before "
        "W0 is drawn",
        only=("line", (FIXED, INDEPENDENT)),
    ),
    Claim(
        ShareAbove("violations"), Reported(signed=True), _EXCEEDED,
        "Lemma 4.3 with δ along the gradient, which depends on W0: not what it says, but what the proof meets",
        only=("line", (GRADIENT,)),
    ),
    Claim(
        ShareAbove("violations"), Above(0.0), _EXCEEDED,
        "the bound of Lemma 4.3 is not uniform in x: a δ of length c/√d chosen from W0 breaks it",
        only=("line", (CHOSEN,)),
    ),
    _exponent(
        "difference0", "dim", Below(0.5), _DIFFERENCE,
        "Lemma 4.4 at W0: the gradient changes by o(√d) within c/√d; found by search, so a lower estimate",
    ),
    _exponent(
        "difference", "dim", Below(0.5), _DIFFERENCE,
        "Lemma 4.4 at trained networks, by search, at test images",
    ),
    _exponent("difference0", "width", Reported(), _DIFFERENCE, "Lemma 4.4 at W0, against the width"),
    _exponent("difference", "width", Reported(), _DIFFERENCE, "Lemma 4.4 at trained networks, against the width"),
)  # fmt: skip
"""The steps of the proof of Theorem 3.1."""

CONE = (
    Claim(Exponent("step", "scale"), Equals(-1.0), "s^*", "homogeneity: c W needs a step 1/c as long"),
    Claim(Exponent("perturbation", "scale"), Equals(0.0), r"s^* |g|", "homogeneity: the perturbation is that of W"),
    Claim(Exponent("relative", "scale"), Equals(0.0), r"\rho", "homogeneity: so is the relative one"),
)
"""The invariants along a ray of the cone."""

BRACKET = tuple(
    Claim(
        Ratio("attainable_accuracy", above="certified_accuracy", along="epsilon", level=level), AtMost(1.5),
        r"\epsilon_{\text{certified}} / \epsilon_{\text{attained}}",
        f"the budget from which no network of the ball keeps {level:.0%} robust accuracy, over that to which one does",
    )
    for level in (0.5, 0.75)
)  # fmt: skip
"""The gap between what is proved and what was attained; 1.5 is this project's own goal."""
