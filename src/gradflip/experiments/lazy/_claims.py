"""What Wang et al. (2022) say of lazily trained networks, as numbers (docs/mathematics/lazy-training.md)."""

from __future__ import annotations

from gradflip.claims import Claim

FLAT = (
    Claim("exponent", "gradient_flat", r"|g| / \sqrt{d}", 0.0, "Lemma 4.2: the gradient norm grows as √d"),
    Claim(
        "exponent",
        "step_flat",
        r"s^* d / \sqrt{|x|^2 + b}",
        0.0,
        "Theorem 3.1: a step of order 1/d flips an input (x, b) of norm 1",
    ),
    Claim(
        "exponent",
        "relative_flat",
        r"\rho \sqrt{d} / \sqrt{1 + b / |x|^2}",
        0.0,
        "Theorem 3.1: a perturbation of order 1/√d flips it",
    ),
)
"""The quantities that should be flat in d, whatever the norm of the inputs."""

RAW = (
    Claim("exponent", "gradient_norm", r"|g|", None, "drawn; 1/2 in theory"),
    Claim("exponent", "step", r"s^*", None, "drawn; -1 for inputs of norm 1, about -1/2 where |x| grows as √d"),
    Claim("exponent", "relative", r"\rho", None, "drawn; -1/2 for inputs of norm 1"),
)

GROWTH = (
    Claim("grows-with-C0", "gradient_norm", r"|g|", 0.0, "Section 5.1: the gradient norm grows with C0"),
    Claim("grows-with-C0", "perturbation", r"s^* |g|", 0.0, "Section 5.1: the perturbation grows with C0"),
    Claim("grows-with-C0", "step", r"s^*", None, "the text says it grows, its scripts show both: reported"),
)

VARIATION = (
    Claim("variation", "gradient_norm_cv", r"|g|", None, "concentration over the test images"),
    Claim("variation", "step_cv", r"s^*", None, "concentration over the test images"),
    Claim("variation", "relative_cv", r"\rho", None, "concentration over the test images"),
)
