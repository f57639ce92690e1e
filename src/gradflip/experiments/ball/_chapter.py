"""The report's chapter on all networks in the lazy ball."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from gradflip.drawing import Column, Table, general, plain_columns, share, size, tiny
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._family import Chapter
from gradflip.experiments._settings import Settings
from gradflip.experiments.ball._claims import CHOSEN, FIXED, INDEPENDENT
from gradflip.theory import smallest_covered_dim, width_window


def _summary(rows: pl.DataFrame) -> dict[str, Any]:
    """The extremes over the ball, and when training left it."""
    if not len(rows):
        return {"measured": False}
    return {
        "measured": True,
        "extremes": _extremes(rows),
        "broken": _broken(rows),
        "left": _left(rows),
        "certified": "ball-certified" in rows["measure"].to_list(),
    }


def _extremes(rows: pl.DataFrame) -> dict[str, Any] | None:
    """The rise of |f| and the fall of the gradient norm in units of C0, and the least gradient at the largest d."""
    if "rise" not in rows.columns:
        return None
    ball = rows.filter(pl.col("part") == "ball")
    if not len(ball):
        return None
    taken = (ball["drop"] / ball["C0"]).drop_nulls()
    largest = ball.filter(pl.col("dim") == pl.col("dim").max(), pl.col("over") == "dim")
    largest = largest.filter(pl.col("C0") == pl.col("C0").max())
    return {
        "rise": (ball["rise"] / ball["C0"]).mean(),
        "taken": taken.mean() if len(taken) else None,
        "networks": ball.select("cell", "seed").n_unique(),
        "C0": largest["C0"][0] if len(largest) else None,
        "dim": largest["dim"][0] if len(largest) else None,
        "least": largest["minimum"].mean() if len(largest) else None,
        "start": (largest["dim"][0] / 2) ** 0.5 if len(largest) else None,
    }


def _broken(rows: pl.DataFrame) -> dict[str, Any] | None:
    """How far a perturbation chosen from W_0 breaks the bound of Lemma 4.3, and whether others keep it."""
    if "neurons" not in rows.columns:
        return None
    chosen = rows.filter(pl.col("part") == "moved", pl.col("line") == CHOSEN)
    if not len(chosen):
        return None
    ratios = chosen["neurons"] / chosen["bound"]
    beforehand = rows.filter(pl.col("line").is_in([FIXED, INDEPENDENT]))
    kept = (beforehand["violations"] / beforehand["draws"] <= beforehand["gamma"]).all()
    return {"low": ratios.min(), "high": ratios.max(), "kept": kept}


def _left(rows: pl.DataFrame) -> dict[str, Any] | None:
    """The last iterate inside the ball and the first outside of its cone."""
    if "cone_deviation" not in rows.columns:
        return None
    own = rows.filter(pl.col("measure") == "ball-cone", pl.col("scale") == 1)
    if not len(own):
        return None
    inside, outside = own.filter(pl.col("in_ball")), own.filter(~pl.col("in_cone"))
    off = rows.select(pl.max_horizontal(pl.max("step_off", "perturbation_off", "relative_off"))).item()
    return {
        "C0": own["C0"][0],
        "steps": inside["steps"].max(),
        "out": outside["steps"].min() if len(outside) else None,
        "off": off,
    }


def _theory(tables: list[pl.DataFrame]) -> dict[str, Any]:
    """What was measured, the dimensions, those at which Theorem 3.1 covers any width at constants 1, and the first."""
    kinds = sorted({name.removeprefix("ball-") for rows in tables if len(rows) for name in rows["measure"].to_list()})
    dims = sorted({dim for rows in tables if len(rows) for dim in rows["dim"].drop_nulls().to_list()})
    covered = [dim for dim in dims if not width_window(dim).empty]
    return {"kinds": kinds, "dims": dims, "covered": covered, "from": smallest_covered_dim()}


_STARTS = (
    Column("dim", "d", size),
    Column("width", "m", size),
    Column("seed", "seed"),
    Column("value0", "f, root mean square"),
    Column("gradient0", "|∇f|"),
    Column("difference0", "change of ∇f"),
)
_BALLS = (
    Column("dim", "d", size),
    Column("width", "m", size),
    Column("C0", "C0", general),
    Column("seed", "seed"),
    Column("rise", "sup |f| - |f(W0)|"),
    Column("rise_share", "most, by C0"),
    Column("supremum", "largest |f|"),
    Column("minimum", "least |∇f|"),
    Column("minimum_low", "not below"),
    Column("drop", "drop of |∇f|"),
)
_TRAINED = (
    Column("dim", "d", size),
    Column("width", "m", size),
    Column("C0", "C0", general),
    Column("seed", "seed"),
    Column("stopped_because", "stopped"),
    Column("steps", "steps", size),
    Column("scaled_deviation", "deviation"),
    Column("test_error", "test error", share),
    Column("gradient_start", "|∇f(W0)|"),
    Column("gradient", "|∇f|"),
    Column("difference", "change of ∇f"),
)
_SLABS = (
    Column("line", "at"),
    Column("dim", "d", size),
    Column("width", "m", size),
    Column("C0", "C0", general),
    Column("constant", "|δ| √d", general),
    Column("gamma", "γ", general),
    Column("draws", "draws", size),
    Column("neurons", "neurons, mean"),
    Column("bound", "bound"),
    Column("violations", "above it", size),
    Column("probability", "exact probability"),
)
_CONE = (
    Column("steps", "steps", size),
    Column("scale", "c", general),
    Column("seed", "seed"),
    Column("scaled_deviation", "deviation of c W"),
    Column("in_ball", "in the ball"),
    Column("cone_deviation", "distance of the ray"),
    Column("in_cone", "in the cone"),
    Column("test_error", "test error", share),
    Column("gradient_norm", "|g|"),
    Column("step", "s*"),
    Column("perturbation", "s*|g|"),
    Column("relative", "ρ"),
    Column("step_off", "c s* off by", tiny),
    Column("relative_off", "ρ off by", tiny),
)
_LEMMAS = (
    (
        ("start",), "At initialisation", _STARTS,
        r"Means over inputs uniform on the sphere: $|\nabla f(x; W_0)|$ and the most that the gradient was found to "
        r"change within $c / \sqrt{d}$ of the input.",
    ),
    (
        ("ball",), "Extremes over the ball", _BALLS,
        r"Exact suprema of $|f|$ over the ball, and its least $|\nabla f|$: that of a network in the ball, and what no "
        "network of it goes below, means over inputs. The drop is not given where the gradient can vanish.",
    ),
    (
        ("trained",), "Networks trained to the surface of the ball", _TRAINED,
        r"Deviation is $\sqrt{m} \max_j |w_j - w_{j,0}|$; gradients are means over test images.",
    ),
    (
        ("fixed", "moved"), "Neurons that can change sign", _SLABS,
        r"The number of neurons with $|w_{j,0} \cdot x| \le C_0 |x| / \sqrt{m}$ against the bound of Lemma 4.3, and "
        "how many draws were above it.",
    ),
)  # fmt: skip


def _tables(experiments: Sequence[Experiment], settings: Settings, table: pl.DataFrame) -> list[Table]:
    tables: list[Table] = []
    for experiment in experiments:
        rows = experiment.select(table, settings)
        if experiment.measure.name == "ball-lemmas":
            for parts, title, columns, note in _LEMMAS:
                own = rows.filter(pl.col("part").is_in(list(parts))) if len(rows) else rows
                tables += _table(title, note, columns, own)
        elif experiment.measure.name == "ball-cone":
            note = (
                r"A row per iterate $W$ and scale $c$. Deviation is $\sqrt{m} \max_j |c w_j - w_{j,0}|$, the distance "
                "of the ray its minimum over c. The last columns: the largest relative difference from the same of W "
                "at any test image."
            )
            tables += _table("Every iterate and its multiples", note, _CONE, rows)
        elif experiment.measure.name != "ball-certified":  # whose figure says it all
            tables += _table(f"Every measurement of {experiment.name}", "", plain_columns(rows.to_dicts()), rows)
    return tables


def _table(title: str, note: str, columns: tuple[Column, ...], rows: pl.DataFrame) -> list[Table]:
    """A table of rows without repetitions: a row occurs once for each line that it lies on."""
    names = [column.name for column in columns if column.name in rows.columns]
    own = rows.select(names).unique(maintain_order=True).to_dicts() if len(rows) else []
    return [Table(title, note, columns, own, held=())] if own else []


CHAPTER = Chapter(summary=_summary, theory=_theory, tables=_tables)
