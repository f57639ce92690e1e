"""Claims about the laws of random networks: what lets them hold, what makes them fail, and how often by chance."""

import numpy as np
import polars as pl
import pytest

from gradflip.claims import (
    Above,
    Approach,
    Below,
    Claim,
    Difference,
    Distance,
    DistanceToExplicit,
    Equals,
    EqualsUpToChance,
    Excess,
    Fall,
    Interval,
    Reported,
    Verdict,
    find,
    kolmogorov_margin,
    two_sample_margin,
)

SAME = Claim(Difference("flips"), EqualsUpToChance(), "P", "tests")
SAME_LAW = Claim(DistanceToExplicit("ks"), EqualsUpToChance(), "x", "tests")
LIMIT = Claim(Excess("flips"), Equals(0.0), "P", "tests")
BELOW = Claim(Excess("flips"), Below(-0.1), "P", "tests")
APPROACHES = Claim(Approach("flips", along="dim"), Above(0.0), "P", "tests")
FALLS = Claim(Fall("distance", along="position"), Above(0.0), "x", "tests")


def shares(*pairs, draws=10_000, explicit_draws=10_000, activation="relu", **columns):
    return pl.DataFrame([
        {"activation": activation, "flips": round(p * draws), "draws": draws,
         "explicit_flips": round(q * explicit_draws), "explicit_draws": explicit_draws, **columns}
        for p, q in pairs
    ])  # fmt: skip


def verdicts(claim, rows, by="activation"):
    return {finding.curve: finding.verdict for finding in find(claim, rows, by)}


@pytest.mark.parametrize(
    ("pairs", "draws", "verdict"),
    [
        ([(0.3, 0.3), (0.7, 0.71)], 10_000, Verdict.HOLDS),
        ([(0.3, 0.3), (0.7, 0.75)], 10_000, Verdict.FAILS),
        ([(0.75, 0.7), (0.3, 0.3)], 10_000, Verdict.FAILS),
        ([(0.3, 0.3), (0.7, 0.75)], 100, Verdict.UNDECIDED),
        ([(0.3, 0.3)], 100, Verdict.UNDECIDED),
    ],
)
def test_shares_are_the_same_where_no_interval_leaves_out_0_and_all_are_short(pairs, draws, verdict):
    assert verdicts(SAME, shares(*pairs, draws=draws, explicit_draws=draws)) == {"relu": verdict}


def test_the_number_shown_is_that_of_the_comparison_that_fails():
    (found,) = find(SAME, shares((0.3, 0.3), (0.5, 0.6), (0.2, 0.25)), "activation")
    assert found.interval.estimate == pytest.approx(-0.1)
    assert found.interval.high < 0


def test_rows_without_explicit_networks_are_left_out():
    rows = pl.concat([shares((0.3, 0.3)), shares((0.3, 0.9), activation="tanh").with_columns(
        pl.lit(None, pl.Int64).alias("explicit_draws"))])  # fmt: skip
    assert verdicts(SAME, rows) == {"relu": Verdict.HOLDS}


def test_more_comparisons_make_longer_intervals():
    one, many = (find(SAME, shares(*[(0.3, 0.3)] * count), "activation")[0].interval for count in (1, 100))
    assert many.high - many.low > 1.2 * (one.high - one.low)


def test_equal_laws_are_hardly_ever_told_apart():
    rng = np.random.default_rng(0)
    fails = 0
    for _ in range(400):
        p = rng.uniform(0.05, 0.95, 12)
        counts = rng.binomial(2000, p), rng.binomial(500, p)
        rows = pl.DataFrame({"activation": ["relu"] * 12, "flips": counts[0], "draws": [2000] * 12,
                             "explicit_flips": counts[1], "explicit_draws": [500] * 12})  # fmt: skip
        fails += verdicts(SAME, rows)["relu"] is Verdict.FAILS
    assert fails <= 3  # 0.4 expected; more than 3 has probability below 0.001


@pytest.mark.parametrize(
    ("ks", "draws", "verdict"),
    [(0.01, 20_000, Verdict.HOLDS), (0.05, 20_000, Verdict.FAILS), (0.05, 1000, Verdict.UNDECIDED)],
)
def test_samples_have_the_same_law_unless_their_distance_is_too_large_for_chance(ks, draws, verdict):
    rows = pl.DataFrame({"activation": ["relu", "relu"], "ks": [0.002, ks], "tests": [22, 22], "draws": [draws] * 2,
                         "explicit_draws": [draws] * 2})  # fmt: skip
    (found,) = find(SAME_LAW, rows, "activation")
    assert found.verdict is verdict
    assert found.interval.estimate == ks
    assert (found.interval.low == 0) == (verdict is not Verdict.FAILS)
    margin = two_sample_margin(draws, draws, 1 - 1e-3 / (2 * 22))  # two rows of 22 tests
    assert found.interval.high == pytest.approx(ks + margin)


def limits(*excess, draws=10_000, **columns):
    return pl.DataFrame([
        {"curve": "relu", "flips": round((0.6 + e) * draws), "draws": draws, "limit": 0.6, "depth": i + 1, "dim": 100,
         **columns} for i, e in enumerate(excess)
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("excess", "draws", "verdict"),
    [
        ((0.0, -0.05), 10_000, Verdict.HOLDS),
        ((0.0, -0.2), 10_000, Verdict.FAILS),
        ((0.2, -0.1), 10_000, Verdict.FAILS),
        ((0.0, -0.1), 10_000, Verdict.UNDECIDED),
        ((0.0, 0.0), 50, Verdict.UNDECIDED),
    ],
)
def test_a_probability_is_at_its_limit_within_a_tenth_in_every_row_or_it_is_not(excess, draws, verdict):
    assert verdicts(LIMIT, limits(*excess, draws=draws), "curve") == {"relu": verdict}


def test_a_distance_from_the_limit_that_is_only_reported_has_no_verdict():
    claim = Claim(Excess("flips"), Reported(), "P", "tests")
    (found,) = find(claim, limits(0.0, -0.2, 0.1), "curve")
    assert found.verdict is None
    assert found.interval.estimate == pytest.approx(-0.2)


@pytest.mark.parametrize(
    ("excess", "verdict"),
    [((-0.3, -0.5), Verdict.HOLDS), ((-0.3, 0.0), Verdict.FAILS), ((-0.1, -0.5), Verdict.UNDECIDED)],
)
def test_a_failure_of_the_theorem_is_claimed_of_every_row(excess, verdict):
    assert verdicts(BELOW, limits(*excess), "curve") == {"relu": verdict}


def test_only_the_largest_and_only_the_named_rows_count():
    rows = pl.concat([
        limits(-0.4, dim=100, shape="narrow"), limits(-0.3, 0.0, dim=1000, shape="narrow"),
        limits(0.3, dim=2000, shape="wide"),
    ])  # fmt: skip
    narrow = Claim(Excess("flips"), Equals(0.0), "P", "tests", only=("shape", ("narrow",)), at_last=("dim", "depth"))
    (found,) = find(narrow, rows, "curve")
    assert found.interval.estimate == pytest.approx(0.0)
    assert found.verdict is Verdict.HOLDS


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ((-0.3, -0.1), Verdict.HOLDS),
        ((0.3, -0.1), Verdict.HOLDS),
        ((-0.1, -0.3), Verdict.FAILS),
        ((0.1, -0.1), Verdict.UNDECIDED),
        ((0.0, 0.0), Verdict.UNDECIDED),
    ],
)
def test_a_probability_approaches_its_limit_from_either_side(ends, verdict):
    rows = pl.concat([limits(ends[0], dim=100), limits(0.35, dim=300), limits(ends[1], dim=1000)])
    assert verdicts(APPROACHES, rows, "curve") == {"relu": verdict}


def distances(*values, draws=2000):
    return pl.DataFrame({
        "line": ["over m"] * len(values), "distance": values, "draws": [draws] * len(values),
        "position": [10**k for k in range(len(values))],
    })  # fmt: skip


@pytest.mark.parametrize(
    ("values", "verdict"),
    [((0.9, 0.95, 0.02), Verdict.HOLDS), ((0.02, 0.3), Verdict.FAILS), ((0.04, 0.02), Verdict.UNDECIDED)],
)
def test_a_distance_falls_where_both_intervals_leave_a_gap(values, verdict):
    (found,) = find(FALLS, distances(*values), "line")
    assert found.verdict is verdict
    assert found.interval.estimate == pytest.approx(values[0] - values[-1])
    assert found.interval.high - found.interval.low <= 4 * kolmogorov_margin(2000, 0.975) + 1e-12


def test_a_single_point_has_no_fall_and_a_reported_distance_its_margin():
    assert find(FALLS, distances(0.5), "line") == []
    (found,) = find(
        Claim(Distance("distance"), Reported(), "x", "t", at_last=("position",)), distances(0.5, 0.1), "line"
    )
    margin = kolmogorov_margin(2000, 0.95)
    assert found.interval == Interval(0.1, pytest.approx(0.1 - margin), pytest.approx(0.1 + margin), 2000)
    assert found.verdict is None


def test_rows_that_lack_a_column_of_the_claim_say_nothing():
    assert find(SAME, shares((0.3, 0.3)).drop("explicit_draws"), "activation") == []
    assert find(FALLS, distances(0.5, 0.1).drop("position"), "line") == []
    assert find(LIMIT, limits(0.0).drop("curve"), "curve") == []
