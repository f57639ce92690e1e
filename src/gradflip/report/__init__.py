"""Run folders -> one self-contained HTML page; it asks experiments and families, and knows none of them."""

from gradflip.drawing import Figure
from gradflip.report._page import write_figures, write_report
from gradflip.report._runs import findings, listings, read_table

__all__ = ["Figure", "findings", "listings", "read_table", "write_figures", "write_report"]
