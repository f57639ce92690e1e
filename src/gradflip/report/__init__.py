"""Rows -> figures -> one self-contained HTML page."""

from gradflip.drawing import Figure
from gradflip.experiments.lazy._against_dim_figure import lazy_figure
from gradflip.experiments.lazy._histograms_figure import histogram_figure
from gradflip.report._draw import draw
from gradflip.report._random_figures import random_figure
from gradflip.report._report import findings, listings, read_table, write_figures, write_report

__all__ = [
    "Figure", "draw", "findings", "histogram_figure", "lazy_figure", "listings", "random_figure", "read_table",
    "write_figures", "write_report",
]  # fmt: skip
