"""A table for readers: chosen columns under headings, values as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


def plain_columns(rows: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """Show every column that has a value, under its own name.

    Args:
        rows: Rows of a run's table.

    Returns:
        Columns in order of first appearance, without the hash of the cell and the name of the measure.
    """
    names = dict.fromkeys(name for row in rows for name, value in row.items() if value is not None)
    return tuple(Column(name, name) for name in names if name not in ("cell", "measure"))
