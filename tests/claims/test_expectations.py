"""The verdict of an interval on what is expected."""

import pytest

from gradflip.claims import Above, AtMost, Below, Equals, EqualsUpToChance, Interval, Reported, Verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.05, 0.08, Verdict.HOLDS),
        (-0.1, 0.1, Verdict.HOLDS),
        (-0.11, 0.05, Verdict.UNDECIDED),
        (0.05, 0.2, Verdict.UNDECIDED),
        (-1, 1, Verdict.UNDECIDED),
        (0.101, 0.2, Verdict.FAILS),
        (-0.4, -0.2, Verdict.FAILS),
    ],
)
def test_a_verdict_is_where_the_interval_lies(low, high, verdict):
    assert Equals(0.0).verdict(Interval((low + high) / 2, low, high, 3)) is verdict
    shifted = Interval((low + high) / 2 + 7, low + 7, high + 7, 3)
    assert Equals(7.0).verdict(shifted) is verdict or abs(low) == 0.1


def interval(low, high):
    return Interval((low + high) / 2, low, high, 3)


@pytest.mark.parametrize(
    ("expectation", "low", "high", "verdict"),
    [
        (Above(1.0), 1.1, 2.0, Verdict.HOLDS),
        (Above(1.0), 1.0, 2.0, Verdict.UNDECIDED),
        (Above(1.0), 0.0, 1.0, Verdict.UNDECIDED),
        (Above(1.0), 0.0, 0.9, Verdict.FAILS),
        (Below(1.0), 0.0, 0.9, Verdict.HOLDS),
        (Below(1.0), 0.0, 1.0, Verdict.UNDECIDED),
        (Below(1.0), 1.0, 2.0, Verdict.FAILS),
        (AtMost(1.0), 0.0, 1.0, Verdict.HOLDS),
        (AtMost(1.0), 1.0, 2.0, Verdict.UNDECIDED),
        (AtMost(1.0), 1.1, 2.0, Verdict.FAILS),
        (EqualsUpToChance(), -0.1, 0.1, Verdict.HOLDS),
        (EqualsUpToChance(), -0.11, 0.1, Verdict.UNDECIDED),
        (EqualsUpToChance(), 0.01, 0.02, Verdict.FAILS),
        (EqualsUpToChance(3.0), 2.95, 3.05, Verdict.HOLDS),
        (Equals(3.0, tolerance=1.0), 2.5, 3.5, Verdict.HOLDS),
        (Reported(), 0.0, 0.1, None),
    ],
)
def test_a_verdict_is_about_the_side_or_the_value_that_is_expected(expectation, low, high, verdict):
    assert expectation.verdict(interval(low, high)) is verdict


@pytest.mark.parametrize(
    ("expectation", "ends", "decisive"),
    [
        (
            Equals(0.0),
            [(-0.3, 0.3), (0.2, 0.25), (-0.01, 0.01)],
            1,
        ),  # it fails, though another reaches further
        (Equals(0.0), [(-0.3, 0.05), (-0.01, 0.01)], 0),
        (EqualsUpToChance(), [(-0.5, 0.5), (0.01, 0.02), (0.03, 0.04)], 2),
        (EqualsUpToChance(), [(-0.5, 0.1), (-0.1, 0.4)], 0),
        (Above(0.0), [(0.3, 0.4), (0.2, 0.9)], 1),
        (Below(0.0), [(-0.3, -0.2), (-0.9, -0.1)], 1),
        (AtMost(0.0), [(-0.5, 0.9), (0.1, 0.2)], 1),  # above for certain, though another reaches higher
        (AtMost(0.0), [(-0.5, 0.9), (-0.4, 0.2)], 0),
        (Reported(), [(-0.5, -0.3), (0.1, 0.2)], 0),
        (Reported(signed=True), [(-0.5, -0.3), (0.1, 0.2)], 1),
    ],
)
def test_the_comparison_that_speaks_most_against_the_expectation_decides(expectation, ends, decisive):
    intervals = [interval(*pair) for pair in ends]
    assert expectation.decisive(intervals) is intervals[decisive]
