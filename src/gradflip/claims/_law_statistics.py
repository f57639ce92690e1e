"""Statistics of random networks, over draws: probabilities and laws against limits and against explicit networks.

Rows are ensembles or comparisons. A count such as `flips` is out of `draws`; a Kolmogorov distance is that of a sample
of size `draws`. Intervals hold for all comparisons of a claim together (docs/mathematics/statistics.md, "Many
comparisons").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from gradflip.claims._interval import (
    LEVEL,
    Interval,
    clopper_pearson,
    difference,
    kolmogorov_margin,
    two_sample_margin,
    wilson,
)
from gradflip.claims._statistic import Statistic

if TYPE_CHECKING:
    import polars as pl

FALSE_ALARM = 1e-3
"""The probability of calling equal laws different, over all comparisons of a claim together."""


@final
@dataclass(frozen=True)
class Difference(Statistic):
    """The probability of an event less its probability for explicit networks, `explicit_flips` of `explicit_draws`."""

    name: ClassVar[str] = "same probability"

    @property
    def columns(self) -> tuple[str, ...]:
        """Both counts and their totals."""
        return (self.column, "draws", "explicit_flips", "explicit_draws")

    @property
    def words(self) -> str:
        """`"difference from explicit networks"`."""
        return "difference from explicit networks"

    def intervals(self, rows: pl.DataFrame, comparisons: int) -> list[Interval]:
        """A difference per row."""
        level = 1 - FALSE_ALARM / comparisons
        return [
            difference(
                wilson(row[self.column], row["draws"], level),
                wilson(row["explicit_flips"], row["explicit_draws"], level),
            )
            for row in rows.to_dicts()
        ]


@final
@dataclass(frozen=True)
class DistanceToExplicit(Statistic):
    """The largest Kolmogorov distance of `tests` between samples of `draws` and `explicit_draws`."""

    name: ClassVar[str] = "same law"

    @property
    def columns(self) -> tuple[str, ...]:
        """The distance, how many distances it is the largest of, and the sizes of the samples."""
        return (self.column, "tests", "draws", "explicit_draws")

    @property
    def words(self) -> str:
        """`"Kolmogorov distance to explicit networks"`."""
        return "Kolmogorov distance to explicit networks"

    def intervals(self, rows: pl.DataFrame, comparisons: int) -> list[Interval]:
        """A distance per row."""
        level = 1 - FALSE_ALARM / (comparisons * max(rows["tests"].to_list()))
        return [self._interval(row, level) for row in rows.to_dicts()]

    def _interval(self, row: dict[str, Any], level: float) -> Interval:
        distance, sizes = row[self.column], (row["draws"], row["explicit_draws"])
        margin = two_sample_margin(*sizes, level)
        return Interval(distance, max(0.0, distance - margin), distance + margin, min(sizes))


@final
@dataclass(frozen=True)
class Excess(Statistic):
    """A probability less its `limit`."""

    name: ClassVar[str] = "{side} limit"

    @property
    def columns(self) -> tuple[str, ...]:
        """The count, its total and the limit."""
        return (self.column, "draws", "limit")

    @property
    def words(self) -> str:
        """`"difference from the limit"`."""
        return "difference from the limit"

    def intervals(self, rows: pl.DataFrame, comparisons: int) -> list[Interval]:
        """An excess per row."""
        level = 1 - (1 - LEVEL) / comparisons
        return [_excess(row, self.column, level) for row in rows.to_dicts()]


@final
@dataclass(frozen=True)
class Approach(Statistic):
    """The decrease of a probability's distance to its `limit` from the start of an axis to its end.

    Attributes:
        along: The axis.
    """

    along: str
    name: ClassVar[str] = "approaches"

    @property
    def columns(self) -> tuple[str, ...]:
        """The count, its total, the limit and the axis."""
        return (self.column, "draws", "limit", self.along)

    @property
    def words(self) -> str:
        """`"fall of the distance to the limit"`."""
        return "fall of the distance to the limit"

    def intervals(self, rows: pl.DataFrame, comparisons: int) -> list[Interval]:
        """The decrease; none where the axis has a single point."""
        return _fall(rows, self.along, lambda row, level: _absolute(_excess(row, self.column, level)))


@final
@dataclass(frozen=True)
class Distance(Statistic):
    """The Kolmogorov distance of a sample to a given law."""

    name: ClassVar[str] = "distance"

    @property
    def columns(self) -> tuple[str, ...]:
        """The distance and the size of the sample."""
        return (self.column, "draws")

    @property
    def words(self) -> str:
        """`"Kolmogorov distance to the limit"`."""
        return "Kolmogorov distance to the limit"

    def intervals(self, rows: pl.DataFrame, comparisons: int) -> list[Interval]:
        """A distance per row."""
        level = 1 - (1 - LEVEL) / comparisons
        return [_distance(row, self.column, level) for row in rows.to_dicts()]


@final
@dataclass(frozen=True)
class Fall(Statistic):
    """The decrease of a Kolmogorov distance from the start of an axis to its end.

    Attributes:
        along: The axis.
    """

    along: str
    name: ClassVar[str] = "falls"

    @property
    def columns(self) -> tuple[str, ...]:
        """The distance, the size of the sample and the axis."""
        return (self.column, "draws", self.along)

    @property
    def words(self) -> str:
        """`"fall of the Kolmogorov distance to the limit"`."""
        return "fall of the Kolmogorov distance to the limit"

    def intervals(self, rows: pl.DataFrame, comparisons: int) -> list[Interval]:
        """The decrease; none where the axis has a single point."""
        return _fall(rows, self.along, lambda row, level: _distance(row, self.column, level))


@final
@dataclass(frozen=True)
class ShareAbove(Statistic):
    """The probability that a bound is broken, less the share `gamma` of draws that may break it."""

    name: ClassVar[str] = "{side} share"

    @property
    def columns(self) -> tuple[str, ...]:
        """The count, its total and the share allowed."""
        return (self.column, "draws", "gamma")

    @property
    def words(self) -> str:
        """`"share above the bound, less γ"`."""
        return "share above the bound, less γ"

    def intervals(self, rows: pl.DataFrame, comparisons: int) -> list[Interval]:
        """An excess per row, by the exact binomial test."""
        level = 1 - (1 - LEVEL) / comparisons
        return [_less(clopper_pearson(row[self.column], row["draws"], level), row["gamma"]) for row in rows.to_dicts()]


def _less(interval: Interval, value: float) -> Interval:
    return Interval(interval.estimate - value, interval.low - value, interval.high - value, interval.seeds)


def _excess(row: dict[str, Any], column: str, level: float) -> Interval:
    return _less(wilson(row[column], row["draws"], level), row["limit"])


def _absolute(excess: Interval) -> Interval:
    """The distance of a probability from its limit, on either side."""
    ends = sorted((abs(excess.low), abs(excess.high)))
    low = 0.0 if excess.low <= 0 <= excess.high else ends[0]
    return Interval(abs(excess.estimate), low, ends[1], excess.seeds)


def _distance(row: dict[str, Any], column: str, level: float) -> Interval:
    distance, margin = row[column], kolmogorov_margin(row["draws"], level)
    return Interval(distance, max(0.0, distance - margin), min(1.0, distance + margin), row["draws"])


def _fall(rows: pl.DataFrame, along: str, measured: Callable[[dict[str, Any], float], Interval]) -> list[Interval]:
    """The distance at the start of an axis less that at its end."""
    ordered = rows.sort(along)
    if ordered[along].n_unique() < 2:
        return []
    level = 1 - (1 - LEVEL) / 2  # each end errs with half of the probability 1 - LEVEL, so that both hold at LEVEL
    start, end = (measured(ordered.row(i, named=True), level) for i in (0, -1))
    fall = start.estimate - end.estimate
    return [Interval(fall, start.low - end.high, start.high - end.low, min(start.seeds, end.seeds))]
