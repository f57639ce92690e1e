"""Turns run folders into one self-contained HTML page, without knowing any experiment or family."""

from gradflip.drawing import Figure
from gradflip.report._page import write_figures, write_report
from gradflip.report._runs import findings, listings, read_table

__all__ = ["Figure", "findings", "listings", "read_table", "write_figures", "write_report"]
