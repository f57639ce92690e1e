"""Bounds that hold with a probability: is the share of draws that break one what it may be?"""

from __future__ import annotations

from gradflip._errors import UsageError
from gradflip.claims._exponent import LEVEL, Interval


def clopper_pearson(count: int, total: int, level: float = LEVEL) -> Interval:
    """A probability from how often something happened, by the exact binomial test.

    Args:
        count: How often.
        total: In how many draws.
        level: With which at least the interval holds it.

    Returns:
        The share, and the probabilities that the test at 1 - level does not reject.

    Raises:
        UsageError: If `count` is not between 0 and `total`, or there is no draw.

    Source: Clopper & Pearson (1934), Biometrika 26.
    """
    if not 0 <= count <= total or total < 1:
        raise UsageError(f"count must be between 0 and a positive total, got {count} of {total}.")
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = 0.0 if count == 0 else float(beta.ppf(tail, count, total - count + 1))
    high = 1.0 if count == total else float(beta.isf(tail, count + 1, total - count))
    return Interval(count / total, low, high, total)
