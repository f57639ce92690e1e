"""The law of rho sqrt d over widths and over dimensions: quantile bands, and the distance to the limit."""

from __future__ import annotations

import math

import altair as alt
import polars as pl

from gradflip.claims import kolmogorov_margin
from gradflip.drawing import (
    COLORS,
    DASHED,
    HINT,
    PANEL,
    Chart,
    Figure,
    around,
    colored,
    extent,
    faded,
    heading,
    interval_tooltip,
    listed,
    log_y,
    power_x,
    selection,
)
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._settings import Settings
from gradflip.theory import limits

LEVELS = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}
_TOP = 10.0  # larger quantiles, including infinite ones, are drawn at this value
_BOTTOM = 0.02
_OWN_LAW = 0.8687  # limit mean of √n times the Kolmogorov distance between a sample of size n and its own law
_NAMES = {"width": "width m", "dim": "input dimension d"}


def any_width_figure(
    experiment: Experiment, rows: pl.DataFrame, observations: pl.DataFrame, settings: Settings
) -> Figure:
    """Draw a panel of bands per line, and one of distances per axis.

    Args:
        experiment: The experiment.
        rows: Its rows.
        observations: rho sqrt d of every network, null where nothing flips.
        settings: The settings of the run.

    Returns:
        A figure.
    """
    numbers = _numbers(rows, observations)
    lines = list(dict.fromkeys(rows["line"].to_list()))
    activation = rows["activation"][0]
    panels = [_bands(numbers.filter(line=line), line, activation) for line in lines]
    for along in dict.fromkeys(rows["along"].to_list()):
        panels.append(_distances(numbers.filter(along=along), along))
    return Figure(experiment.name, tuple(panels), numbers, _caption(rows, numbers), hint=HINT)


def _numbers(rows: pl.DataFrame, observations: pl.DataFrame) -> pl.DataFrame:
    """A row per ensemble, with the draws of all seeds pooled; infinite quantiles are null."""
    by = ["line", "along", "position", "dim", "width"]
    totals = rows.group_by(*by, maintain_order=True).agg(
        pl.sum("draws"), pl.sum("flipped"), pl.mean("distance"), pl.min("draws").alias("smallest")
    )
    ensembles = []
    for total in totals.iter_rows(named=True):
        own = observations.filter(dim=total["dim"], width=total["width"])["relative_sqrt_d"]
        ordered = own.fill_null(math.inf).sort()
        margin = kolmogorov_margin(total.pop("smallest"), 0.95)
        # the smallest value that a share of at least `level` does not exceed
        ranks = {name: max(0, math.ceil(level * len(ordered) - 1e-9) - 1) for name, level in LEVELS.items()}
        quantiles = {name: ordered[rank] for name, rank in ranks.items()} if len(ordered) else {}
        ensembles.append(
            total
            | {"unflipped": 1 - total["flipped"] / total["draws"]}
            | {name: value if math.isfinite(value) else None for name, value in quantiles.items()}
            | {"noise": _OWN_LAW / math.sqrt(total["draws"])}
            | {"low": max(0.0, total["distance"] - margin), "high": min(1.0, total["distance"] + margin)}
        )
    schema = dict.fromkeys(LEVELS, pl.Float64)
    return pl.DataFrame(ensembles, schema_overrides=schema, infer_schema_length=None).sort("line", "position")


def _x(numbers: pl.DataFrame) -> alt.X:
    return power_x("position", _NAMES[numbers["along"][0]], around(numbers["position"], 1.3))


def _bands(numbers: pl.DataFrame, line: str, activation: str) -> Chart:
    known = limits(activation)
    clipped = numbers.with_columns(
        pl.col(name).fill_null(math.inf).clip(_BOTTOM, _TOP).alias(f"{name}_drawn") for name in LEVELS
    )
    shown = clipped.with_columns(
        pl.col(name).map_elements(lambda v: f"{v:.4g}", return_dtype=pl.String).fill_null("infinite").alias(name)
        for name in LEVELS
    )
    x, base = _x(numbers), alt.Chart(shown)

    def y(column: str) -> alt.Y:
        return log_y(column, "ρ √d", [_BOTTOM, _TOP])

    def between(low: str, high: str, opacity: float) -> alt.Chart:
        area: alt.Chart = base.mark_area(color=COLORS[0], opacity=opacity)
        return area.encode(x=x, y=y(f"{low}_drawn"), y2=f"{high}_drawn:Q")

    tooltip = [
        alt.Tooltip("dim:Q", title="d", format=","),
        alt.Tooltip("width:Q", title="m", format=","),
        *[alt.Tooltip(f"{name}:N", title=f"{100 * level:g} % quantile") for name, level in LEVELS.items()],
        alt.Tooltip("unflipped:Q", format=".2%", title="never flips or is flat"),
        alt.Tooltip("draws:Q", title="networks drawn", format=","),
    ]
    half_normal = pl.DataFrame({"value": [known.relative_quantile(level) for level in LEVELS.values()]})
    layers = [
        between("q05", "q95", 0.16),
        between("q25", "q75", 0.28),
        alt.Chart(half_normal).mark_rule(**DASHED).encode(y=y("value")),
        base.mark_line(color=COLORS[0], strokeWidth=2).encode(x=x, y=y("q50_drawn")),
        base.mark_point(color=COLORS[0], filled=True, size=40).encode(x=x, y=y("q50_drawn"), tooltip=tooltip),
    ]
    return alt.layer(*layers).properties(**PANEL, title=heading(line, _unflipped(numbers)))


def _unflipped(numbers: pl.DataFrame) -> str:
    """The shares that never flip, at both ends of the axis."""
    letter = "m" if numbers["along"][0] == "width" else "d"
    ends = [numbers.row(i, named=True) for i in (0, -1)]
    shares = [f"{100 * end['unflipped']:.3g} % at {letter} = {_compact(end['position'])}" for end in ends]
    return f"never flips: {', '.join(shares)}"


def _compact(size: int) -> str:
    power = round(math.log10(size))
    superscript = str(power).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{superscript}" if size >= 1000 and size == 10**power else str(size)


def _distances(numbers: pl.DataFrame, along: str) -> Chart:
    """The Kolmogorov distance to the limit for each line over one axis."""
    lines = list(dict.fromkeys(numbers["line"].to_list()))
    drawn = numbers.with_columns(pl.col("line").alias("curve"), pl.max_horizontal("low", pl.lit(1e-9)).alias("low"))
    domain = [extent(numbers["distance"])[0] / 2, 1.0]

    def y(column: str) -> alt.Y:
        return log_y(column, "Kolmogorov distance to the limit", domain, clamp=True)

    tooltip = [
        alt.Tooltip("curve:N", title="line"),
        alt.Tooltip("dim:Q", title="d", format=","),
        alt.Tooltip("width:Q", title="m", format=","),
        alt.Tooltip("distance:Q", format=".4f", title="distance"),
        *interval_tooltip(".4f"),
        alt.Tooltip("draws:Q", title="networks drawn", format=","),
    ]
    x, chosen = _x(numbers), selection(along)
    base = alt.Chart(drawn).encode(x=x, color=colored(lines, ""), opacity=faded(chosen))
    bars = base.mark_rule(strokeWidth=1.5, clip=True).encode(y=y("low"), y2="high:Q")
    line = base.mark_line(strokeWidth=1.5).encode(y=y("distance"))
    points = base.mark_point(filled=True, size=36).encode(y=y("distance"), tooltip=tooltip).add_params(chosen)
    noise = alt.Chart(drawn).mark_line(**DASHED, clip=True).encode(x=x, y=y("min(noise)"))
    return alt.layer(noise, bars, line, points).properties(
        **PANEL, title=heading(f"distance over {_NAMES[along].split()[-1]}")
    )


def _caption(rows: pl.DataFrame, numbers: pl.DataFrame) -> str:
    draws = sorted(set(numbers["draws"].to_list()))
    count = f"{draws[0]:,}" if draws[0] == draws[-1] else f"{draws[0]:,} to {draws[-1]:,}"
    return (
        f"Random two-layer networks ({listed(rows['activation'].to_list())}) of the exact law, never built, {count} a "
        "point. Bands: the 5-95 % and 25-75 % quantiles of ρ √d, line and points: the median; a quantile that is "
        f"infinite, because so many never flip, or above {_TOP:g} is drawn at the upper edge. Dashed: the same "
        "quantiles of the limit, (ν/τ) |Z|. Last panels: Kolmogorov's distance to that limit, what never flips "
        "included; bars: 95 % by the inequality of Dvoretzky, Kiefer and Wolfowitz; dashed: how far a sample of that "
        "size is from its own law, on average."
    )
