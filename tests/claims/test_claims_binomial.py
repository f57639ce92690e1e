"""Shares of draws that break a bound, and exponents in columns other than the dimension."""

import math

import polars as pl
import pytest
import scipy.stats

from gradflip import UsageError
from gradflip.claims import Claim, Verdict, clopper_pearson, find


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


def shares(*violations, gamma=0.1, draws=1000):
    lines = [
        {"line": "x", "violations": v, "draws": draws, "gamma": gamma, "seed": i} for i, v in enumerate(violations)
    ]
    return pl.DataFrame(lines)


def verdict(kind, table, value=0.0):
    (finding,) = find(Claim(kind, "violations", "v", value, "tests"), table, "line")
    return finding.verdict, finding.found


def test_a_bound_holds_fails_or_is_undecided_by_the_share_of_draws_that_break_it():
    assert verdict("at-most-share", shares(50))[0] is Verdict.HOLDS
    assert verdict("at-most-share", shares(100))[0] is Verdict.UNDECIDED
    assert verdict("at-most-share", shares(150))[0] is Verdict.FAILS
    assert verdict("at-most-share", shares(0, 20, 150))[0] is Verdict.FAILS
    assert verdict("at-most-share", shares(0, 0, 0, draws=10))[0] is Verdict.UNDECIDED


def test_a_bound_is_broken_where_every_comparison_breaks_it():
    assert verdict("above-share", shares(1000, 150))[0] is Verdict.HOLDS
    assert verdict("above-share", shares(1000, 100))[0] is Verdict.UNDECIDED
    assert verdict("above-share", shares(1000, 20))[0] is Verdict.FAILS


def test_the_comparison_that_decides_is_shown_less_the_share_allowed():
    _, found = verdict("at-most-share", shares(10, 50))
    assert found.estimate == pytest.approx(0.05 - 0.1)
    level = 1 - 0.05 / 2  # two comparisons together
    assert found.high == pytest.approx(clopper_pearson(50, 1000, level).high - 0.1)
    none, reported = verdict("at-most-share", shares(10, 50), value=None)
    assert none is None
    assert reported.estimate == pytest.approx(-0.05)


def test_bounds_that_just_hold_are_not_refuted_more_often_than_said():
    failing = [k for k in range(1001) if verdict("at-most-share", shares(k))[0] is Verdict.FAILS]
    assert scipy.stats.binom.sf(min(failing) - 1, 1000, 0.1) <= 0.025


def powers(e, over, spread=0.01):
    lines = [
        {"line": "l", "seed": seed, over: x, "y": 3 * x**e * (1 + spread * (-1) ** seed)}
        for x in (1.0, 2.0, 8.0, 64.0)
        for seed in range(4)
    ]
    return pl.DataFrame(lines)


@pytest.mark.parametrize("over", ["width", "C0", "scale"])
def test_an_exponent_may_be_in_any_column(over):
    (found,) = find(Claim("exponent", "y", "y", 0.7, "tests", over=over), powers(0.7, over), "line")
    assert found.found.estimate == pytest.approx(0.7)
    assert found.verdict is Verdict.HOLDS


def test_without_a_column_an_exponent_is_in_the_dimension():
    (found,) = find(Claim("exponent", "y", "y", 0.7, "tests"), powers(0.7, "dim"), "line")
    assert found.found.estimate == pytest.approx(0.7)


@pytest.mark.parametrize(("e", "expected"), [(0.4, Verdict.HOLDS), (0.5, Verdict.UNDECIDED), (0.6, Verdict.FAILS)])
def test_an_exponent_below_a_value_is_judged_by_its_interval(e, expected):
    claim = Claim("exponent-below", "y", "y", 0.5, "tests")
    (found,) = find(claim, powers(e, "dim"), "line")
    assert found.verdict is expected
    assert math.isclose(found.found.estimate, e)
