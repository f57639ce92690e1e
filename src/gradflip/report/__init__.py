"""Rows -> figures -> one self-contained HTML page."""

from gradflip.report._figures import Figure, lazy_figure
from gradflip.report._report import read_table, write_report

__all__ = ["Figure", "lazy_figure", "read_table", "write_report"]
