"""Limits, bounds, and the windows in which the theorems speak."""

from gradflip.theory._window import WidthWindow, smallest_covered_dim, width_window

__all__ = ["WidthWindow", "smallest_covered_dim", "width_window"]
