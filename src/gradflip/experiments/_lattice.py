"""Numbers that are equidistant on the log scale, and the cells around them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def lattice(low: float, high: float, centre: float, step: float) -> tuple[float, ...]:
    """The numbers centre step^j that lie within [low, high], to four digits.

    Args:
        low: Lower end.
        high: Upper end.
        centre: The number at j = 0.
        step: Ratio of two neighbours, above 1.

    Returns:
        Increasing numbers, the same ones for every range that contains them.
    """
    first, last = (math.log(end / centre, step) for end in (low, high))
    return tuple(float(f"{centre * step**j:.4g}") for j in range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1))


def edges(place: float, neighbours: Sequence[float]) -> tuple[float, float]:
    """The edges of the cell at a place of a grid: halfway to its neighbours, on the log scale.

    Args:
        place: A place of the grid, up to rounding.
        neighbours: The increasing places of the grid; the cells at its ends are symmetric.

    Returns:
        Lower and upper edge.
    """
    j = min(range(len(neighbours)), key=lambda k: abs(math.log(neighbours[k] / place)))
    below = place / neighbours[j - 1] if j > 0 else None
    above = neighbours[j + 1] / place if j + 1 < len(neighbours) else None
    below, above = below or above or 1.5, above or below or 1.5
    return place / math.sqrt(below), place * math.sqrt(above)
