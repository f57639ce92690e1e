"""The report's chapter on networks trained adversarially within a ball."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from gradflip.drawing import Column, Table, fixed, general, share, yes_no
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._family import Chapter
from gradflip.experiments._settings import Settings
from gradflip.experiments.adversarial._cells import ADVERSARIAL
from gradflip.experiments.adversarial._half_lost import AXES, Axes, half_lost
from gradflip.theory import smallest_covered_dim, width_window

_NETWORK = ["cell", "seed", "training", "C0", "trained_epsilon"]  # identify a network; its rows are budgets


def _summary(rows: pl.DataFrame) -> dict[str, Any]:
    """The number of networks, how their training ended, and the constants of Figure 4."""
    if not len(rows):
        return {"networks": 0}
    networks = rows.unique(_NETWORK, maintain_order=True)
    adversarial = networks.filter(training="adversarial")
    dims, widths = (_axis_rows(rows, AXES[drawn]) for drawn in ("dim-budget", "width-radius"))
    return {
        "networks": len(networks),
        "adversarial": len(adversarial),
        "stopped": dict(adversarial["stopped_because"].value_counts(sort=True).sort("stopped_because").iter_rows()),
        "converged": adversarial["converged"].mean(),
        "outside": int((adversarial["scaled_deviation"] > (1 + 1e-6) * adversarial["C0"]).sum()),
        "others": len(adversarial) - int(adversarial["protocol"].value_counts()["count"].max() or 0),  # type: ignore[arg-type]
        "dims": _contour(dims, AXES["dim-budget"]),
        "widths": _contour(widths, AXES["width-radius"]),
        "one_step": _one_step_at_half(dims, AXES["dim-budget"]),
    }


def _axis_rows(rows: pl.DataFrame, axes: Axes) -> pl.DataFrame:
    """The largest set of rows that differ only in the two columns of a figure's axes."""
    held = [name for name in ("dim", "width", "C0", "epsilon") if name not in (axes.over, axes.along)]
    held = [name for name in held if not (axes.along == "radius" and name == "C0")]
    own = rows.filter(training="adversarial", budgets="own")
    groups = own.group_by("protocol", "train_images", *held, maintain_order=True)
    several = [group for _, group in groups if group[axes.over].n_unique() > 1]
    return max(several, key=len, default=rows.clear())


def _contour(rows: pl.DataFrame, axes: Axes) -> dict[str, Any] | None:
    """The constant c where half of the images survive PGD at c / sqrt of an axis."""
    half = half_lost(rows, axes, "robust_pgd") if len(rows) else None
    if half is None or half.constant is None:
        return None
    first = rows.row(0, named=True)
    return {"constant": half.constant} | {name: first[name] for name in ("protocol", "dim", "width", "C0", "epsilon")}


def _one_step_at_half(rows: pl.DataFrame, axes: Axes) -> float | None:
    """Robust accuracy under a single step at the budgets where PGD leaves one half, mean over dimensions."""
    if not len(rows):
        return None
    shares = []
    for x, places in half_lost(rows, axes, "robust_pgd").places.items():
        own = rows.filter(pl.col(axes.over) == x).sort("seed", axes.along)
        for place, (_, seed) in zip(places, own.group_by("seed", maintain_order=True), strict=True):
            shares.append(float(np.interp(np.log(place), np.log(seed[axes.along]), seed["robust_one_step"])))
    return sum(shares) / len(shares) if shares else None


def _theory(tables: list[pl.DataFrame]) -> dict[str, Any]:
    """Dimensions of the networks, those at which Theorem 3.1 covers any width at constants 1, and the first such."""
    dims = sorted({dim for rows in tables if len(rows) for dim in rows["dim"].to_list()})
    return {"dims": dims, "covered": [d for d in dims if not width_window(d).empty], "from": smallest_covered_dim()}


_COLUMNS = (
    Column("protocol", "protocol"),
    Column("dim", "d"),
    Column("width", "m"),
    Column("C0", "C0", general),
    Column("radius", "R", page_only=True),
    Column("trained_epsilon", "trained ε", general),
    Column("epsilon", "ε", general),
    Column("seed", "seed"),
    Column("stopped_because", "stopped"),
    Column("epochs", "epochs"),
    Column("converged", "converged", yes_no),
    Column("scaled_deviation", "deviation", fixed),
    Column("test_error", "test error", share),
    Column("robust_one_step", "one step", share),
    Column("robust_ray", "ray", share),
    Column("robust_pgd", "PGD", share),
    Column("flipped_within", "flipped within", share),
)


def _tables(_: Sequence[Experiment], __: Settings, table: pl.DataFrame) -> list[Table]:
    rows = ADVERSARIAL.rows(table)
    if not len(rows):
        return []
    note = (
        r"A row per network and budget $\epsilon$; those without “trained ε” were trained plainly, for comparison. "
        r"Deviation is $\sqrt{m} \max_j |w_j - w_{j,0}|$, at most C0 within the ball. “One step”, “ray” and “PGD”: the "
        "share of all test images that are still right; “flipped within”: the share of the correct ones whose exact "
        r"flip along the gradient ray is at most $\epsilon$ long. A dash: does not exist, such as a ray that leaves "
        "the pixel box."
    )
    order = ["protocol", "training", "dim", "width", "C0", "trained_epsilon", "epsilon", "seed"]
    return [Table("Every network trained adversarially", note, _COLUMNS, rows.sort(order).to_dicts(), held=())]


CHAPTER = Chapter(summary=_summary, theory=_theory, tables=_tables)
