"""What a page says of networks at random initialisation."""

from __future__ import annotations

from typing import Any

import polars as pl

from gradflip.drawing import Column, Listing
from gradflip.experiments import GROWING, Plan, RandomExperiment
from gradflip.experiments._chapter import Chapter


def _rows(table: pl.DataFrame) -> pl.DataFrame:
    return table.filter(table["measure"].str.starts_with("random-")) if len(table) else table


def _summary(rows: pl.DataFrame) -> dict[str, Any]:
    """How many networks of which sizes, and how often one step flips the largest."""
    if not len(rows):
        return {"ensembles": 0}
    counts = [name for name in ("draws", "explicit_draws", "ray_draws") if name in rows.columns]
    # several rows of one cell ask the same networks
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
    """The median of rho sqrt d of the widest networks of which rays were followed."""
    own = rows.filter(pl.col("measure") == "random-any-width")
    if not len(own):
        return None
    widest = own.sort("width", "dim").row(-1, named=True)
    return {name: widest[name] for name in ("dim", "width", "q50")}


def _deep(rows: pl.DataFrame) -> dict[str, Any] | None:
    """How often one step flips the deepest networks of the largest inputs, those whose widths grow and those narrow."""
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


def _share(value: Any) -> str:
    return "–" if value is None else f"{100 * value:.3g} %"


def _shown(value: Any) -> str:
    return "∞" if value is None else f"{value:.3g}"


def _size(value: Any) -> str:
    return "–" if value is None else f"{value:,}"


_FLIP_PROBABILITY = (
    Column("activation", "activation"),
    Column("dim", "d", _size),
    Column("width", "m", _size),
    Column("seed", "seed"),
    Column("s", "s τ²/ν"),
    Column("draws", "networks", _size),
    Column("flip_probability", "flips", _share),
    Column("explicit_draws", "explicit", _size),
    Column("explicit_flip_probability", "flips", _share),
    Column("limit", "limit", _share),
)
_ANY_WIDTH = (
    Column("line", "line"),
    Column("dim", "d", _size),
    Column("width", "m", _size),
    Column("seed", "seed"),
    Column("draws", "networks", _size),
    Column("unflipped", "never flips", _share),
    *(Column(f"q{level:02d}", f"{level} %", _shown) for level in (5, 25, 50, 75, 95)),
    Column("distance", "distance"),
)
_JOINT_LAW = (
    Column("activation", "activation"),
    Column("dim", "d", _size),
    Column("width", "m", _size),
    Column("seed", "seed"),
    Column("s", "s τ²/ν"),
    Column("draws", "implicit", _size),
    Column("explicit_draws", "explicit", _size),
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
    Column("draws", "networks", _size),
    Column("flip_probability", "flips", _share),
    Column("limit", "limit", _share),
    Column("ray_draws", "rays", _size),
    Column("unflipped", "never flips", _share),
    Column("q25", "25 %", _shown),
    Column("q50", "50 %", _shown),
    Column("q75", "75 %", _shown),
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


def _listings(plan: Plan, table: pl.DataFrame) -> list[Listing]:
    found = []
    for experiment in plan.experiments:
        if isinstance(experiment, RandomExperiment) and len(table):
            rows = experiment.select(table, plan.settings).to_dicts()
            if rows:
                columns, note = _COLUMNS[experiment.kind], _NOTES[experiment.kind]
                title = f"Every ensemble of {experiment.name}"
                found.append(Listing(title, note, columns, rows, held=("activation",)))
    return found


RANDOM_CHAPTER = Chapter(
    subject="a random network",
    template="random.html.j2",
    choices={"activation": "activation"},
    rows=_rows,
    summary=_summary,
    theory=_theory,
    listings=_listings,
)
