"""Figures and tables as values: how they look, how they are written; knows no experiment."""

from gradflip.drawing._figure import Drawn, Figure
from gradflip.drawing._marks import colored, heading, listed, log_axis, powers, with_shares
from gradflip.drawing._style import COLORS, HINT, THEORY, ticks
from gradflip.drawing._table import Column, Listing, number

__all__ = [
    "COLORS", "HINT", "THEORY", "Column", "Drawn", "Figure", "Listing", "colored", "heading", "listed", "log_axis",
    "number", "powers", "ticks", "with_shares",
]  # fmt: skip
