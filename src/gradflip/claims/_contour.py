"""The places at which an accuracy crosses a level along an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

HALF = 0.5


def crossing(points: Sequence[tuple[float, float]], level: float = HALF) -> float | None:
    """The place at which a curve first crosses a level.

    Args:
        points: Pairs (place, accuracy) with positive places; the accuracy is interpolated linearly in log place.
        level: The level.

    Returns:
        The place; `None` if the curve stays on one side.
    """
    ordered = sorted(points)
    for (x0, y0), (x1, y1) in zip(ordered, ordered[1:], strict=False):
        if (y0 - level) * (y1 - level) <= 0 and y0 != y1:
            share = (level - y0) / (y1 - y0)
            return math.exp((1 - share) * math.log(x0) + share * math.log(x1))
    return None


def contour(rows: pl.DataFrame, *, column: str, along: str, over: str) -> dict[float, list[float]]:
    """The 50 % contour of a table.

    Args:
        rows: A row per network, with `seed` and these columns.
        column: The accuracy.
        along: The axis along which it crosses one half.
        over: The other axis.

    Returns:
        At each place of `over` where every seed crosses within its range, one place of `along` per seed: a mean over
        the seeds that happen to cross would be biased towards the middle of the range.
    """
    places: dict[float, list[float]] = {}
    for x in sorted(set(rows[over].to_list())):
        part = rows.filter(rows[over] == x)
        crossings = [
            crossing(own.select(along, column).rows())
            for _, own in part.sort("seed").group_by("seed", maintain_order=True)
        ]
        crossed = [place for place in crossings if place is not None]
        if len(crossed) == len(crossings):
            places[float(x)] = crossed
    return places


def ratios(rows: pl.DataFrame, *, below: str, above: str, along: str, level: float) -> list[float]:
    """The places at which an upper and a lower curve cross a level, as ratios.

    Args:
        rows: A row per network and place, with `seed` and these columns.
        below: The lower curve.
        above: The upper one.
        along: The axis.
        level: The level.

    Returns:
        Upper place over lower place, a ratio per seed; empty unless both curves of every seed cross.
    """
    factors = []
    for _, own in rows.sort("seed").group_by("seed", maintain_order=True):
        lower, upper = (crossing(own.select(along, column).rows(), level) for column in (below, above))
        if lower is None or upper is None:
            return []
        factors.append(upper / lower)
    return factors
