"""A statistic: a number, or one per comparison, computed from the rows of a curve, with intervals."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from gradflip.claims._interval import Interval

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Statistic(abc.ABC):
    """A number computed from the rows of a curve.

    To add one, write a final subclass beside those it resembles, in `_power_statistics.py` (trained networks, over
    seeds) or `_law_statistics.py` (random networks, over draws), and export it; nothing else knows the kinds.

    Attributes:
        column: The column of the table that the number describes.
        name: A few words for a terminal; `{side}` stands for the side that is expected, if any.
        by: The column that tells the curves apart, where it is not the experiment's.
    """

    column: str
    name: ClassVar[str]
    by: ClassVar[str | None] = None

    @property
    @abc.abstractmethod
    def columns(self) -> tuple[str, ...]:
        """All columns that it reads, apart from `seed`; rows with a null in one of them do not count."""

    @property
    @abc.abstractmethod
    def words(self) -> str:
        """What the number is, such as `"exponent in d"`."""

    @abc.abstractmethod
    def intervals(self, rows: pl.DataFrame, comparisons: int) -> list[Interval]:
        """The number, or one for each comparison.

        Args:
            rows: Of one curve, at least one row, without nulls in `columns`.
            comparisons: Number of rows of all curves of the claim; intervals of laws hold for all of them together.

        Returns:
            Intervals; none where the rows are too few.
        """
