"""Limits of random networks, and the window of widths that Theorem 3.1 covers."""

from gradflip.theory._limits import Limits, gaussian_mean, limits
from gradflip.theory._window import WidthWindow, smallest_covered_dim, width_window

__all__ = ["Limits", "WidthWindow", "gaussian_mean", "limits", "smallest_covered_dim", "width_window"]
