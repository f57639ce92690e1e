"""Rows -> exponents, probabilities, distances with intervals -> holds, fails, undecided."""

from gradflip.claims._binomial import clopper_pearson
from gradflip.claims._claim import Claim, Finding, Verdict, judge
from gradflip.claims._contour import contour, crossing, ratios
from gradflip.claims._distance import kolmogorov_margin, two_sample_margin
from gradflip.claims._exponent import Interval, exponent, mean
from gradflip.claims._find import find
from gradflip.claims._proportion import difference, wilson

__all__ = [
    "Claim", "Finding", "Interval", "Verdict", "clopper_pearson", "contour", "crossing", "difference", "exponent",
    "find", "judge", "kolmogorov_margin", "mean", "ratios", "two_sample_margin", "wilson",
]  # fmt: skip
