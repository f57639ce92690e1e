"""Words on and below a panel: its title, the fields of a tooltip that recur, phrases of captions."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from gradflip.drawing._style import THEORY


def heading(title: str, subtitle: str | Sequence[str] = "") -> alt.TitleParams:
    """The title of a panel, at its left, with a line or several below it."""
    below = subtitle if isinstance(subtitle, str) else list(subtitle)
    return alt.TitleParams(
        title, subtitle=below, fontSize=12, subtitleFontSize=11, subtitleColor=THEORY, anchor="start"
    )


def interval_tooltip(digits: str) -> list[alt.Tooltip]:
    """The ends of a 95 % interval, columns `low` and `high`, in a format such as `.3f`."""
    return [
        alt.Tooltip("low:Q", format=digits, title="95 % interval from"),
        alt.Tooltip("high:Q", format=digits, title="to"),
    ]


def listed(values: Sequence[object]) -> str:
    """Values in a caption, each once."""
    return ", ".join(dict.fromkeys(map(str, values)))


def spanned(counts: Sequence[int]) -> str:
    """Counts in a caption by their range: `7`, or `7-9`."""
    low, high = min(counts), max(counts)
    return f"{low}" if low == high else f"{low}-{high}"


def counted(count: int, noun: str) -> str:
    """A count in a caption: `1 seed`, `3 seeds`."""
    return f"{count} {noun}{'s' if count != 1 else ''}"
