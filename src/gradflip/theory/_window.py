"""The window of widths that Theorem 3.1 of Wang et al. (2022) covers."""

from __future__ import annotations

import math
from typing import NamedTuple


class WidthWindow(NamedTuple):
    """The widths that the theorem covers at one input dimension.

    Attributes:
        log_low: Natural logarithm of the smallest width.
        log_high: Natural logarithm of the largest.
    """

    log_low: float
    log_high: float

    @property
    def empty(self) -> bool:
        """Whether the theorem covers no width."""
        return self.log_low > self.log_high

    def contains(self, width: int) -> bool:
        """Whether the theorem covers a width.

        Args:
            width: Number of hidden units.

        Returns:
            True if it does.
        """
        return self.log_low <= math.log(width) <= self.log_high


def width_window(dim: float, *, gamma: float = 0.05, C2: float = 1.0, C3: float = 1.0) -> WidthWindow:
    """The widths m with max(d^2.4, C2 log(1/gamma)) <= m <= C3 exp(d^0.24).

    Args:
        dim: Input dimension d.
        gamma: Probability of failure.
        C2: The first unspecified constant of the theorem.
        C3: The second one.

    Returns:
        The window on the log scale, since exp(d^0.24) overflows for large d.

    Source: Wang et al. (2022), Theorem 3.1; docs/mathematics/lazy-training.md, "Theorem 3.1 and its window".
    """
    low = max(2.4 * math.log(dim), math.log(max(C2 * math.log(1 / gamma), 1.0)))
    return WidthWindow(low, math.log(C3) + dim**0.24)


def smallest_covered_dim(*, gamma: float = 0.05, C2: float = 1.0, C3: float = 1.0) -> float:
    """The input dimension from which on the window of `width_window` is never empty.

    Args:
        gamma: Probability of failure.
        C2: As in `width_window`.
        C3: As in `width_window`.

    Returns:
        The dimension, to a relative error of 1e-9; about 3 million at unit constants.
    """
    # the gap d^0.24 - 2.4 log d has its minimum at d^0.24 = 10 and increases from there on: bisect right of it
    low, high = 10 ** (1 / 0.24), 10 ** (1 / 0.24)
    if not width_window(low, gamma=gamma, C2=C2, C3=C3).empty:
        low = 1.0
    while width_window(high, gamma=gamma, C2=C2, C3=C3).empty:
        high *= 2
    while high / low > 1 + 1e-9:
        middle = math.sqrt(low * high)
        if width_window(middle, gamma=gamma, C2=C2, C3=C3).empty:
            low = middle
        else:
            high = middle
    return high
