"""Shares of draws, with intervals that hold near 0 and 1 too."""

from __future__ import annotations

import math
from statistics import NormalDist

from gradflip._errors import UsageError
from gradflip.claims._exponent import LEVEL, Interval


def wilson(count: int, total: int, level: float = LEVEL) -> Interval:
    """A probability, from how often something happened.

    Args:
        count: How often.
        total: In how many draws.
        level: With which the interval holds it.

    Returns:
        The share, and Wilson's interval around it.

    Raises:
        UsageError: If `count` is not between 0 and `total`, or there is no draw.

    Source: Wilson (1927), Journal of the American Statistical Association 22.
    """
    if not 0 <= count <= total or total < 1:
        raise UsageError(f"count must be between 0 and a positive total, got {count} of {total}.")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, shrink = count / total, 1 + z * z / total
    centre = (share + z * z / (2 * total)) / shrink
    reach = z / shrink * math.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2)
    # where all draws agree, an end is 0 or 1 but for rounding
    low = 0.0 if count == 0 else centre - reach
    return Interval(share, low, 1.0 if count == total else centre + reach, total)


def difference(first: Interval, second: Interval) -> Interval:
    """The difference of two probabilities from independent draws.

    Args:
        first: A share with Wilson's interval.
        second: Another, at the same level.

    Returns:
        first - second with Newcombe's interval, at about that level.

    Source: Newcombe (1998), Statistics in Medicine 17, method 10.
    """
    centre = first.estimate - second.estimate
    below = math.hypot(first.estimate - first.low, second.high - second.estimate)
    above = math.hypot(first.high - first.estimate, second.estimate - second.low)
    return Interval(centre, centre - below, centre + above, min(first.seeds, second.seeds))
