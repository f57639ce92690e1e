"""Where an accuracy crosses one half, how that place moves, and where a gap is widest."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradflip.claims import (
    AtMost,
    Claim,
    Contour,
    Equals,
    Largest,
    Ratio,
    Reported,
    Verdict,
    contour,
    crossing,
    find,
    ratios,
)

CONTOUR = Claim(Contour("acc", along="epsilon", over="dim", label="PGD"), Equals(-0.5), "c", "tests")
GAP = Claim(Largest("gap", along="epsilon"), Reported(), "g", "tests")
BRACKET = Claim(Ratio("found", above="proved", along="epsilon", level=0.75), AtMost(1.5), "r", "tests")


def table(power=-0.5, seeds=3, spread=0.0, dims=(25, 100, 400), low=1e-3, high=100.0):
    """Accuracies that fall, linearly in log epsilon, through one half at 3 dim^power."""
    rng = np.random.default_rng(0)
    rows = []
    for dim in dims:
        for seed in range(seeds):
            centre = 3 * dim**power * math.exp(spread * rng.standard_normal())
            for epsilon in np.geomspace(low, high, 41):
                accuracy = min(1.0, max(0.0, 0.5 - 0.4 * math.log(epsilon / centre)))
                rows.append({"dim": dim, "seed": seed, "epsilon": float(epsilon), "acc": accuracy, "protocol": "text"})
    return pl.DataFrame(rows)


@given(st.floats(1e-3, 1e3), st.floats(1.01, 100), st.floats(0.5, 1), st.floats(0, 0.49))
def test_a_crossing_is_where_the_line_in_the_logarithm_is_one_half(x, ratio, high, low):
    place = crossing([(x, high), (x * ratio, low)])
    share = (high - 0.5) / (high - low)
    assert place == pytest.approx(x * ratio**share, rel=1e-9)
    assert crossing([(x * ratio, high), (x, low)]) == pytest.approx(x * ratio ** (1 - share), rel=1e-9)


def test_the_first_crossing_counts_and_none_is_none():
    assert crossing([(1, 0.9), (2, 0.5), (4, 0.1)]) == pytest.approx(2)
    assert crossing([(4, 0.9), (1, 0.9), (2, 0.1), (8, 0.0)]) == pytest.approx(2**0.5)
    assert crossing([(1, 0.9), (2, 0.6)]) is None
    assert crossing([(1, 0.5), (2, 0.5)]) is None
    assert crossing([(1, 0.9)]) is None


@pytest.mark.parametrize("power", [-0.5, -0.9, 0.3])
def test_the_contour_has_the_exponent_it_was_made_with(power):
    rows = table(power)
    places = contour(rows, column="acc", along="epsilon", over="dim")
    assert places.keys() == {25, 100, 400}
    for dim, found in places.items():
        assert found == pytest.approx([3 * dim**power] * 3, rel=1e-9)
    (finding,) = find(CONTOUR, rows, "protocol")
    assert finding.interval.estimate == pytest.approx(power, abs=1e-9)
    assert (finding.curve, finding.interval.seeds) == ("text", 3)
    assert finding.verdict is (Verdict.HOLDS if power == -0.5 else Verdict.FAILS)


def test_a_place_where_a_seed_does_not_cross_is_left_out():
    rows = table(seeds=4, spread=0.3, dims=(25, 100, 400), low=0.02, high=0.61)  # 0.6 at d = 25 is near the end
    crossed = {
        dim: [crossing(rows.filter(dim=dim, seed=seed).select("epsilon", "acc").rows()) for seed in range(4)]
        for dim in (25, 100, 400)
    }
    assert None in crossed[25] and crossed[25] != [None] * 4
    assert contour(rows, column="acc", along="epsilon", over="dim").keys() == {100, 400}


def test_one_place_is_no_exponent():
    assert find(CONTOUR, table(dims=(25,)), "protocol") == []


def test_a_gap_is_taken_where_its_mean_over_seeds_is_largest():
    rows = pl.DataFrame({
        "protocol": ["a"] * 6, "seed": [0, 1, 2] * 2, "epsilon": [0.1] * 3 + [0.2] * 3,
        "gap": [0.0, 0.9, 0.0, 0.4, 0.5, 0.3],
    })  # fmt: skip
    (finding,) = find(GAP, rows, "protocol")
    assert finding.interval.estimate == pytest.approx(0.4)
    assert finding.interval.low < 0.4 < finding.interval.high
    assert finding.verdict is None


def bracketed(upper, lower, seeds=3):
    """Accuracies that fall, linearly in log epsilon, through 3/4 at these places."""
    rows = []
    for seed in range(seeds):
        for epsilon in np.geomspace(1e-2, 1e2, 81):
            below, above = (
                min(1.0, max(0.0, 0.75 - 0.3 * math.log(epsilon / (place * 1.1**seed)))) for place in (lower, upper)
            )
            rows.append({"seed": seed, "line": "a", "epsilon": float(epsilon), "found": below, "proved": above})
    return pl.DataFrame(rows)


@pytest.mark.parametrize(("upper", "verdict"), [(1.2, Verdict.HOLDS), (1.8, Verdict.FAILS)])
def test_a_bracket_is_the_ratio_of_where_both_curves_cross(upper, verdict):
    rows = bracketed(upper, 1.0)
    (finding,) = find(BRACKET, rows, "line")
    assert finding.interval.estimate == pytest.approx(upper, rel=1e-6)
    assert finding.verdict is verdict
    assert ratios(rows, below="found", above="proved", along="epsilon", level=0.75) == pytest.approx([upper] * 3)


def test_a_bracket_that_is_open_on_one_side_is_none():
    rows = bracketed(1.2, 1.0).with_columns(pl.lit(0.9).alias("proved"))
    assert ratios(rows, below="found", above="proved", along="epsilon", level=0.75) == []
    assert find(BRACKET, rows, "line") == []
