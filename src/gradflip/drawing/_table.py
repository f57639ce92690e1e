"""A table for readers: chosen columns under headings, values as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gradflip.drawing._formatters import number


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its key in the rows.
        heading: Its heading on a page.
        text: Formats a value.
        page_only: Whether the command line leaves it out.
    """

    name: str
    heading: str
    text: Callable[[Any], str] = number
    page_only: bool = False


@dataclass(frozen=True)
class Table:
    """Rows, and how they are shown.

    Attributes:
        title: Names the rows.
        note: Explains the columns; formulas stand between dollars.
        columns: The columns, in order.
        rows: A mapping of column name to value each.
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
        """The values of those columns, row by row."""
        return [[row.get(name) for name in self.names] for row in self.rows]

    def lines(self) -> list[tuple[Mapping[str, Any], list[str]]]:
        """For each row, the values it is filtered by and its cells as text."""
        return [
            (
                {name: row.get(name) for name in self.held},
                [column.text(row.get(column.name)) for column in self.columns],
            )
            for row in self.rows
        ]
