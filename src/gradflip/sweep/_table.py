"""Results -> data frames, with column types that depend on the values only."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from gradflip._errors import UsageError
from gradflip.sweep._measure import Scalar
from gradflip.sweep._result import OWN_COLUMNS, CellResult

if TYPE_CHECKING:
    import polars


def row_table(results: Sequence[CellResult]) -> polars.DataFrame:
    """Return one line per row: cell hash, measure and seed, then the row's own columns in order of first appearance."""
    lines = [{**_own(r), **row} for r in results for row in r.rows]
    names = dict.fromkeys([*OWN_COLUMNS, *(name for line in lines for name in line)])
    return _frame({name: [line.get(name) for line in lines] for name in names})


def observation_table(results: Sequence[CellResult]) -> polars.DataFrame:
    """Return one line per observation: cell hash, measure and seed, then the observed columns."""
    names = dict.fromkeys(name for r in results for name in r.observations)
    columns: dict[str, list[Scalar]] = {name: [] for name in (*OWN_COLUMNS, *names)}
    for r in results:
        length = len(next(iter(r.observations.values()), []))
        for name, value in _own(r).items():
            columns[name] += [value] * length
        for name in names:
            columns[name] += r.observations.get(name, [None] * length)
    return _frame(columns)


def _own(result: CellResult) -> dict[str, Scalar]:
    cell = result.cell
    return {"cell": cell.hash, "measure": cell.measure.name, "seed": cell.seed}


def to_parquet(frame: polars.DataFrame) -> bytes:
    """Return the bytes of a Parquet file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


def to_csv(frame: polars.DataFrame) -> bytes:
    """Return the bytes of a CSV file in UTF-8."""
    return frame.write_csv().encode()


def _frame(columns: Mapping[str, list[Scalar]]) -> polars.DataFrame:
    import polars

    series = []
    for name, values in columns.items():
        kinds = {type(value) for value in values if value is not None}
        if name in ("cell", "measure") or kinds == {str}:
            series.append(polars.Series(name, values, dtype=polars.String))
        elif kinds == {bool}:
            series.append(polars.Series(name, values, dtype=polars.Boolean))
        elif name == "seed" or (kinds == {int} and _fit(values)):
            series.append(polars.Series(name, values, dtype=polars.Int64))
        elif kinds <= {int, float}:  # all None too (numbers that were not finite), and integers beyond 64 bits
            floats = [None if value is None else float(value) for value in values]
            series.append(polars.Series(name, floats, dtype=polars.Float64))
        else:
            names_of_kinds = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise UsageError(f"column {name!r} must hold values of one kind, got {names_of_kinds}.")
    return polars.DataFrame(series)


def _fit(values: Iterable[Scalar]) -> bool:
    return all(value is None or -(2**63) <= int(value) < 2**63 for value in values)
