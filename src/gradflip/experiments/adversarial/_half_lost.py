"""The budgets or radii at which one half of the test images survives an attack."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from gradflip.claims import Interval, contour, exponent


@dataclass(frozen=True)
class Axes:
    """The axes of a heat map of robust accuracy.

    Attributes:
        over: The column of the horizontal axis.
        along: The column of the vertical axis.
        letter: The symbol of the horizontal axis.
        symbol: The symbol of the vertical axis.
        over_title: The title of the horizontal axis.
        along_title: The title of the vertical axis.
        scaled: The vertical axis times the root of the horizontal one; in theory curves over it collapse.
    """

    over: str
    along: str
    letter: str
    symbol: str
    over_title: str
    along_title: str
    scaled: str


AXES = {
    "dim-budget": Axes("dim", "epsilon", "d", "ε", "input dimension d", "budget ε", "ε √d"),
    "width-radius": Axes("width", "radius", "m", "R", "width m", "radius of the ball R = C0/√m", "C0 = R √m"),
}


@dataclass(frozen=True)
class Contour:
    """Where one half of the test images survives an attack.

    Attributes:
        places: For each place of the horizontal axis, one place of the vertical axis per seed.
        exponent: The exponent of its power law; `None` for fewer than two places.
        constant: The c for which c / sqrt of the horizontal axis fits best on the log scale; `None` without a place.
    """

    places: Mapping[float, Sequence[float]]
    exponent: Interval | None
    constant: float | None


def half_lost(rows: pl.DataFrame, axes: Axes, attack: str) -> Contour:
    """The 50 % contour of an attack, its exponent and the constant of the theory.

    Args:
        rows: Rows of one protocol.
        axes: The axes.
        attack: The column of the accuracy.

    Returns:
        A contour; it may have no point.
    """
    kept = rows.filter(pl.col(attack).is_not_null())
    places = contour(kept, column=attack, along=axes.along, over=axes.over)
    if len(places) < 2:
        return Contour(places, None, None)
    logs = [math.log(sum(own) / len(own) * math.sqrt(x)) for x, own in places.items()]
    return Contour(places, exponent(places), math.exp(sum(logs) / len(logs)))
