"""Ranges and ticks of axes, as numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import polars as pl


def extent(values: Iterable[float] | pl.Series) -> tuple[float, float]:
    """The smallest and the largest of some numbers, nulls left out."""
    series = pl.Series(values, dtype=pl.Float64)
    return series.min(), series.max()  # type: ignore[return-value]


def around(values: Iterable[float] | pl.Series, factor: float = 1.12) -> list[float]:
    """A range on the log scale, wider than that of some positive numbers by a factor at both ends."""
    low, high = extent(values)
    return [low / factor, high * factor]


def ticks(domain: Sequence[float]) -> list[float]:
    """1-2-5 ticks within a positive range; only powers of ten where it spans more than three decades.

    Args:
        domain: Its ends.

    Returns:
        Increasing numbers.
    """
    low, high = domain
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1,) if high / low > 1000 else (1, 2, 5) if high / low > 4 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    candidates = [float(f"{step}e{decade}") for decade in decades for step in steps]
    return [tick for tick in candidates if low <= tick <= high]


def powers(low: float, high: float, most: int = 6) -> list[float]:
    """Powers of ten within a range, every second or third where there would be too many.

    Args:
        low: Lower end.
        high: Upper end.
        most: The largest number of ticks.

    Returns:
        Increasing numbers; the ends of a range that holds no power of ten.
    """
    inside = [10.0**k for k in range(-12, 16) if low <= 10.0**k <= high]
    return inside[:: -(-len(inside) // most)] if inside else [low, high]
