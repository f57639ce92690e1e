"""Evaluates claims on tables, with one finding per curve."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gradflip.claims._claim import Claim, Finding

if TYPE_CHECKING:
    import polars as pl


def find(claim: Claim, rows: pl.DataFrame, curve: str) -> list[Finding]:
    """Evaluate a claim on a table, for each curve.

    Args:
        claim: The claim.
        rows: A table with `curve` and the columns of the statistic: a row per trained network, with `seed`, or per
            ensemble or comparison of random networks.
        curve: The column that tells the curves apart, unless the statistic names another.

    Returns:
        A finding per curve, in increasing order; none for a curve of too few networks with the quantity.
    """
    by = claim.statistic.by or curve
    rows = _concerned(claim, rows, by)
    findings = []
    for value in sorted(set(rows[by].to_list()), key=_in_order) if len(rows) else []:
        intervals = claim.statistic.intervals(rows.filter(rows[by] == value), len(rows))
        if intervals:
            interval = claim.expectation.decisive(intervals)
            findings.append(Finding(claim, by, value, interval, claim.expectation.verdict(interval)))
    return findings


def _concerned(claim: Claim, rows: pl.DataFrame, by: str) -> pl.DataFrame:
    """The rows that a claim is about; none if a column is missing."""
    import polars as pl

    needed = {by, *claim.statistic.columns, *claim.at_last}
    if not needed <= set(rows.columns):
        return rows.clear()
    rows = rows.drop_nulls(list(needed))
    if claim.only is not None:
        column, values = claim.only
        rows = rows.filter(rows[column].is_in(list(values)))
    for column in claim.at_last:
        rows = rows.filter(pl.col(column) == pl.col(column).max().over(by))
    return rows


def _in_order(curve: float | str) -> list[tuple[float, str]]:
    """A key that sorts numbers within words as numbers: C0 = 3 comes before C0 = 10."""
    if not isinstance(curve, str):
        return [(curve, "")]
    parts = re.split(r"(\d+(?:\.\d+)?)", curve)  # every second part is a number
    return [(float(part), "") if i % 2 else (0.0, part) for i, part in enumerate(parts)]
