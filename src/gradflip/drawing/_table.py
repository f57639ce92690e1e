"""A table of a run as a reader wants it: chosen columns, under headings, in an order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


def number(value: Any) -> str:
    """Return a number as a reader wants it: three digits, a dash for what does not exist."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.3g}"


@dataclass(frozen=True)
class Column:
    """A column that is shown.

    Attributes:
        name: Of the table.
        heading: What the page calls it.
        text: A value as text.
        page_only: Whether the command line leaves it out.
    """

    name: str
    heading: str
    text: Callable[[Any], str] = number
    page_only: bool = False


@dataclass(frozen=True)
class Listing:
    """Rows of a table, and what of them is shown.

    Attributes:
        title: What the rows are.
        note: What a reader must know of the columns; formulas stand between dollars.
        columns: What is shown.
        rows: One mapping of column to value each.
        held: The columns by which a page filters.
    """

    title: str
    note: str
    columns: tuple[Column, ...]
    rows: list[dict[str, Any]]
    held: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """The columns that the command line prints."""
        return [column.name for column in self.columns if not column.page_only]

    def values(self) -> list[list[Any]]:
        """Return those columns, row by row."""
        return [[row.get(name) for name in self.names] for row in self.rows]

    def lines(self) -> list[tuple[Mapping[str, Any], list[str]]]:
        """Return for each row what it is filtered by, and its cells as text."""
        return [
            (
                {name: row.get(name) for name in self.held},
                [column.text(row.get(column.name)) for column in self.columns],
            )
            for row in self.rows
        ]
