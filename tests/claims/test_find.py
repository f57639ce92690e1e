"""Claims on tables: which rows count, and in which order curves come."""

from dataclasses import dataclass

import polars as pl
import pytest

from gradflip.claims import AtMost, Claim, Equals, Exponent, Interval, Statistic, Verdict, find

FLAT = Claim(Exponent("y"), Equals(0.0), "y", "tests")


def test_curves_named_in_words_come_in_the_order_of_their_numbers():
    names = ["d = 100, C0 = 10", "d = 100, C0 = 3", "d = 25, C0 = 20", "text"]
    rows = pl.DataFrame([
        {"line": name, "seed": seed, "dim": dim, "y": float(dim)}
        for name in names for seed in range(2) for dim in (4, 9)
    ])  # fmt: skip
    found = [finding.curve for finding in find(FLAT, rows, "line")]
    assert found == ["d = 25, C0 = 20", "d = 100, C0 = 3", "d = 100, C0 = 10", "text"]


@pytest.mark.parametrize("missing", ["line", "dim", "y"])
def test_a_table_without_a_column_of_the_claim_has_no_findings(missing):
    rows = pl.DataFrame({"line": ["a"] * 4, "seed": [0, 1] * 2, "dim": [4, 4, 9, 9], "y": [1.0, 2.0, 3.0, 4.0]})
    assert len(find(FLAT, rows, "line")) == 1
    assert find(FLAT, rows.drop(missing), "line") == []


def test_a_statistic_of_ones_own_is_evaluated_like_any_other():
    @dataclass(frozen=True)
    class Rows(Statistic):
        name = "rows"
        columns = ("y",)
        words = "number of rows"

        def intervals(self, rows, comparisons):
            return [Interval(len(rows), len(rows), comparisons, comparisons)]

    claim = Claim(Rows("y"), AtMost(3.0), "y", "tests")
    rows = pl.DataFrame({"line": ["b", "a", "b"], "y": [1.0, 2.0, 3.0]})
    assert [(f.curve, f.interval, f.verdict) for f in find(claim, rows, "line")] == [
        ("a", Interval(1, 1, 3, 3), Verdict.HOLDS),
        ("b", Interval(2, 2, 3, 3), Verdict.HOLDS),
    ]
    assert (claim.words, claim.name) == ("number of rows at most 3", "rows")
