"""Curves that are told apart by colour, and singled out by a click on their legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from gradflip.drawing._style import COLORS

FAINT = 0.1  # opacity of a curve that is not singled out


def colored(
    names: Sequence[str],
    title: str,
    columns: int = 1,
    *,
    colors: Sequence[str] = COLORS,
    legend: alt.Legend | None = None,
) -> alt.Color:
    """Colours of the column `curve`, with a legend below the panel.

    Args:
        names: The curves, in the order of the legend.
        title: Of the legend.
        columns: Of the legend.
        colors: One per curve; they repeat where there are more curves.
        legend: Replaces the legend, and `columns` with it.

    Returns:
        An encoding.
    """
    below = alt.Legend(
        orient="bottom", titleAnchor="start", columns=columns, symbolType="circle", symbolOpacity=1, labelLimit=230
    )
    scale = alt.Scale(domain=list(names), range=[colors[i % len(colors)] for i in range(len(names))])
    return alt.Color("curve:N", title=title, sort=list(names), scale=scale, legend=legend or below)


def selection(name: str) -> alt.Parameter:
    """The choice of a curve by a click on the legend.

    Args:
        name: Of the panel, unlike that of any other panel of the figure: letters, digits, underscores.

    Returns:
        A parameter; one layer of the panel takes it (`add_params`), the others read it (`faded`).
    """
    return alt.selection_point(name=f"chosen_{name}", fields=["curve"], bind="legend")


def faded(chosen: alt.Parameter, opacity: float = 1, others: float = FAINT) -> Any:
    """The opacity of a mark, by whether its curve is chosen.

    Args:
        chosen: From `selection`.
        opacity: If it is, or if none is.
        others: If another one is.

    Returns:
        A conditional encoding.
    """
    return alt.when(chosen).then(alt.value(opacity)).otherwise(alt.value(others))
