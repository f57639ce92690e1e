"""Rows -> figures -> one self-contained HTML page."""

from gradflip.drawing import Figure
from gradflip.report._draw import draw
from gradflip.report._report import findings, listings, read_table, write_figures, write_report

__all__ = [
    "Figure", "draw", "findings", "listings", "read_table", "write_figures", "write_report",
]  # fmt: skip
