"""Expectations: where a theorem puts a number, and the verdict of an interval on that."""

from __future__ import annotations

import abc
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

from gradflip.claims._interval import Interval

TOLERANCE = 0.1


class Verdict(enum.Enum):
    """The verdict of an interval on an expectation (docs/mathematics/statistics.md, "Verdicts")."""

    HOLDS = "holds"
    """The interval lies within the claimed value +- 0.1, or on the claimed side of it."""
    FAILS = "fails"
    """It is disjoint from that."""
    UNDECIDED = "undecided"
    """Neither."""


class Expectation(abc.ABC):
    """Where a number should lie.

    Attributes:
        side: The side of a value that is expected, as in `"below"`; empty for the value itself.
    """

    side: ClassVar[str] = ""

    @property
    @abc.abstractmethod
    def words(self) -> str:
        """The expectation as it follows the name of the number, such as `"above 0"`."""

    @abc.abstractmethod
    def verdict(self, interval: Interval) -> Verdict | None:
        """The verdict of one interval; `None` if nothing is expected."""

    @abc.abstractmethod
    def decisive(self, intervals: Sequence[Interval]) -> Interval:
        """Of several comparisons, at least one, the one that contradicts the expectation most."""


@final
@dataclass(frozen=True)
class Equals(Expectation):
    """The number is `value`, up to a tolerance.

    It holds if the interval lies within value +- tolerance, and fails if the interval is disjoint from that.

    Attributes:
        value: The expected number.
        tolerance: The largest deviation that still counts as equal.
    """

    value: float
    tolerance: float = TOLERANCE

    @property
    def words(self) -> str:
        """As `"0 ± 0.1"`."""
        return f"{self.value:g} ± {self.tolerance:g}"

    def verdict(self, interval: Interval) -> Verdict:
        """`HOLDS` within the tolerance, `FAILS` disjoint from it, else `UNDECIDED`."""
        low, high = self.value - self.tolerance, self.value + self.tolerance
        return _verdict(holds=low <= interval.low and interval.high <= high, fails=_apart(interval, low, high))

    def decisive(self, intervals: Sequence[Interval]) -> Interval:
        """The interval that reaches furthest from the value, of those that fail if any does."""
        off = [interval for interval in intervals if self.verdict(interval) is Verdict.FAILS]
        return max(off or intervals, key=lambda interval: _reach(interval, self.value))


@final
@dataclass(frozen=True)
class EqualsUpToChance(Expectation):
    """The number is exactly `value`; its interval excludes it only by a false alarm.

    It fails if the interval excludes the value, however close the interval is. It holds if the interval contains the
    value and reaches no further than the tolerance.

    Attributes:
        value: The expected number.
        tolerance: How far from the value the interval of a claim that holds may reach.
    """

    value: float = 0.0
    tolerance: float = TOLERANCE

    @property
    def words(self) -> str:
        """As `"0 ± 0.1"`."""
        return f"{self.value:g} ± {self.tolerance:g}"

    def verdict(self, interval: Interval) -> Verdict:
        """`FAILS` if the value is excluded, `HOLDS` if it is not and the interval is short, else `UNDECIDED`."""
        short = _reach(interval, self.value) <= self.tolerance
        return _verdict(fails=_apart(interval, self.value, self.value), holds=short)

    def decisive(self, intervals: Sequence[Interval]) -> Interval:
        """The interval that excludes the value by most, or else the one that reaches furthest from it."""
        off = [interval for interval in intervals if _apart(interval, self.value, self.value)]
        if off:
            return max(off, key=lambda interval: max(interval.low - self.value, self.value - interval.high))
        return max(intervals, key=lambda interval: _reach(interval, self.value))


@final
@dataclass(frozen=True)
class Above(Expectation):
    """The number is greater than `value`.

    Attributes:
        value: The bound.
    """

    value: float
    side: ClassVar[str] = "above"

    @property
    def words(self) -> str:
        """As `"above 0"`."""
        return f"above {self.value:g}"

    def verdict(self, interval: Interval) -> Verdict:
        """`HOLDS` if all of the interval is above the value, `FAILS` if all of it is below, else `UNDECIDED`."""
        return _verdict(holds=interval.low > self.value, fails=interval.high < self.value)

    def decisive(self, intervals: Sequence[Interval]) -> Interval:
        """The interval that reaches lowest."""
        return min(intervals, key=lambda interval: interval.low)


@final
@dataclass(frozen=True)
class Below(Expectation):
    """The number is smaller than `value`.

    Attributes:
        value: The bound.
    """

    value: float
    side: ClassVar[str] = "below"

    @property
    def words(self) -> str:
        """As `"below 0.5"`."""
        return f"below {self.value:g}"

    def verdict(self, interval: Interval) -> Verdict:
        """`HOLDS` if all of the interval is below the value, `FAILS` if none of it is, else `UNDECIDED`."""
        return _verdict(holds=interval.high < self.value, fails=interval.low >= self.value)

    def decisive(self, intervals: Sequence[Interval]) -> Interval:
        """The interval that reaches highest."""
        return max(intervals, key=lambda interval: interval.high)


@final
@dataclass(frozen=True)
class AtMost(Expectation):
    """The number is `value` or smaller.

    Attributes:
        value: The bound.
    """

    value: float
    side: ClassVar[str] = "at most"

    @property
    def words(self) -> str:
        """As `"at most 1.5"`."""
        return f"at most {self.value:g}"

    def verdict(self, interval: Interval) -> Verdict:
        """`HOLDS` if no part of the interval is above the value, `FAILS` if all of it is, else `UNDECIDED`."""
        return _verdict(holds=interval.high <= self.value, fails=interval.low > self.value)

    def decisive(self, intervals: Sequence[Interval]) -> Interval:
        """The interval that reaches highest, of those above the value if any is."""
        return max(intervals, key=lambda interval: (interval.low > self.value, interval.high))


@final
@dataclass(frozen=True)
class Reported(Expectation):
    """Nothing is expected; the number is reported with its interval.

    Attributes:
        signed: Whether the largest of several comparisons is reported, rather than the one furthest from 0.
    """

    signed: bool = False

    @property
    def words(self) -> str:
        """Empty."""
        return ""

    def verdict(self, interval: Interval) -> None:
        """`None`."""

    def decisive(self, intervals: Sequence[Interval]) -> Interval:
        """The interval with the largest estimate, in absolute value unless `signed`."""
        return max(intervals, key=lambda interval: interval.estimate if self.signed else abs(interval.estimate))


def _verdict(*, holds: bool, fails: bool) -> Verdict:
    """`FAILS` takes precedence."""
    return Verdict.FAILS if fails else Verdict.HOLDS if holds else Verdict.UNDECIDED


def _apart(interval: Interval, low: float, high: float) -> bool:
    return interval.high < low or interval.low > high


def _reach(interval: Interval, value: float) -> float:
    """The distance from a value to the farther end of an interval."""
    return max(value - interval.low, interval.high - value)
