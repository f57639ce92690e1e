"""Statistics of trained networks, over seeds: exponents, coefficients of variation, contours, gaps.

Rows are networks, with `seed`, `dim`, `C0` and the columns that a statistic names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from gradflip.claims._contour import HALF, contour, ratios
from gradflip.claims._interval import Interval, exponent, mean
from gradflip.claims._statistic import Statistic

if TYPE_CHECKING:
    import polars as pl

_LETTERS = {"dim": "d", "width": "m", "C0": "C0", "scale": "c"}


@final
@dataclass(frozen=True)
class Exponent(Statistic):
    """The exponent with which the quantity grows in a column; only positive values count.

    Attributes:
        over: The column; the input dimension if not given.
    """

    over: str = "dim"
    name: ClassVar[str] = "exponent {side}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The quantity and the axis."""
        return (self.column, self.over)

    @property
    def words(self) -> str:
        """As `"exponent in d"`."""
        return f"exponent in {_LETTERS.get(self.over, self.over)}"

    def intervals(self, rows: pl.DataFrame, comparisons: int) -> list[Interval]:
        """The exponent; none where the axis has a single point."""
        draws = _groups(_positive(rows, self.column), self.over, self.column)
        return [exponent(draws)] if len(draws) > 1 else []


@final
@dataclass(frozen=True)
class GrowthWithC0(Statistic):
    """The exponent in C0 at each dimension, averaged over dimensions, for each width."""

    name: ClassVar[str] = "grows with C0"
    by: ClassVar[str | None] = "width"

    @property
    def columns(self) -> tuple[str, ...]:
        """The quantity, the dimension and C0."""
        return (self.column, "dim", "C0")

    @property
    def words(self) -> str:
        """`"exponent in C0"`."""
        return "exponent in C0"

    def intervals(self, rows: pl.DataFrame, comparisons: int) -> list[Interval]:
        """The mean exponent; none where no seed has two C0."""
        # one trajectory gives all C0 of a seed: the slope is taken within it, the spread over seeds
        groups = _positive(rows, self.column).group_by("dim", maintain_order=True)
        slopes = [_slopes(part, self.column) for _, part in groups]
        slopes = [part for part in slopes if part]
        return [mean(slopes)] if slopes else []


@final
@dataclass(frozen=True)
class Variation(Statistic):
    """The mean of a coefficient of variation over the test images, over dimensions; only positive values count."""

    name: ClassVar[str] = "variation"

    @property
    def columns(self) -> tuple[str, ...]:
        """The coefficient and the dimension."""
        return (self.column, "dim")

    @property
    def words(self) -> str:
        """`"coefficient of variation"`."""
        return "coefficient of variation"

    def intervals(self, rows: pl.DataFrame, comparisons: int) -> list[Interval]:
        """The mean; none without a positive value."""
        groups = _groups(_positive(rows, self.column), "dim", self.column)
        return [mean(list(groups.values()))] if groups else []


@final
@dataclass(frozen=True)
class Contour(Statistic):
    """The exponent of the 50 % contour of an accuracy: where it crosses one half on one axis, as a power of another.

    Attributes:
        along: The axis on which it crosses one half.
        over: The axis of the power.
        label: The accuracy in words.
    """

    along: str
    over: str
    label: str
    name: ClassVar[str] = "contour"

    @property
    def columns(self) -> tuple[str, ...]:
        """The accuracy and both axes."""
        return (self.column, self.along, self.over)

    @property
    def words(self) -> str:
        """As `"exponent of the 50 % contour (single step)"`."""
        return f"exponent of the 50 % contour ({self.label})"

    def intervals(self, rows: pl.DataFrame, comparisons: int) -> list[Interval]:
        """The exponent; none where every seed crosses at fewer than two places."""
        places = contour(rows, column=self.column, along=self.along, over=self.over)
        return [exponent(places)] if len(places) > 1 else []


@final
@dataclass(frozen=True)
class Largest(Statistic):
    """The largest mean of the quantity along an axis.

    Attributes:
        along: The axis.
    """

    along: str
    name: ClassVar[str] = "largest"

    @property
    def columns(self) -> tuple[str, ...]:
        """The quantity and the axis."""
        return (self.column, self.along)

    @property
    def words(self) -> str:
        """`"where it is largest"`."""
        return "where it is largest"

    def intervals(self, rows: pl.DataFrame, comparisons: int) -> list[Interval]:
        """The mean."""
        groups = _groups(rows, self.along, self.column).values()
        return [mean([max(groups, key=lambda group: sum(group) / len(group))])]


@final
@dataclass(frozen=True)
class Ratio(Statistic):
    """The factor by which an upper curve crosses a level further along an axis than the quantity.

    Attributes:
        above: The column of the upper curve.
        along: The axis.
        level: The level.
    """

    above: str
    along: str
    level: float = HALF
    name: ClassVar[str] = "bracket"

    @property
    def columns(self) -> tuple[str, ...]:
        """Both curves and the axis."""
        return (self.column, self.above, self.along)

    @property
    def words(self) -> str:
        """As `"ratio of the budgets at 50%"`."""
        return f"ratio of the budgets at {self.level:.0%}"

    def intervals(self, rows: pl.DataFrame, comparisons: int) -> list[Interval]:
        """The mean ratio; none unless both curves of every seed cross."""
        widths = ratios(rows, below=self.column, above=self.above, along=self.along, level=self.level)
        return [mean([widths])] if widths else []


def _positive(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    return rows.filter(rows[column] > 0)


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
