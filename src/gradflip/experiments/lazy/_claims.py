"""Claims of Wang et al. (2022) about lazily trained networks (docs/mathematics/lazy-training.md)."""

from __future__ import annotations

from gradflip.claims import Above, Claim, Equals, Exponent, GrowthWithC0, Reported, Variation

FLAT = (
    Claim(Exponent("gradient_flat"), Equals(0.0), r"|g| / \sqrt{d}", "Lemma 4.2: the gradient norm grows as √d"),
    Claim(
        Exponent("step_flat"),
        Equals(0.0),
        r"s^* d / \sqrt{|x|^2 + b}",
        "Theorem 3.1: a step of order 1/d flips an input (x, b) of norm 1",
    ),
    Claim(
        Exponent("relative_flat"),
        Equals(0.0),
        r"\rho \sqrt{d} / \sqrt{1 + b / |x|^2}",
        "Theorem 3.1: a perturbation of order 1/√d flips it",
    ),
)
"""The quantities that should be flat in d, whatever the norm of the inputs."""

RAW = (
    Claim(Exponent("gradient_norm"), Reported(), r"|g|", "drawn; 1/2 in theory"),
    Claim(Exponent("step"), Reported(), r"s^*", "drawn; -1 for inputs of norm 1, about -1/2 where |x| grows as √d"),
    Claim(Exponent("relative"), Reported(), r"\rho", "drawn; -1/2 for inputs of norm 1"),
)

GROWTH = (
    Claim(GrowthWithC0("gradient_norm"), Above(0.0), r"|g|", "Section 5.1: the gradient norm grows with C0"),
    Claim(GrowthWithC0("perturbation"), Above(0.0), r"s^* |g|", "Section 5.1: the perturbation grows with C0"),
    Claim(GrowthWithC0("step"), Reported(), r"s^*", "the text says it grows, its scripts show both: reported"),
)

VARIATION = (
    Claim(Variation("gradient_norm_cv"), Reported(), r"|g|", "concentration over the test images"),
    Claim(Variation("step_cv"), Reported(), r"s^*", "concentration over the test images"),
    Claim(Variation("relative_cv"), Reported(), r"\rho", "concentration over the test images"),
)
