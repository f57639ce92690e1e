"""How a quantity grows: the slope of its logarithm, with an interval over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gradflip._errors import UsageError
from gradflip._seeds import derived_seed

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A number and its interval: of a fit or a mean the 95 % bootstrap over seeds.

    Attributes:
        estimate: The number.
        low: Lower end; -inf where a single seed says nothing of the spread.
        high: Upper end.
        seeds: Seeds at the point that has the fewest; of a share or a distance, draws.
    """

    estimate: float
    low: float
    high: float
    seeds: int


def exponent(draws: Mapping[float, Sequence[float]], *, resamples: int = 4000, seed: int = 0) -> Interval:
    """The e of y ~ x^e, fitted by least squares on the log scale to the means over seeds at each x.

    Seeds are resampled at each x independently of those at other x: the networks there are other networks.

    Args:
        draws: At each x > 0, one y > 0 per seed: a mean over a data set, never a single example.
        resamples: How many.
        seed: Of the resampling.

    Returns:
        The exponent. Simulated with 9 points, the interval covers in 88 % of cases with 3 seeds, 94 % with 5.

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
    # the mean of y, not of log y, is what is drawn; its relative deviations are what is resampled
    estimate = float(weights @ np.log([np.mean(draws[x]) for x in points]))
    return _bootstrap(estimate, [np.log(draws[x]) for x in points], weights, resamples, seed)


def mean(draws: Sequence[Sequence[float]], *, resamples: int = 4000, seed: int = 0) -> Interval:
    """The mean over groups of the means over their seeds.

    Args:
        draws: One number per seed, for each group; groups are resampled independently.
        resamples: How many.
        seed: Of the resampling.

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
