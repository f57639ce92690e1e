"""Interval arithmetic in numpy with every operation rounded outwards.

An IEEE operation returns the float64 nearest to the exact result, so the next number above is above the exact one.
Functions of numpy and scipy (exp, tanh, erf, sin) are not correctly rounded; their results are widened by a multiple of
their size that is far above the error of any library.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gradflip._errors import UsageError

Row = npt.NDArray[np.float64]
Enclosure = Callable[[Row, Row], tuple[Row, Row]]
"""Takes the ends of intervals to bounds on the smallest and the largest value of a function on them."""

_GELU_MINIMUM = (-0.7517915246935645, -0.16997120747990369)  # where, and how low
_SWISH_MINIMUM = (-1.2784645427610738, -0.27846454276107379)
_SLACK = 2.0**-48  # of |z| + |sigma(z)|: far above the error of any library's exp, tanh, erf or sin


def above(values: Row) -> Row:
    """The next numbers above."""
    return np.nextafter(values, np.inf)


def below(values: Row) -> Row:
    """The next numbers below."""
    return np.nextafter(values, -np.inf)


def up(value: float) -> float:
    """The next number above."""
    return math.nextafter(value, math.inf)


def matvec(W: Row, bias: Row | None, x: Row) -> tuple[Row, Row]:
    """Intervals that contain w_j . x + b_j.

    Args:
        W: Rows w_j.
        bias: b, or `None`.
        x: A vector.

    Returns:
        Lower and upper ends.
    """
    low = np.zeros(len(W)) if bias is None else bias.copy()
    high = low.copy()
    columns = np.ascontiguousarray(W.T)
    for column, entry in zip(columns, x, strict=True):
        if entry:
            product = column * entry
            low = below(low + below(product))
            high = above(high + above(product))
    return low, high


def norm_above(x: Row, more: float = 0.0) -> float:
    """sqrt(|x|^2 + more^2), from above; entries are divided by the largest, lest their squares vanish or overflow.

    Args:
        x: A vector.
        more: One entry more, not negative.

    Returns:
        An upper bound.
    """
    largest = max(float(np.max(np.abs(x))), more)
    if not largest:
        return 0.0
    shares = above(np.append(np.abs(x), more) / largest)
    return up(largest * up(math.sqrt(up(math.fsum(above(shares * shares).tolist())))))


def combination_norms_above(q: Row, rays: Row) -> Row:
    """|sum_i q_ij x_i| for every column j of q, from above.

    Args:
        q: Coefficients, a row per point.
        rays: Points x_i.

    Returns:
        Upper bounds.
    """
    total = np.zeros(q.shape[1])
    for column in rays.T:
        low, high = np.zeros(q.shape[1]), np.zeros(q.shape[1])
        for coefficients, entry in zip(q, column, strict=True):
            if entry:
                product = coefficients * entry
                low, high = below(low + below(product)), above(high + above(product))
        most = np.maximum(-low, high)
        total = above(total + above(most * most))
    return above(np.sqrt(total))


def enclosure(name: str) -> Enclosure:
    """Bounds on the smallest and the largest value of a built-in activation on intervals.

    Args:
        name: Name of the activation.

    Returns:
        A function of lower and upper ends.

    Raises:
        UsageError: If the activation is not a built-in one.
    """
    if name.startswith("leaky_relu"):
        return _leaky(0.01 if name == "leaky_relu" else float(name[len("leaky_relu(") : -1]))
    if name not in _ENCLOSURES:
        raise UsageError(f"verify knows the built-in activations, got {name!r}; use one of {', '.join(_ENCLOSURES)}.")
    return _ENCLOSURES[name]


def _leaky(slope: float) -> Enclosure:
    def enclose(low: Row, high: Row) -> tuple[Row, Row]:
        ends = [np.where(end > 0, end, slope * end) for end in (low, high)]
        inside = (low < 0) & (high > 0)
        lowest, highest = np.minimum(*ends), np.maximum(*ends)
        lowest, highest = (
            np.where(inside, part(v, 0.0), v) for part, v in ((np.minimum, lowest), (np.maximum, highest))
        )
        return below(lowest), above(highest)

    return enclose


def _rising(function: Callable[[Row], Row], error: float = 0.0) -> Enclosure:
    def enclose(low: Row, high: Row) -> tuple[Row, Row]:
        return _widened(function(low), low, -1, error), _widened(function(high), high, 1, error)

    return enclose


def _falls_then_rises(function: Callable[[Row], Row], minimum: tuple[float, float]) -> Enclosure:
    place, lowest = minimum

    def enclose(low: Row, high: Row) -> tuple[Row, Row]:
        left, right = function(low), function(high)
        inside = (low <= place + 1e-9) & (high >= place - 1e-9)
        least = np.minimum(_widened(left, low, -1, 0.0), _widened(right, high, -1, 0.0))
        return np.where(inside, lowest - 1e-15, least), np.maximum(
            _widened(left, low, 1, 0.0), _widened(right, high, 1, 0.0)
        )

    return enclose


def _sine(low: Row, high: Row) -> tuple[Row, Row]:
    turn, slack = 2 * math.pi, 1e-12 * (1 + np.abs(low) + np.abs(high))

    def passes(point: float) -> npt.NDArray[np.bool_]:
        """Whether the interval, widened a little, contains point + 2 k pi."""
        passed: npt.NDArray[np.bool_] = np.floor((high + slack - point) / turn) >= np.ceil((low - slack - point) / turn)
        return passed

    left, right = np.sin(low), np.sin(high)
    least = np.minimum(_widened(left, low, -1, 0.0), _widened(right, high, -1, 0.0))
    most = np.maximum(_widened(left, low, 1, 0.0), _widened(right, high, 1, 0.0))
    return np.where(passes(-math.pi / 2), -1.0, least), np.where(passes(math.pi / 2), 1.0, most)


def _widened(value: Row, z: Row, direction: int, error: float) -> Row:
    wide: Row = value + direction * (_SLACK * (np.abs(value) + np.abs(z)) + error + 1e-300)
    return wide


def _erf(z: Row) -> Row:
    from scipy.special import erf

    return np.asarray(erf(z))


def _gelu(z: Row) -> Row:
    from scipy.special import erfc

    return np.asarray(0.5 * z * erfc(-z / math.sqrt(2)))


def _swish(z: Row) -> Row:
    return np.asarray(z / (1 + np.exp(-z)))


_ENCLOSURES: dict[str, Enclosure] = {
    "relu": lambda low, high: (np.maximum(low, 0.0), np.maximum(high, 0.0)),
    "abs": lambda low, high: (
        np.maximum(np.maximum(low, -high), 0.0),
        np.maximum(np.abs(low), np.abs(high)),
    ),
    "identity": lambda low, high: (low, high),
    "tanh": _rising(np.tanh),
    "erf": _rising(_erf),
    "softplus": _rising(lambda z: np.logaddexp(0.0, z), 2.1e-9),  # torch is linear beyond 20
    "gelu": _falls_then_rises(_gelu, _GELU_MINIMUM),
    "swish": _falls_then_rises(_swish, _SWISH_MINIMUM),
    "sin": _sine,
}
