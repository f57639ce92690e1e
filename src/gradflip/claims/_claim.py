"""What a theorem says as a number, and what the rows say to it."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gradflip.claims._exponent import Interval, exponent, mean

if TYPE_CHECKING:
    import polars as pl

TOLERANCE = 0.1


class Verdict(enum.Enum):
    """What an interval says of a claimed value (spec 5)."""

    HOLDS = "holds"
    """The 95 % interval lies within the claimed value +- 0.1, or on the claimed side of 0."""
    FAILS = "fails"
    """It is disjoint from that."""
    UNDECIDED = "undecided"
    """Neither."""


@dataclass(frozen=True)
class Claim:
    """That a column of a table behaves in a certain way.

    Attributes:
        kind: `"exponent"`: grows as a power of the input dimension; `"grows-with-C0"`: as a power of C0 at each
            dimension, the
            exponents averaged; `"variation"`: has this coefficient of variation over the test images.
        column: Of the table.
        quantity: The column as a formula, in LaTeX.
        value: The claimed exponent; for `"grows-with-C0"` 0 stands for "above 0"; `None` where the number is only
            reported.
        why: Where the claim comes from, or what the number is for.
    """

    kind: Literal["exponent", "grows-with-C0", "variation"]
    column: str
    quantity: str
    value: float | None
    why: str


@dataclass(frozen=True)
class Finding:
    """What the rows of one curve say to a claim.

    Attributes:
        claim: The claim.
        by: The column that tells the curves apart, `"width"` or `"C0"`.
        curve: Its value.
        found: The number and its interval.
        verdict: `None` for a number that is only reported.
    """

    claim: Claim
    by: str
    curve: float
    found: Interval
    verdict: Verdict | None


def find(claim: Claim, rows: pl.DataFrame, curve: str) -> list[Finding]:
    """What the rows say to a claim, for each curve.

    Args:
        claim: The claim.
        rows: A row per network, with `seed`, `dim`, `C0`, the column of the claim, and `curve`.
        curve: The column that tells the curves apart.

    Returns:
        A finding per curve in increasing order, none where too few networks have the quantity. A claim about C0 has one
        finding per width.
    """
    if claim.column not in rows.columns:
        return []
    rows = rows.drop_nulls(claim.column).filter(rows.drop_nulls(claim.column)[claim.column] > 0)
    by = "width" if claim.kind == "grows-with-C0" else curve
    findings = []
    for value in sorted(set(rows[by].to_list())):
        found = _number(claim, rows.filter(rows[by] == value))
        if found is not None:
            verdict = None if claim.value is None else _verdict(claim, found)
            findings.append(Finding(claim, by, value, found, verdict))
    return findings


def judge(found: Interval, value: float, tolerance: float = TOLERANCE) -> Verdict:
    """The verdict of an interval on a claimed value.

    Args:
        found: The number and its interval.
        value: The claimed one.
        tolerance: How far off still counts as the same.

    Returns:
        `HOLDS` if the interval lies within value +- tolerance, `FAILS` if it is disjoint from that, else `UNDECIDED`.
    """
    if value - tolerance <= found.low and found.high <= value + tolerance:
        return Verdict.HOLDS
    if found.high < value - tolerance or found.low > value + tolerance:
        return Verdict.FAILS
    return Verdict.UNDECIDED


def _verdict(claim: Claim, found: Interval) -> Verdict:
    assert claim.value is not None
    if claim.kind != "grows-with-C0":
        return judge(found, claim.value)
    return Verdict.HOLDS if found.low > 0 else Verdict.FAILS if found.high < 0 else Verdict.UNDECIDED


def _number(claim: Claim, rows: pl.DataFrame) -> Interval | None:
    if claim.kind == "exponent":
        draws = _groups(rows, "dim", claim.column)
        return exponent(draws) if len(draws) > 1 else None
    if claim.kind == "variation":
        return mean(list(_groups(rows, "dim", claim.column).values())) if len(rows) else None
    # one trajectory gives all C0 of a seed: the slope is taken within it, the spread over seeds
    slopes = [_slopes(part, claim.column) for _, part in rows.group_by("dim", maintain_order=True)]
    slopes = [part for part in slopes if part]
    return mean(slopes) if slopes else None


def _groups(rows: pl.DataFrame, by: str, column: str) -> dict[float, list[float]]:
    groups: dict[float, list[float]] = {}
    for x, y in rows.sort(by, "seed").select(by, column).iter_rows():
        groups.setdefault(float(x), []).append(y)
    return groups


def _slopes(rows: pl.DataFrame, column: str) -> list[float]:
    """The exponent in C0 of each seed, at one dimension."""
    slopes = []
    for _, part in rows.sort("seed", "C0").group_by("seed", maintain_order=True):
        points: Sequence[tuple[float, float]] = part.select("C0", column).rows()
        if len(points) > 1:
            xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
            centre = sum(xs) / len(xs)
            slopes.append(
                sum((x - centre) * y for x, y in zip(xs, ys, strict=True)) / sum((x - centre) ** 2 for x in xs)
            )
    return slopes
