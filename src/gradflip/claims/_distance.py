"""Kolmogorov distances between laws, from samples: how far off the distance of the samples can be."""

from __future__ import annotations

import math


def kolmogorov_margin(draws: int, level: float) -> float:
    """How far a sample's distribution function may be from its law's, anywhere.

    Args:
        draws: Size of the sample.
        level: With which it is no further.

    Returns:
        sqrt(log(2 / (1 - level)) / (2 draws)): so far, too, a measured distance to a given law may be off.

    Source: Massart (1990), the inequality of Dvoretzky, Kiefer and Wolfowitz with its best constant.
    """
    return math.sqrt(math.log(2 / (1 - level)) / (2 * draws))


def two_sample_margin(first: int, second: int, level: float) -> float:
    """How far apart the distribution functions of two samples of one law may be, anywhere.

    Args:
        first: Size of one sample.
        second: Size of the other.
        level: With which they are no further.

    Returns:
        The distance that rejects, at 1 - level, that the laws are the same.

    Source: Smirnov's limit 2 exp(-2 n c^2), n = first second / (first + second); Wei & Dudley (2012), a bound for
        samples of equal size above 457.
    """
    return math.sqrt(math.log(2 / (1 - level)) / 2 * (1 / first + 1 / second))
