"""The result of a cell, rows or failure, as a JSON value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from gradflip._errors import UsageError
from gradflip.sweep._grid import Cell
from gradflip.sweep._json import plain_scalar
from gradflip.sweep._measure import Scalar

OWN_COLUMNS = ("cell", "measure", "seed")  # written by the table itself


@dataclass(frozen=True)
class CellResult:
    """The rows of one cell, or why there are none.

    Args:
        cell: The cell.
        status: `"ok"` or `"failed"`.
        rows: Rows of the table. Empty if it failed.
        observations: Columns of equal length.
        seconds: Duration of the measure.
        peak_memory_bytes: Peak memory of its process meanwhile; 0 where the system does not report it.
        error: Why it failed: type and message in one line, an empty line, the whole traceback. None if it is ok.
    """

    cell: Cell
    status: Literal["ok", "failed"]
    rows: list[dict[str, Scalar]] = field(default_factory=list)
    observations: dict[str, list[Scalar]] = field(default_factory=dict)
    seconds: float = 0.0
    peak_memory_bytes: int = 0
    error: str | None = None

    def __post_init__(self) -> None:
        if self.status not in ("ok", "failed"):
            raise UsageError(f"status must be 'ok' or 'failed', got {self.status!r}.")
        object.__setattr__(self, "rows", _plain_rows(self.rows))
        object.__setattr__(self, "observations", _plain_columns(self.observations))

    @property
    def reason(self) -> str:
        """The first line of `error`, empty if there is none."""
        return (self.error or "").partition("\n")[0]

    def of(self, cell: Cell) -> CellResult:
        """The same result as that of a cell with this hash, its columns renamed as the cell's measure names them now.

        Args:
            cell: The cell as it is planned now.

        Returns:
            The result under the measure's name of today, whatever its file called it.
        """
        measure = cell.measure
        rows = [measure.current(row) for row in self.rows]
        return replace(self, cell=cell, rows=rows, observations=measure.current(self.observations))

    def to_json(self) -> dict[str, Any]:
        """Return the result as a dict of plain JSON values, checked anew: the lists inside may have changed."""
        return {
            "cell": self.cell.to_json(),
            "hash": self.cell.hash,
            "status": self.status,
            "seconds": self.seconds,
            "peak_memory_bytes": self.peak_memory_bytes,
            "error": self.error,
            "rows": _plain_rows(self.rows),
            "observations": _plain_columns(self.observations),
        }

    @classmethod
    def from_json(cls, data: Any) -> CellResult:
        """The result that `to_json` wrote.

        Args:
            data: The parsed content of the file.

        Returns:
            An equal result.

        Raises:
            UsageError: If `data` is not a result, or its hash is not that of its cell.
        """
        try:
            fields = dict(data)
            cell, written = Cell.from_json(fields.pop("cell")), fields.pop("hash")
            result = cls(cell=cell, **fields)
        except (TypeError, KeyError, ValueError) as error:
            raise UsageError(f"not the result of a cell: {error}") from error
        if written != cell.hash:
            raise UsageError(f"it says cell {written} and describes cell {cell.hash}")
        return result


def _plain_rows(rows: Any) -> list[dict[str, Scalar]]:
    if not isinstance(rows, list | tuple):
        raise UsageError(f"rows must be a list, got {type(rows).__name__}.")
    copies = []
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise UsageError(f"row {i} must be a mapping, got {type(row).__name__}.")
        _check_names(row, f"row {i}")
        copies.append({str(name): plain_scalar(value, f"row {i}, column {name!r},") for name, value in row.items()})
    return copies


def _plain_columns(columns: Any) -> dict[str, list[Scalar]]:
    if not isinstance(columns, Mapping):
        raise UsageError(f"observations must be a mapping, got {type(columns).__name__}.")
    _check_names(columns, "observations")
    copies: dict[str, list[Scalar]] = {}
    for name, column in columns.items():
        if not isinstance(column, list | tuple):
            raise UsageError(f"observations, column {name!r}, must be a list, got {type(column).__name__}.")
        copies[str(name)] = [plain_scalar(value, f"observations, column {name!r},") for value in column]
    lengths = {name: len(column) for name, column in copies.items()}
    if len(set(lengths.values())) > 1:
        raise UsageError(f"observations must have columns of equal length, got {lengths}.")
    return copies


def _check_names(columns: Mapping[Any, Any], where: str) -> None:
    for name in columns:
        if not isinstance(name, str):
            raise UsageError(f"the columns of {where} must be strings, got {name!r}.")
        plain_scalar(name, f"a column of {where}")
        if name in OWN_COLUMNS:
            raise UsageError(f"{where} must not have a column {name!r}: the table adds its own.")
