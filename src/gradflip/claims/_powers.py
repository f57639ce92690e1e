"""Exponents, coefficients of variation, contours and gaps of trained networks, by curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradflip.claims._claim import Claim, Verdict, judge
from gradflip.claims._contour import contour, ratios
from gradflip.claims._exponent import Interval, exponent, mean

if TYPE_CHECKING:
    import polars as pl


def power(claim: Claim, rows: pl.DataFrame) -> tuple[Interval, Verdict | None] | None:
    """What the rows of one curve say to a claim about a power or a size.

    Args:
        claim: Of one of the kinds of `PowerKind`.
        rows: A row per network, with `seed`, `dim`, `C0` and the columns of the claim.

    Returns:
        The number and the verdict; `None` where too few networks have the quantity.
    """
    found = _number(claim, rows.drop_nulls(claim.column))
    if found is None:
        return None
    return found, None if claim.value is None else _verdict(claim, found)


def _verdict(claim: Claim, found: Interval) -> Verdict:
    assert claim.value is not None
    if claim.kind == "exponent-below":
        below, above = found.high < claim.value, found.low >= claim.value
        return Verdict.HOLDS if below else Verdict.FAILS if above else Verdict.UNDECIDED
    if claim.kind == "bracket":
        return (
            Verdict.HOLDS
            if found.high <= claim.value
            else Verdict.FAILS
            if found.low > claim.value
            else Verdict.UNDECIDED
        )
    if claim.kind != "grows-with-C0":
        return judge(found, claim.value)
    return Verdict.HOLDS if found.low > 0 else Verdict.FAILS if found.high < 0 else Verdict.UNDECIDED


def _number(claim: Claim, rows: pl.DataFrame) -> Interval | None:
    if claim.kind == "contour":
        assert claim.along is not None and claim.over is not None
        places = contour(rows, column=claim.column, along=claim.along, over=claim.over)
        return exponent(places) if len(places) > 1 else None
    if claim.kind == "bracket":
        assert claim.along is not None and claim.above is not None
        widths = ratios(rows, below=claim.column, above=claim.above, along=claim.along, level=claim.level)
        return mean([widths]) if widths else None
    if claim.kind == "largest":
        assert claim.along is not None
        groups = list(_groups(rows, claim.along, claim.column).values())
        return mean([max(groups, key=lambda group: sum(group) / len(group))]) if groups else None
    rows = rows.filter(rows[claim.column] > 0)
    if claim.kind in ("exponent", "exponent-below"):
        draws = _groups(rows, claim.over or "dim", claim.column)
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
