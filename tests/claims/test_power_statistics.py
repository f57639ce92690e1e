"""Exponents, growth, contours and gaps of trained networks, from rows whose numbers are known."""

import math

import numpy as np
import polars as pl
import pytest

from gradflip.claims import Above, Below, Claim, Equals, Exponent, GrowthWithC0, Reported, Variation, Verdict, find

DIMS = (25, 64, 100, 144, 196, 256, 400, 576, 784)
FLAT = Claim(Exponent("y"), Equals(0.0), "y", "tests")


def rows(power, *, growth=0.0, seeds=3, spread=0.03):
    rng = np.random.default_rng(0)
    return pl.DataFrame([
        {"dim": d, "width": m, "C0": C0, "seed": s,
         "y": d**power * C0**growth * math.exp(spread * rng.standard_normal())}
        for d in DIMS for m in (1000, 10_000) for C0 in (10.0, 20.0, 40.0) for s in range(seeds)
    ])  # fmt: skip


@pytest.mark.parametrize(("power", "verdict"), [(0.0, "holds"), (-0.3, "fails"), (0.3, "fails")])
def test_rows_that_are_not_flat_fail_the_claim_that_they_are(power, verdict):
    found = find(FLAT, rows(power).filter(C0=10.0), "width")
    assert [finding.curve for finding in found] == [1000, 10_000]
    assert [finding.verdict.value for finding in found] == [verdict] * 2
    assert [finding.interval.estimate for finding in found] == pytest.approx([power] * 2, abs=0.05)


def test_rows_that_scatter_leave_a_claim_undecided():
    found = find(FLAT, rows(0.1, spread=0.5).filter(C0=10.0), "width")
    assert [finding.verdict for finding in found] == [Verdict.UNDECIDED] * 2


@pytest.mark.parametrize(("growth", "verdict"), [(0.2, "holds"), (-0.2, "fails")])
def test_growth_with_C0_is_judged_by_its_sign(growth, verdict):
    claim = Claim(GrowthWithC0("y"), Above(0.0), "y", "tests")
    found = find(claim, rows(-0.5, growth=growth), "C0")
    assert [finding.curve for finding in found] == [1000, 10_000]
    assert [finding.verdict.value for finding in found] == [verdict] * 2
    assert [finding.interval.estimate for finding in found] == pytest.approx([growth] * 2, abs=0.02)


def test_a_number_that_is_only_reported_has_no_verdict():
    claim = Claim(Variation("y"), Reported(), "y", "tests")
    (finding,) = find(claim, rows(0.0).filter(dim=25, width=1000, C0=10.0), "width")
    assert finding.verdict is None
    assert finding.interval.estimate == pytest.approx(1, abs=0.1)


def test_networks_without_the_quantity_are_left_out_and_too_few_give_no_finding():
    table = rows(0.0).with_columns(pl.when(pl.col("dim") == 25).then(None).otherwise(pl.col("y")).alias("y"))
    assert find(FLAT, table, "width")[0].interval.estimate == pytest.approx(0, abs=0.05)
    assert find(FLAT, rows(0.0).filter(dim=25), "width") == []
    assert find(FLAT, rows(0.0).drop("y"), "width") == []


def powers(e, over, spread=0.01):
    lines = [
        {"line": "l", "seed": seed, over: x, "y": 3 * x**e * (1 + spread * (-1) ** seed)}
        for x in (1.0, 2.0, 8.0, 64.0)
        for seed in range(4)
    ]
    return pl.DataFrame(lines)


@pytest.mark.parametrize("over", ["width", "C0", "scale"])
def test_an_exponent_may_be_in_any_column(over):
    (found,) = find(Claim(Exponent("y", over), Equals(0.7), "y", "tests"), powers(0.7, over), "line")
    assert found.interval.estimate == pytest.approx(0.7)
    assert found.verdict is Verdict.HOLDS


def test_without_a_column_an_exponent_is_in_the_dimension():
    (found,) = find(Claim(Exponent("y"), Equals(0.7), "y", "tests"), powers(0.7, "dim"), "line")
    assert found.interval.estimate == pytest.approx(0.7)


@pytest.mark.parametrize(("e", "expected"), [(0.4, Verdict.HOLDS), (0.5, Verdict.UNDECIDED), (0.6, Verdict.FAILS)])
def test_an_exponent_below_a_value_is_judged_by_its_interval(e, expected):
    claim = Claim(Exponent("y"), Below(0.5), "y", "tests")
    (found,) = find(claim, powers(e, "dim"), "line")
    assert found.verdict is expected
    assert math.isclose(found.interval.estimate, e)
