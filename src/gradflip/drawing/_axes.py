"""Linear and logarithmic axes: horizontal ones without a grid, vertical ones with a faint one."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from gradflip.drawing._scales import powers, ticks

QUARTERS = [0, 0.25, 0.5, 0.75, 1]
_GRID = 0.4  # opacity
_SUPERSCRIPTS = (
    "datum.value < 1000 ? format(datum.value, '~g') : '10' + (log(datum.value) / LN10 > 9.5 ? '¹' : '') + "
    "slice('⁰¹²³⁴⁵⁶⁷⁸⁹', round(log(datum.value) / LN10) % 10, round(log(datum.value) / LN10) % 10 + 1)"
)  # powers of ten from 1000 on


def log_scale(domain: Sequence[float], *, clamp: bool = False) -> alt.Scale:
    """A logarithmic scale that ends exactly where its domain does."""
    return alt.Scale(type="log", domain=list(domain), nice=False, clamp=True if clamp else alt.Undefined)


def linear_x(column: str, title: str, domain: Sequence[float]) -> alt.X:
    """A linear horizontal axis with about five ticks."""
    axis = alt.Axis(grid=False, tickCount=5)
    return alt.X(f"{column}:Q", title=title, scale=alt.Scale(domain=list(domain), nice=False), axis=axis)


def log_x(column: str, title: str, domain: Sequence[float], values: Sequence[float] = ()) -> alt.X:
    """A logarithmic horizontal axis, with ticks at these values or else at 1-2-5 ones."""
    axis = alt.Axis(values=list(values) or ticks(domain), format="~g", grid=False, labelOverlap=True)
    return alt.X(f"{column}:Q", title=title, scale=log_scale(domain), axis=axis)


def power_x(column: str, title: str, domain: Sequence[float], values: Sequence[float] = ()) -> alt.X:
    """A logarithmic horizontal axis whose labels from 1000 on are powers of ten.

    Args:
        column: What is drawn along it.
        title: Of the axis.
        domain: Its ends.
        values: Its ticks; powers of ten if not given.

    Returns:
        An encoding.
    """
    at = list(values) or powers(domain[0], domain[1])
    axis = alt.Axis(values=at, labelExpr=_SUPERSCRIPTS, grid=False, gridOpacity=_GRID)
    return alt.X(f"{column}:Q", title=title, scale=log_scale(domain), axis=axis)


def linear_y(column: str, title: str, domain: Sequence[float] = (0, 1), count: int = 5) -> alt.Y:
    """A linear vertical axis with about `count` ticks; by default that of a probability."""
    axis = alt.Axis(gridOpacity=_GRID, tickCount=count)
    return alt.Y(f"{column}:Q", title=title, scale=alt.Scale(domain=list(domain), nice=False), axis=axis)


def share_y(column: str, title: str) -> alt.Y:
    """The vertical axis of an accuracy, from 0 to 1 with a tick at every quarter."""
    axis = alt.Axis(gridOpacity=_GRID, values=QUARTERS, format=".2~f")
    return alt.Y(f"{column}:Q", title=title, scale=alt.Scale(domain=[0, 1], nice=False), axis=axis)


def log_y(
    column: str, title: str, domain: Sequence[float], values: Sequence[float] = (), *, clamp: bool = False
) -> alt.Y:
    """A logarithmic vertical axis.

    Args:
        column: What is drawn along it.
        title: Of the axis.
        domain: Its ends.
        values: Its ticks; 1-2-5 ones if not given.
        clamp: Whether values outside the domain are drawn at its ends.

    Returns:
        An encoding.
    """
    axis = alt.Axis(values=list(values) or ticks(domain), format="~g", gridOpacity=_GRID)
    return alt.Y(f"{column}:Q", title=title, scale=log_scale(domain, clamp=clamp), axis=axis)
