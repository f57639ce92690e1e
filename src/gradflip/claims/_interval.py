"""Intervals: bootstrap over seeds, probabilities from counts, margins of Kolmogorov distances."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from gradflip._errors import UsageError
from gradflip._seeds import derived_seed

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A number with its interval; for a fit or a mean, the 95 % bootstrap interval over seeds.

    Attributes:
        estimate: The number.
        low: Lower end; -inf where a single seed leaves the spread unknown.
        high: Upper end; inf in that case.
        seeds: Number of seeds at the point that has the fewest; for a share or a distance, of draws.
    """

    estimate: float
    low: float
    high: float
    seeds: int


def exponent(draws: Mapping[float, Sequence[float]], *, resamples: int = 4000, seed: int = 0) -> Interval:
    """The exponent e of y ~ x^e, fitted by least squares on the log scale to the means over seeds at each x.

    Seeds are resampled independently at each x: different x have different networks.

    Args:
        draws: At each x > 0, one y > 0 per seed: a mean over a data set, never a single example.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.

    Returns:
        The exponent. In simulations with 9 points the interval covers it in 88 % of cases with 3 seeds, 94 % with 5.

    Raises:
        UsageError: If there are fewer than two x, or a number is not positive and finite.
    """
    if len(draws) < 2:
        raise UsageError(f"an exponent needs at least two points on its axis, got {len(draws)}.")
    for x, ys in draws.items():
        if not ys or not all(0 < number < math.inf for number in (x, *ys)):
            raise UsageError(f"an exponent needs positive finite numbers, got {list(ys)} at {x}.")
    points = sorted(draws)
    log_x = np.log(points)
    weights = (log_x - log_x.mean()) / ((log_x - log_x.mean()) ** 2).sum()
    # figures show the mean of y, not of log y, so the relative deviations of y are resampled
    estimate = float(weights @ np.log([np.mean(draws[x]) for x in points]))
    return _bootstrap(estimate, [np.log(draws[x]) for x in points], weights, resamples, seed)


def mean(draws: Sequence[Sequence[float]], *, resamples: int = 4000, seed: int = 0) -> Interval:
    """The mean over groups of the means over their seeds.

    Args:
        draws: One number per seed, for each group; groups are resampled independently.
        resamples: Number of bootstrap resamples.
        seed: Seed of the resampling.

    Returns:
        The mean.

    Raises:
        UsageError: If there is no group, or one without a number.
    """
    if not draws or not all(draws):
        raise UsageError("a mean needs at least one number in each group.")
    weights = np.full(len(draws), 1 / len(draws))
    estimate = float(weights @ np.array([np.mean(group) for group in draws]))
    return _bootstrap(estimate, [np.asarray(group, dtype=float) for group in draws], weights, resamples, seed)


def _bootstrap(
    estimate: float, groups: Sequence[np.ndarray], weights: np.ndarray, resamples: int, seed: int
) -> Interval:
    """Return the interval of a weighted sum of group means around `estimate`.

    A resample of n draws is narrower than its population by (n - 1) / n in variance, which matters at 3 seeds, so
    deviations from the mean are stretched by sqrt(n / (n - 1)) first.
    """
    seeds = min(len(group) for group in groups)
    if seeds < 2:
        return Interval(estimate, -math.inf, math.inf, seeds)
    random = np.random.default_rng(derived_seed(seed, "bootstrap"))
    moved = np.zeros(resamples)
    for group, weight in zip(groups, weights, strict=True):
        n = len(group)
        deviations = (group - group.mean()) * math.sqrt(n / (n - 1))
        moved += weight * deviations[random.integers(n, size=(resamples, n))].mean(axis=1)
    low, high = np.quantile(moved, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(estimate, estimate + float(low), estimate + float(high), seeds)


def wilson(count: int, total: int, level: float = LEVEL) -> Interval:
    """A probability estimated from a count, with Wilson's interval.

    Args:
        count: Number of draws with the event.
        total: Number of draws.
        level: Confidence level.

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


def clopper_pearson(count: int, total: int, level: float = LEVEL) -> Interval:
    """A probability estimated from a count, with the interval of the exact binomial test.

    Args:
        count: Number of draws with the event.
        total: Number of draws.
        level: Confidence level; the coverage is never below it.

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


def kolmogorov_margin(draws: int, level: float) -> float:
    """A bound on the Kolmogorov distance between a sample and its own law.

    Args:
        draws: Size of the sample.
        level: Confidence level.

    Returns:
        sqrt(log(2 / (1 - level)) / (2 draws)), which also bounds the error of a measured distance to a given law.

    Source: Massart (1990), the inequality of Dvoretzky, Kiefer and Wolfowitz with its best constant.
    """
    return math.sqrt(math.log(2 / (1 - level)) / (2 * draws))


def two_sample_margin(first: int, second: int, level: float) -> float:
    """A bound on the Kolmogorov distance between two samples of one law.

    Args:
        first: Size of one sample.
        second: Size of the other.
        level: Confidence level.

    Returns:
        The distance that rejects, at 1 - level, that the laws are the same.

    Source: Smirnov's limit 2 exp(-2 n c^2), n = first second / (first + second); Wei & Dudley (2012), a bound for
        samples of equal size above 457.
    """
    return math.sqrt(math.log(2 / (1 - level)) / 2 * (1 / first + 1 / second))
