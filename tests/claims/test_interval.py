"""Exponents, means, probabilities and distances with their intervals."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from gradflip import UsageError
from gradflip.claims import (
    Equals,
    Verdict,
    clopper_pearson,
    difference,
    exponent,
    kolmogorov_margin,
    mean,
    two_sample_margin,
    wilson,
)

DIMS = (25, 64, 100, 144, 196, 256, 400, 576, 784)


def draws(power, spread, seeds, rng):
    return {d: list(3.0 * d**power * np.exp(spread * rng.standard_normal(seeds))) for d in DIMS}


@given(st.floats(-2, 2), st.floats(1e-6, 1e6))
def test_an_exact_power_law_has_its_exponent_and_no_width(power, constant):
    found = exponent({d: [constant * d**power] * 3 for d in DIMS}, resamples=50)
    assert found.estimate == pytest.approx(power, abs=1e-9)
    assert found.low == pytest.approx(power, abs=1e-9)
    assert found.high == pytest.approx(power, abs=1e-9)


@pytest.mark.parametrize(("seeds", "least"), [(3, 0.83), (5, 0.90), (10, 0.91)])
def test_the_interval_covers_about_as_often_as_it_says(seeds, least):
    trials = 400  # a share of 0.95 has a standard error of 0.011; the docstring states 0.88 for 3 seeds
    rng = np.random.default_rng(seeds)
    found = [exponent(draws(-0.5, 0.15, seeds, rng), resamples=400, seed=t) for t in range(trials)]
    share = np.mean([interval.low <= -0.5 <= interval.high for interval in found])
    assert least <= share <= 0.985


def test_a_single_seed_says_nothing_of_the_spread():
    found = exponent({4: [1.0], 9: [1.5, 1.6]})
    assert (found.low, found.high, found.seeds) == (-math.inf, math.inf, 1)
    assert Equals(0.0).verdict(found) is Verdict.UNDECIDED


def test_the_same_draws_give_the_same_interval():
    one = draws(0.5, 0.2, 3, np.random.default_rng(0))
    assert exponent(one) == exponent(dict(reversed(one.items())))


def test_the_mean_of_groups_weighs_groups_alike():
    assert mean([[1.0, 1.0], [4.0, 4.0, 4.0, 4.0]]).estimate == 2.5


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({25: [1.0]}, "needs at least two points on its axis, got 1"),
        ({25: [1.0], 64: [-1.0]}, r"needs positive finite numbers, got \[-1.0\] at 64"),
        ({25: [1.0], 64: [math.nan]}, "needs positive finite numbers"),
        ({25: [1.0], 64: []}, "needs positive finite numbers"),
    ],
)
def test_what_has_no_logarithm_is_refused(bad, says):
    with pytest.raises(UsageError, match=says):
        exponent(bad)


def test_a_mean_of_nothing_is_refused():
    with pytest.raises(UsageError, match="at least one number in each group"):
        mean([[1.0], []])


@pytest.mark.parametrize(("count", "total"), [(0, 9), (1, 9), (5, 9), (9, 9), (300, 1000), (1, 10**6)])
@pytest.mark.parametrize("level", [0.95, 0.999])
def test_the_interval_of_a_share_is_that_of_scipy(count, total, level):
    found = wilson(count, total, level)
    known = scipy.stats.binomtest(count, total).proportion_ci(level, method="wilson")
    assert (found.estimate, found.seeds) == (count / total, total)
    assert (found.low, found.high) == pytest.approx((known.low, known.high), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(("count", "total"), [(-1, 5), (6, 5), (0, 0)])
def test_a_share_of_nothing_is_refused(count, total):
    with pytest.raises(UsageError, match="count must be between 0 and a positive total"):
        wilson(count, total)


def test_the_interval_of_a_difference_is_newcombes_published_example():
    found = difference(wilson(56, 70), wilson(48, 80))  # Newcombe (1998), Table II, method 10
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.estimate == pytest.approx(0.2)


def test_margins_are_those_of_massart_and_of_smirnov():
    assert 2 * math.exp(-2 * 500 * kolmogorov_margin(500, 0.99) ** 2) == pytest.approx(0.01)
    c = two_sample_margin(4000, 1000, 0.999)
    assert scipy.stats.kstwobign.sf(c * math.sqrt(800)) == pytest.approx(0.001, rel=1e-3)


@pytest.mark.parametrize(("count", "total"), [(0, 10), (10, 10), (3, 10), (1, 10_000), (9_999, 10_000), (250, 500)])
@pytest.mark.parametrize("level", [0.9, 0.95, 0.9999])
def test_the_interval_is_that_of_the_exact_binomial_test(count, total, level):
    found = clopper_pearson(count, total, level)
    tail, law = (1 - level) / 2, scipy.stats.binom
    assert found.estimate == count / total
    assert found.low == 0 if count == 0 else law.sf(count - 1, total, found.low) == pytest.approx(tail)
    assert found.high == 1 if count == total else law.cdf(count, total, found.high) == pytest.approx(tail)
    near = scipy.stats.binomtest(count, total).proportion_ci(level, method="exact")  # by a coarse root search
    assert (found.low, found.high) == pytest.approx((near.low, near.high), rel=1e-4)


def test_the_interval_holds_the_share_at_least_as_often_as_it_says():
    n = 30
    for p in (0.01, 0.1, 0.37):
        intervals = [clopper_pearson(count, n) for count in range(n + 1)]
        covered = sum(
            scipy.stats.binom.pmf(k, n, p) for k, found in enumerate(intervals) if found.low <= p <= found.high
        )
        assert covered >= 0.95


def test_counts_beyond_the_draws_are_refused():
    with pytest.raises(UsageError, match="got 4 of 3"):
        clopper_pearson(4, 3)
    with pytest.raises(UsageError, match="positive total"):
        clopper_pearson(0, 0)
