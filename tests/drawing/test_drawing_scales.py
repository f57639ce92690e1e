"""Ranges and ticks of axes."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradflip.drawing import around, extent, powers, ticks


@given(st.floats(1e-8, 1e8), st.floats(1.6, 1e6))
def test_ticks_lie_within_the_domain_increase_and_are_few(low, ratio):
    found = ticks([low, low * ratio])
    assert found == sorted(set(found))
    assert all(low <= tick <= low * ratio for tick in found)
    assert 1 <= len(found) <= 12


def test_ticks_are_finer_the_smaller_the_range():
    assert ticks([0.5, 3000]) == [1, 10, 100, 1000]
    assert ticks([0.5, 30]) == [0.5, 1, 2, 5, 10, 20]
    assert ticks([1.2, 4]) == [1.5, 2, 3, 4]


def test_powers_are_those_within_the_range_and_at_most_six():
    assert powers(0.5, 200) == [1, 10, 100]
    assert powers(2, 9) == [2, 9]
    assert powers(1, 10.0**6) == [1, 100, 10**4, 10**6]


def test_an_extent_leaves_out_nulls_and_a_range_around_it_is_wider_on_both_sides():
    assert extent(pl.Series([3, None, -1])) == (-1.0, 3.0)
    assert extent([2, 5]) == (2.0, 5.0)
    assert around([10, 100], 2) == [5, 200]
    assert around(pl.Series([1.0])) == pytest.approx([1 / 1.12, 1.12])
