"""How all figures look: colours, ticks, the hint below a figure on a page."""

from __future__ import annotations

import math
from collections.abc import Sequence

# Okabe & Ito, and two darker ones: told apart by every eye
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255", "#8c8c00")
THEORY = "#7a7a7a"
HINT = "Hover a point for its numbers; click a legend entry to single out a curve."


def ticks(domain: Sequence[float]) -> list[float]:
    """1-2-5 ticks within a positive range; only powers of ten where it spans more than three decades.

    Args:
        domain: Its ends.

    Returns:
        Increasing numbers.
    """
    low, high = domain
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1,) if high / low > 1000 else (1, 2, 5) if high / low > 4 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    found = [float(f"{step}e{decade}") for decade in decades for step in steps]
    return [tick for tick in found if low <= tick <= high]
