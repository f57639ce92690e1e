"""The report's chapter on networks at random initialisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from gradflip.drawing import Column, Table, number_or_infinity, plain_columns, share, size
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._family import Chapter
from gradflip.experiments._settings import Settings
from gradflip.experiments.random._shapes import GROWING


def _summary(rows: pl.DataFrame) -> dict[str, Any]:
    """The number and sizes of the networks, and how often one step flips the largest."""
    if not len(rows):
        return {"ensembles": 0}
    counts = [name for name in ("draws", "explicit_draws", "ray_draws") if name in rows.columns]
    # several rows of a cell are about the same networks
    cells = rows.group_by("cell").agg(pl.max(name).fill_null(0) for name in counts)
    return {
        "ensembles": len(cells),
        "networks": int(sum(cells[name].sum() for name in counts)),
        "explicit": int(cells["explicit_draws"].sum()) if "explicit_draws" in counts else 0,
        "dims": [int(end) for end in (rows["dim"].min(), rows["dim"].max())],  # type: ignore[arg-type]
        "step": _one_step(rows),
        "median": _median(rows),
        "deep": _deep(rows),
    }


def _one_step(rows: pl.DataFrame) -> dict[str, Any] | None:
    """How often the step nu / tau^2 flips two-layer networks of the largest size."""
    if "s" not in rows.columns:
        return None
    own = rows.filter(pl.col("measure") == "random-flip-probability", pl.col("s") == 1)
    own = own.filter(pl.col("dim") == pl.col("dim").max())
    if not len(own):
        return None
    shares = own["flip_probability"]
    return {"dim": own["dim"][0], "low": shares.min(), "high": shares.max(), "limit": own["limit"][0]}


def _median(rows: pl.DataFrame) -> dict[str, Any] | None:
    """The median of rho sqrt d of the widest networks whose rays were followed."""
    own = rows.filter(pl.col("measure") == "random-any-width")
    if not len(own):
        return None
    widest = own.sort("width", "dim").row(-1, named=True)
    return {name: widest[name] for name in ("dim", "width", "q50")}


def _deep(rows: pl.DataFrame) -> dict[str, Any] | None:
    """How often one step flips the deepest networks at the largest d: those with growing widths, and narrow ones."""
    own = rows.filter(pl.col("measure") == "random-depth")
    if not len(own):
        return None
    deepest = own.filter(pl.col("depth") == pl.col("depth").max())
    largest = deepest.filter(pl.col("dim") == pl.col("dim").max().over("curve"))
    grows = largest["shape"].is_in(list(GROWING))
    wide, narrow = (largest.filter(kept)["flip_probability"] for kept in (grows, ~grows))
    return {
        "depth": deepest["depth"][0],
        "wide": [wide.min(), wide.max()] if len(wide) else None,
        "narrow": [narrow.min(), narrow.max()] if len(narrow) else None,
        "limit": largest["limit"][0],
    }


def _theory(tables: list[pl.DataFrame]) -> dict[str, Any]:
    measures = {name for rows in tables if len(rows) for name in rows["measure"].to_list()}
    return {"kinds": sorted(name.removeprefix("random-") for name in measures)}


_FLIP_PROBABILITY = (
    Column("activation", "activation"),
    Column("dim", "d", size),
    Column("width", "m", size),
    Column("seed", "seed"),
    Column("s", "s τ²/ν"),
    Column("draws", "networks", size),
    Column("flip_probability", "flips", share),
    Column("explicit_draws", "explicit", size),
    Column("explicit_flip_probability", "flips", share),
    Column("limit", "limit", share),
)
_ANY_WIDTH = (
    Column("line", "line"),
    Column("dim", "d", size),
    Column("width", "m", size),
    Column("seed", "seed"),
    Column("draws", "networks", size),
    Column("unflipped", "never flips", share),
    *(Column(f"q{level:02d}", f"{level} %", number_or_infinity) for level in (5, 25, 50, 75, 95)),
    Column("distance", "distance"),
)
_JOINT_LAW = (
    Column("activation", "activation"),
    Column("dim", "d", size),
    Column("width", "m", size),
    Column("seed", "seed"),
    Column("s", "s τ²/ν"),
    Column("draws", "implicit", size),
    Column("explicit_draws", "explicit", size),
    Column("ks", "largest distance"),
    Column("correlation", "correlation"),
    Column("explicit_correlation", "explicit"),
    Column("limit_correlation", "limit"),
    Column("distance", "distance to the limit"),
)
_DEPTH = (
    Column("activation", "activation"),
    Column("weight_variance", "variance"),
    Column("shape", "shape"),
    Column("depth", "L"),
    Column("widths", "widths"),
    Column("seed", "seed"),
    Column("draws", "networks", size),
    Column("flip_probability", "flips", share),
    Column("limit", "limit", share),
    Column("ray_draws", "rays", size),
    Column("unflipped", "never flips", share),
    Column("q25", "25 %", number_or_infinity),
    Column("q50", "50 %", number_or_infinity),
    Column("q75", "75 %", number_or_infinity),
    Column("limit_q50", "limit, 50 %"),
)
_NOTES = {
    "flip-probability": r"How often the step s, in units of $\nu / \tau^2$, flips the sign: networks of the exact law "
    "and, where drawn, networks with explicit matrices.",
    "any-width": r"Quantiles of $\rho \sqrt{d}$; infinite where so many never flip. “Never flips” counts those whose "
    "sign never changes along the ray, whose gradient is zero, or that are 0 at the input.",
    "joint-law": r"The pair $(f(x), f(x(s)))$: the largest Kolmogorov distance between implicit and explicit networks "
    "over marginals and projections, correlations, and the distance of $f(x(s))$ to its limit law.",
    "depth": r"How often one step $\nu / \tau^2$ flips, and quantiles of $\rho \sqrt{d}$ along the rays followed; "
    "“never flips” includes those whose search found no flip.",
}
_COLUMNS = {
    "flip-probability": _FLIP_PROBABILITY,
    "any-width": _ANY_WIDTH,
    "joint-law": _JOINT_LAW,
    "depth": _DEPTH,
}


def _tables(experiments: Sequence[Experiment], settings: Settings, table: pl.DataFrame) -> list[Table]:
    tables = []
    for experiment in experiments:
        rows = experiment.select(table, settings).to_dicts()
        if rows:
            name = experiment.measure.name.removeprefix("random-")
            title = f"Every ensemble of {experiment.name}"
            columns = _COLUMNS.get(name) or plain_columns(rows)
            tables.append(Table(title, _NOTES.get(name, ""), columns, rows, held=("activation",)))
    return tables


CHAPTER = Chapter(summary=_summary, theory=_theory, tables=_tables)
