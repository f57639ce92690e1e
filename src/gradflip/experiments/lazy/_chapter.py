"""The report's chapter on lazily trained networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from gradflip.drawing import Column, Table, fixed, general, share
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._family import Chapter
from gradflip.experiments._settings import Settings
from gradflip.experiments.lazy._cells import LAZY
from gradflip.theory import smallest_covered_dim, width_window


def _summary(rows: pl.DataFrame) -> dict[str, Any]:
    if not len(rows):
        return {"networks": 0}
    large = rows.filter(pl.col("dim") == rows["dim"].max())
    flips = rows.select(pl.sum("correct"), pl.sum("flipped"), pl.sum("never"), pl.sum("flat")).row(0, named=True)
    return {
        "networks": len(rows),
        "stayed": int((rows["stopped_because"] == "max-epochs").sum()),
        "median_test_error": rows["test_error"].median(),
        "largest_test_error": rows["test_error"].max(),
        "dim": large["dim"][0],
        "relative": large["relative"].median(),
        "relative_sqrt_d": rows["relative_sqrt_d"].median(),
        **flips,
    }


def _theory(tables: list[pl.DataFrame]) -> dict[str, Any]:
    """Dimensions of the networks, those at which Theorem 3.1 covers any width at constants 1, and the first such."""
    dims = sorted({dim for rows in tables if len(rows) for dim in rows["dim"].to_list()})
    covered = [dim for dim in dims if not width_window(dim).empty]
    return {"dims": dims, "covered": covered, "from": smallest_covered_dim()}


_COLUMNS = (
    Column("dim", "d"),
    Column("width", "m"),
    Column("C0", "C0", general),
    Column("seed", "seed"),
    Column("normalize", "inputs", lambda normalize: "norm 1" if normalize else "pixels", page_only=True),
    Column("stopped_because", "stopped"),
    Column("epochs", "epochs"),
    Column("scaled_deviation", "deviation", fixed, page_only=True),
    Column("left_at", "left at", fixed, page_only=True),
    Column("test_error", "test error", share),
    Column("correct", "correct"),
    Column("flipped", "flipped"),
    Column("gradient_norm", "|g|"),
    Column("step", "s*"),
    Column("perturbation", "s*|g|"),
    Column("relative", "ρ"),
    Column("relative_sqrt_d", "ρ √d"),
)


def _tables(_: Sequence[Experiment], __: Settings, table: pl.DataFrame) -> list[Table]:
    rows = LAZY.rows(table)
    if not len(rows):
        return []
    note = (
        r"Deviation is $\sqrt{m} \max_j |w_j - w_{j,0}|$ of the network analysed, at most C0 where training stops at "
        "the surface; “left at” is that of the first iterate outside. Means are over correctly classified images that "
        "flip."
    )
    ordered = rows.sort("normalize", "width", "C0", "dim", "seed").to_dicts()
    return [Table("Every network", note, _COLUMNS, ordered, held=("width", "C0"))]


CHAPTER = Chapter(summary=_summary, theory=_theory, tables=_tables)
