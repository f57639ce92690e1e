"""Shares of draws that break a bound, against the share that may."""

import polars as pl
import pytest
import scipy.stats

from gradflip.claims import Above, AtMost, Claim, Reported, ShareAbove, Verdict, clopper_pearson, find


def shares(*violations, gamma=0.1, draws=1000):
    lines = [
        {"line": "x", "violations": v, "draws": draws, "gamma": gamma, "seed": i} for i, v in enumerate(violations)
    ]
    return pl.DataFrame(lines)


def verdict(expectation, table):
    (finding,) = find(Claim(ShareAbove("violations"), expectation, "v", "tests"), table, "line")
    return finding.verdict, finding.interval


def test_a_bound_holds_fails_or_is_undecided_by_the_share_of_draws_that_break_it():
    assert verdict(AtMost(0.0), shares(50))[0] is Verdict.HOLDS
    assert verdict(AtMost(0.0), shares(100))[0] is Verdict.UNDECIDED
    assert verdict(AtMost(0.0), shares(150))[0] is Verdict.FAILS
    assert verdict(AtMost(0.0), shares(0, 20, 150))[0] is Verdict.FAILS
    assert verdict(AtMost(0.0), shares(0, 0, 0, draws=10))[0] is Verdict.UNDECIDED


def test_a_bound_is_broken_where_every_comparison_breaks_it():
    assert verdict(Above(0.0), shares(1000, 150))[0] is Verdict.HOLDS
    assert verdict(Above(0.0), shares(1000, 100))[0] is Verdict.UNDECIDED
    assert verdict(Above(0.0), shares(1000, 20))[0] is Verdict.FAILS


def test_the_comparison_that_decides_is_shown_less_the_share_allowed():
    _, found = verdict(AtMost(0.0), shares(10, 50))
    assert found.estimate == pytest.approx(0.05 - 0.1)
    level = 1 - 0.05 / 2  # two comparisons together
    assert found.high == pytest.approx(clopper_pearson(50, 1000, level).high - 0.1)
    none, reported = verdict(Reported(signed=True), shares(10, 50))
    assert none is None
    assert reported.estimate == pytest.approx(-0.05)


def test_bounds_that_just_hold_are_not_refuted_more_often_than_said():
    failing = [k for k in range(1001) if verdict(AtMost(0.0), shares(k))[0] is Verdict.FAILS]
    assert scipy.stats.binom.sf(min(failing) - 1, 1000, 0.1) <= 0.025
