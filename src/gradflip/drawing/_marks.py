"""What the figures of random networks share: shares with bars, powers of ten on an axis, a legend below."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import polars as pl

from gradflip.claims import wilson
from gradflip.drawing._style import COLORS, THEORY

LOG_LABELS = (
    "datum.value < 1000 ? format(datum.value, '~g') : '10' + (log(datum.value) / LN10 > 9.5 ? '¹' : '') + "
    "slice('⁰¹²³⁴⁵⁶⁷⁸⁹', round(log(datum.value) / LN10) % 10, round(log(datum.value) / LN10) % 10 + 1)"
)
"""Powers of ten from 1000 on with a superscript."""


def with_shares(counts: pl.DataFrame, flips: str = "flips", draws: str = "draws") -> pl.DataFrame:
    """Shares with Wilson's 95 % interval.

    Args:
        counts: A row per share.
        flips: The column that counts.
        draws: The column with the number of draws.

    Returns:
        The rows with columns `probability`, `low`, `high`.
    """
    found = [wilson(count, total) for count, total in counts.select(flips, draws).iter_rows()]
    return counts.with_columns(
        pl.Series("probability", [interval.estimate for interval in found], dtype=pl.Float64),
        pl.Series("low", [interval.low for interval in found], dtype=pl.Float64),
        pl.Series("high", [interval.high for interval in found], dtype=pl.Float64),
    )


def colored(names: Sequence[str], title: str, columns: int = 1) -> alt.Color:
    """Colours of the curves named, with a legend below the panel."""
    legend = alt.Legend(
        orient="bottom", titleAnchor="start", columns=columns, symbolType="circle", symbolOpacity=1, labelLimit=230
    )
    scale = alt.Scale(domain=list(names), range=[COLORS[i % len(COLORS)] for i in range(len(names))])
    return alt.Color("curve:N", title=title, sort=list(names), scale=scale, legend=legend)


def heading(title: str, subtitle: str = "") -> alt.TitleParams:
    """The title of a panel, at its left, and a line below it."""
    return alt.TitleParams(
        title, subtitle=subtitle, fontSize=12, subtitleFontSize=11, subtitleColor=THEORY, anchor="start"
    )


def log_axis(values: Sequence[float], grid: bool) -> alt.Axis:
    """An axis with these ticks, large ones as powers of ten."""
    return alt.Axis(values=list(values), labelExpr=LOG_LABELS, grid=grid, gridOpacity=0.4)


def powers(low: float, high: float, most: int = 6) -> list[float]:
    """Powers of ten within a range, every second or third where there would be too many."""
    found = [10.0**k for k in range(-12, 16) if low <= 10.0**k <= high]
    return found[:: -(-len(found) // most)] if found else [low, high]


def listed(values: Sequence[object]) -> str:
    """Values in a caption, each once."""
    return ", ".join(dict.fromkeys(map(str, values)))
