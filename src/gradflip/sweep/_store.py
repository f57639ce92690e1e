"""The run folder: one file per cell, written as soon as it is done, and the tables made from them."""

from __future__ import annotations

import json
import logging
import shutil
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradflip._atomic import TEMPORARY, atomic_write, explained
from gradflip._errors import FileError, UsageError
from gradflip.sweep._grid import Cell
from gradflip.sweep._json import canonical, plain
from gradflip.sweep._result import CellResult
from gradflip.sweep._table import observation_table, row_table, to_csv, to_parquet

if TYPE_CHECKING:
    import polars

logger = logging.getLogger(__name__)

SPEC = "spec.toml"
VERSIONS = "versions."
"""What is recorded below this in `spec.toml` is compared where both sides name it, but for gradflip's own version: a
measure's version is in the hash of each of its cells, so that results of another version are never reused."""
RECORDED = "versions.gradflip"
CONTENT = (SPEC, "env.json", "cells", "table.*", "observations.*", "figures", "report.html", "log.jsonl")


@dataclass(frozen=True)
class RunFolder:
    """A folder that holds one run. Made by `create` or `open`.

    Args:
        path: Where it is.
        spec: What the run is, as read from `spec.toml`.
    """

    path: Path
    spec: Mapping[str, Any]

    @classmethod
    def create(cls, path: str | Path, spec: Mapping[str, Any], *, force: bool = False) -> RunFolder:
        """Make the folder, or resume the run if it holds the same one.

        Args:
            path: Location of the folder; parents are created too.
            spec: Everything that decides the rows: scalars, lists and dicts by name, without None (TOML has none).
            force: Delete what another or an earlier run left there. Other files in the folder stay.

        Returns:
            The folder, with `spec.toml` and `cells/` in it.

        Raises:
            UsageError: If the folder holds another run, or files that belong to no run.
            FileError: If `path` is a file, or the system refuses.
        """
        path, text = Path(path), _toml(spec)
        with explained("use", path):
            if path.exists() and not path.is_dir():
                raise FileError(f"{path} is a file, not a folder; choose another --out.")
            path.mkdir(parents=True, exist_ok=True)
            strangers = [entry.name for entry in sorted(path.iterdir()) if not entry.name.endswith(TEMPORARY)]
        if (path / SPEC).is_file():
            if force:
                _remove_run(path)
            else:
                _check_same_run(path, tomllib.loads(text))
        elif strangers:
            raise UsageError(f"{path} is not empty and not a run folder (it has {strangers[0]}); choose another --out.")
        if not (path / SPEC).is_file():
            atomic_write(path / SPEC, text.encode())
        folder = cls.open(path)
        with explained("make", folder.cells_dir):
            folder.cells_dir.mkdir(exist_ok=True)
        return folder

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """The run folder that is at `path`.

        Args:
            path: Where.

        Returns:
            The folder.

        Raises:
            FileError: If it is not a run folder, or its `spec.toml` is damaged.
        """
        path = Path(path)
        with explained("read", path / SPEC):
            if not (path / SPEC).is_file():
                raise FileError(f"{path} is not a run folder: it has no {SPEC}.")
            content = (path / SPEC).read_bytes()
        try:
            return cls(path, tomllib.loads(content.decode()))
        except ValueError as error:
            raise FileError(f"{path / SPEC} is damaged ({error}); start again with --force.") from error

    @property
    def cells_dir(self) -> Path:
        """Folder of the results, one file per cell."""
        return self.path / "cells"

    def write_env(self, env: Mapping[str, Any]) -> None:
        """Write `env.json`.

        Args:
            env: Versions, machine, command: plain JSON values.
        """
        text = json.dumps(plain(env, "env"), indent=2, allow_nan=False) + "\n"
        atomic_write(self.path / "env.json", text.encode())

    def read(self, cell: Cell) -> CellResult | None:
        """The result of a cell.

        Args:
            cell: The cell, as planned now.

        Returns:
            The result under the measure's names of today; None if there is none or its file is damaged, as a warning
            then says.
        """
        result = self._read(self.cells_dir / f"{cell.hash}.json")
        return None if result is None else result.of(cell)

    def write(self, result: CellResult) -> None:
        """Keep the result of a cell.

        Args:
            result: Rows or failure of one cell.
        """
        text = json.dumps(result.to_json(), allow_nan=False) + "\n"
        atomic_write(self.cells_dir / f"{result.cell.hash}.json", text.encode())

    def results(self) -> list[CellResult]:
        """Return all results that can be read, sorted by the hash of their cell."""
        with explained("read", self.cells_dir):
            names = sorted(file.name for file in self.cells_dir.glob("*.json") if not file.name.startswith("."))
        return [result for name in names if (result := self._read(self.cells_dir / name)) is not None]

    def tables(self, cells: Iterable[Cell] | None = None) -> tuple[polars.DataFrame, polars.DataFrame]:
        """Read rows and observations from the files of the cells.

        Args:
            cells: The cells, in the order of the table. None: all, sorted by hash.

        Returns:
            A line per row and a line per observation. Cells that are missing or failed have none.
        """
        if cells is None:
            results = self.results()
        else:
            results = [r for cell in dict.fromkeys(cells) if (r := self.read(cell)) is not None]
        results = [result for result in results if result.status == "ok"]
        return row_table(results), observation_table(results)

    def write_tables(self, cells: Iterable[Cell] | None = None) -> int:
        """Write `table.parquet`, `table.csv` and, if there are observations, `observations.parquet`.

        Args:
            cells: As for `tables`.

        Returns:
            The number of rows. Cells that are missing or failed have none.
        """
        rows, observations = self.tables(cells)
        atomic_write(self.path / "table.parquet", to_parquet(rows))
        atomic_write(self.path / "table.csv", to_csv(rows))
        if len(observations):
            atomic_write(self.path / "observations.parquet", to_parquet(observations))
        else:
            with explained("remove", self.path / "observations.parquet"):
                (self.path / "observations.parquet").unlink(missing_ok=True)  # of an earlier version
        return len(rows)

    def _read(self, file: Path) -> CellResult | None:
        try:
            with explained("read", file):
                result = CellResult.from_json(json.loads(file.read_bytes()))
            if result.cell.hash != file.stem:
                raise UsageError(f"it describes cell {result.cell.hash}")
        except FileError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise
        except (ValueError, RecursionError) as error:  # bad JSON, bad UTF-8, or JSON that is no result
            logger.warning("%s is damaged (%s): this cell counts as not done.", file, error)
            return None
        return result


def _toml(spec: Mapping[str, Any]) -> str:
    import tomlkit

    wanted = plain(spec, "spec")
    text = ""
    try:
        text = tomlkit.dumps(wanted)
        kept = canonical(tomllib.loads(text)) == canonical(wanted)
    except (ValueError, TypeError):  # None, above all
        kept = False
    if not kept:
        raise UsageError(f"spec must hold what TOML can: no None, no mixed lists of dicts; got {wanted!r}.")
    return text


def _check_same_run(path: Path, wanted: Mapping[str, Any]) -> None:
    existing = RunFolder.open(path).spec
    here, there = dict(_leaves(wanted)), dict(_leaves(existing))
    both = {key for key in here if key in there and key != RECORDED}
    compared = [key for key in dict.fromkeys([*there, *here]) if key in both or not key.startswith(VERSIONS)]
    different = [key for key in compared if here.get(key) != there.get(key)]
    if different:
        shown = [f"{key} is {there.get(key, 'not set')} there and {here.get(key, 'not set')} here" for key in different]
        more = f"; and {len(shown) - 3} more" if len(shown) > 3 else ""
        raise UsageError(
            f"{path} holds another run ({'; '.join(shown[:3])}{more}); choose another --out, or --force to replace it."
        )


def _leaves(spec: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in spec.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", canonical(value)


def _remove_run(path: Path) -> None:
    """Remove what a run folder holds and nothing else; `spec.toml` last, so that a stop leaves a run folder."""
    patterns = [*CONTENT[1:], f".*{TEMPORARY}", SPEC]
    for entry in [entry for pattern in patterns for entry in sorted(path.glob(pattern))]:
        with explained("remove", entry):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
