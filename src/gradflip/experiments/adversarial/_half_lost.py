"""The budgets, or the radii, at which one half of the test images survives an attack."""

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
        letter: Of the horizontal axis.
        symbol: Of the vertical axis.
        over_title: What the horizontal axis is.
        along_title: What the vertical axis is.
        scaled: The vertical axis times the root of the horizontal one, in which curves collapse by the theory.
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
        places: At each place of the horizontal axis one of the vertical axis per seed.
        exponent: Of its power law; `None` of fewer than two places.
        constant: The c of c / sqrt of the horizontal axis that is closest on the log scale; `None` if there is none.
    """

    places: Mapping[float, Sequence[float]]
    exponent: Interval | None
    constant: float | None


def half_lost(rows: pl.DataFrame, axes: Axes, attack: str) -> Contour:
    """The 50 % contour of an attack, its exponent and the constant of the theory.

    Args:
        rows: Of one protocol.
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
