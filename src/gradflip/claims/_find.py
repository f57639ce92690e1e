"""Claims and rows -> findings, one a curve."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, get_args

from gradflip.claims._claim import Claim, Finding, LawKind
from gradflip.claims._laws import law
from gradflip.claims._powers import power

if TYPE_CHECKING:
    import polars as pl


def find(claim: Claim, rows: pl.DataFrame, curve: str) -> list[Finding]:
    """What the rows say to a claim, for each curve.

    Args:
        claim: The claim.
        rows: Of lazily trained networks a row each, with `seed`, `dim`, `C0`, the column of the claim, and `curve`; of
            random networks a row per ensemble or comparison.
        curve: The column that tells the curves apart.

    Returns:
        A finding per curve in increasing order, none where too few networks have the quantity. A claim about C0 has one
        finding per width.
    """
    import polars as pl

    by = "width" if claim.kind == "grows-with-C0" else curve
    against = "explicit_draws" if claim.kind in ("same-probability", "same-law") else None
    needed = [
        name
        for name in (claim.column, by, against, claim.along, claim.above, claim.over, *claim.at_last)
        if name is not None
    ]
    if not set(needed) <= set(rows.columns):
        return []
    rows = rows.drop_nulls(needed)
    if claim.only is not None:
        column, values = claim.only
        rows = rows.filter(rows[column].is_in(list(values)))
    for column in claim.at_last:
        rows = rows.filter(pl.col(column) == pl.col(column).max().over(by))
    findings = []
    for value in sorted(set(rows[by].to_list()), key=_in_order):
        part = rows.filter(rows[by] == value)
        found = law(claim, part, comparisons=len(rows)) if claim.kind in get_args(LawKind) else power(claim, part)
        if found is not None:
            findings.append(Finding(claim, by, value, *found))
    return findings


def _in_order(curve: float | str) -> list[tuple[float, str]]:
    """Numbers within words as numbers: C0 = 3 comes before C0 = 10."""
    if not isinstance(curve, str):
        return [(curve, "")]
    parts = re.split(r"(\d+(?:\.\d+)?)", curve)  # every second one is a number
    return [(float(part), "") if i % 2 else (0.0, part) for i, part in enumerate(parts)]
