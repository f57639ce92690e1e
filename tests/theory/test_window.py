"""The window of widths of Theorem 3.1."""

import math

import pytest

from gradflip.theory import smallest_covered_dim, width_window


@pytest.mark.parametrize("dim", [2, 25, 100, 784, 10_000, 1e6])
def test_at_unit_constants_the_window_is_empty_for_every_dimension_of_the_figures(dim):
    assert width_window(dim).empty
    assert not width_window(dim).contains(1000)


def test_the_window_opens_at_some_millions():
    opens = smallest_covered_dim()
    assert 1e6 < opens < 1e7
    assert width_window(opens * (1 - 1e-6)).empty
    assert not width_window(opens * (1 + 1e-6)).empty
    assert opens**0.24 == pytest.approx(2.4 * math.log(opens), rel=1e-8)


def test_a_window_that_is_open_covers_the_widths_between_its_ends():
    window = width_window(1e8)
    assert window.contains(round(1e8**2.4))
    assert not window.contains(1000)


def test_other_constants_open_it_elsewhere():
    assert smallest_covered_dim(C3=1e6) < smallest_covered_dim() < smallest_covered_dim(C3=1e-6)
    assert not width_window(25, C3=1e30).empty
    assert smallest_covered_dim(C3=1e30) == pytest.approx(1, abs=1e-6)


def test_a_small_probability_of_failure_needs_width():
    assert width_window(2, gamma=1e-300, C2=10).log_low == pytest.approx(math.log(10 * 300 * math.log(10)))
