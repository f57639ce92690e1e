"""Figures and tables as values: how they look and how they are written. Knows no experiment."""

from gradflip.drawing._axes import QUARTERS, linear_x, linear_y, log_scale, log_x, log_y, power_x, share_y
from gradflip.drawing._figure import Chart, Figure
from gradflip.drawing._formatters import fixed, general, number, number_or_infinity, share, size, tiny, yes_no
from gradflip.drawing._legend import colored, faded, selection
from gradflip.drawing._scales import around, extent, powers, ticks
from gradflip.drawing._shares import with_shares
from gradflip.drawing._style import COLORS, DASHED, HINT, PANEL, THEORY
from gradflip.drawing._table import Column, Table, plain_columns
from gradflip.drawing._words import counted, heading, interval_tooltip, listed, spanned

__all__ = [
    "COLORS", "DASHED", "HINT", "PANEL", "QUARTERS", "THEORY", "Chart", "Column", "Figure", "Table", "around",
    "colored", "counted", "extent", "faded", "fixed", "general", "heading", "interval_tooltip", "linear_x",
    "linear_y", "listed", "log_scale", "log_x", "log_y", "number", "number_or_infinity", "plain_columns", "power_x",
    "powers", "selection", "share", "share_y", "size", "spanned", "ticks", "tiny", "with_shares", "yes_no",
]  # fmt: skip
