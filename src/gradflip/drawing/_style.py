"""The look that all figures share: colours, dashes, sizes, the hint below a figure on a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Okabe & Ito, and two darker ones: distinguishable with any colour vision
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#882255", "#8c8c00")
THEORY = "#7a7a7a"
DASHED: Mapping[str, Any] = {"strokeDash": [6, 4], "color": THEORY, "strokeWidth": 1.5}
"""The mark of a law or a limit, a line or a rule."""
PANEL: Mapping[str, int] = {"width": 250, "height": 230}
"""The size of a panel, in pixels."""
HINT = "Hover a point for its numbers; click a legend entry to single out a curve."
