"""What Lemmas 4.1 to 4.4 and Figure 1 of Wang et al. (2022) say, as numbers (docs/mathematics/lazy-training.md)."""

from __future__ import annotations

from gradflip.claims import Claim

IN_BALL, IN_CONE, OUTSIDE = "in the ball", "in the cone only", "outside"
"""Where an iterate of training is: lines of the rows of Figure 1."""
FIXED = "x fixed"
INDEPENDENT, GRADIENT, CHOSEN = "δ independent of W0", "δ along the gradient", "δ chosen from W0"
"""At which inputs neurons are counted: lines of the rows of Lemma 4.3."""

_RISE = r"\sup_W |f(x; W)| - |f(x; W_0)|"
_MINIMUM = r"\min_W |\nabla f(x; W)|"
_DROP = r"|\nabla f(x; W_0)| - \min_W |\nabla f(x; W)|"
_DIFFERENCE = r"\sup_\delta |\nabla f(x + \delta; W) - \nabla f(x; W)|"
_EXCEEDED = r"P(|S| > \text{bound}) - \gamma"


def _exponent(column: str, over: str, quantity: str, value: float | None, why: str) -> Claim:
    return Claim("exponent", column, quantity, value, why, only=("over", (over,)), over=over)


LEMMAS = (
    _exponent("rise", "dim", _RISE, 0.0, "Lemma 4.1: what the ball adds to |f| does not depend on d"),
    _exponent("rise", "width", _RISE, 0.0, "Lemma 4.1: what the ball adds to |f| does not depend on m"),
    _exponent("rise", "C0", _RISE, 1.0, "Lemma 4.1: what the ball adds to |f| grows as C0, as C0/2"),
    _exponent(
        "gradient0", "dim", r"|\nabla f(x; W_0)|", 0.5, "Lemma 4.2 at W0: the gradient norm grows as √d, as √(d/2)"
    ),
    _exponent("gradient", "dim", r"|\nabla f(x; W)|", 0.5, "Lemma 4.2 at trained networks, at test images"),
    _exponent(
        "minimum", "dim", _MINIMUM, 0.5,
        "Lemma 4.2 at the worst network of the ball: its c √d shows only where C0 is small against √(d/2), since the "
        "ball takes about (1/2 + 1/π) C0 away; at sizes where it is not the exponent is larger, and where the gradient "
        "vanishes there is none",
    ),
    _exponent("drop", "dim", _DROP, 0.0, "Lemma 4.2: what the ball takes from the gradient norm does not depend on d"),
    _exponent("drop", "width", _DROP, 0.0, "Lemma 4.2: what the ball takes from it is the same at every m"),
    _exponent("drop", "C0", _DROP, 1.0, "Lemma 4.2: it grows as C0 as long as there is gradient left"),
    Claim(
        "at-most-share", "violations", _EXCEEDED, 0.0,
        "Lemma 4.3: more neurons than its bound can change sign in a share γ of draws at most, for inputs fixed before "
        "W0 is drawn",
        only=("line", (FIXED, INDEPENDENT)),
    ),
    Claim(
        "at-most-share", "violations", _EXCEEDED, None,
        "Lemma 4.3 with δ along the gradient, which depends on W0: not what it says, but what the proof meets",
        only=("line", (GRADIENT,)),
    ),
    Claim(
        "above-share", "violations", _EXCEEDED, 0.0,
        "the bound of Lemma 4.3 is not uniform in x: a δ of length c/√d chosen from W0 breaks it",
        only=("line", (CHOSEN,)),
    ),
    Claim(
        "exponent-below", "difference0", _DIFFERENCE, 0.5,
        "Lemma 4.4 at W0: the gradient changes by o(√d) within c/√d; found by search, so a lower estimate",
        only=("over", ("dim",)), over="dim",
    ),
    Claim(
        "exponent-below", "difference", _DIFFERENCE, 0.5,
        "Lemma 4.4 at trained networks, by search, at test images",
        only=("over", ("dim",)), over="dim",
    ),
    _exponent("difference0", "width", _DIFFERENCE, None, "Lemma 4.4 at W0, against the width"),
    _exponent("difference", "width", _DIFFERENCE, None, "Lemma 4.4 at trained networks, against the width"),
)  # fmt: skip
"""The steps of the proof of Theorem 3.1."""

CONE = (
    Claim("exponent", "step", "s^*", -1.0, "homogeneity: c W needs a step 1/c as long", over="scale"),
    Claim("exponent", "perturbation", r"s^* |g|", 0.0, "homogeneity: the perturbation is that of W", over="scale"),
    Claim("exponent", "relative", r"\rho", 0.0, "homogeneity: so is the relative one", over="scale"),
)
"""What is the same all along a ray of the cone."""

BRACKET = tuple(
    Claim(
        "bracket", "attainable_accuracy", r"\epsilon_{\text{certified}} / \epsilon_{\text{attained}}", 1.5,
        f"the budget from which no network of the ball keeps {level:.0%} robust accuracy, over that to which one does",
        along="epsilon", above="certified_accuracy", level=level,
    )
    for level in (0.5, 0.75)
)  # fmt: skip
"""How much is left open between what is proved and what was found; 1.5 is this project's own goal."""
