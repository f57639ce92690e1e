"""Claims are statistics with expectations: evaluated on rows, each holds, fails or is undecided.

A statistic is a number with an interval: an exponent, a probability, a distance. An expectation is where it should lie.
"""

from gradflip.claims._claim import Claim, Finding
from gradflip.claims._contour import contour, crossing, ratios
from gradflip.claims._expectations import (
    Above,
    AtMost,
    Below,
    Equals,
    EqualsUpToChance,
    Expectation,
    Reported,
    Verdict,
)
from gradflip.claims._find import find
from gradflip.claims._interval import (
    Interval,
    clopper_pearson,
    difference,
    exponent,
    kolmogorov_margin,
    mean,
    two_sample_margin,
    wilson,
)
from gradflip.claims._law_statistics import (
    Approach,
    Difference,
    Distance,
    DistanceToExplicit,
    Excess,
    Fall,
    ShareAbove,
)
from gradflip.claims._power_statistics import Contour, Exponent, GrowthWithC0, Largest, Ratio, Variation
from gradflip.claims._statistic import Statistic

__all__ = [
    "Above", "Approach", "AtMost", "Below", "Claim", "Contour", "Difference", "Distance", "DistanceToExplicit",
    "Equals", "EqualsUpToChance", "Excess", "Expectation", "Exponent", "Fall", "Finding", "GrowthWithC0", "Interval",
    "Largest", "Ratio", "Reported", "ShareAbove", "Statistic", "Variation", "Verdict", "clopper_pearson", "contour",
    "crossing", "difference", "exponent", "find", "kolmogorov_margin", "mean", "ratios", "two_sample_margin", "wilson",
]  # fmt: skip
