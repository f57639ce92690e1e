"""A second look at a certificate, by other means: interval arithmetic in numpy, every operation rounded outwards.

Nothing here is shared with the code that made the certificate: no torch, no matrix product, no theory of rounding. An
IEEE operation is correct to the nearest number, so the next number above its result is above the exact one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float

from gradflip._errors import UsageError
from gradflip.lazy._certificate import Certificate

Row = npt.NDArray[np.float64]
Range = Callable[[Row, Row], tuple[Row, Row]]

_HUGE = 1e290  # so many terms of this size have a finite sum
_NEURONS = 2**14  # at once: intervals of this many stay in the cache
_LARGER = math.nextafter(1.00001, math.inf)  # the ball certified is larger by 1e-5 (spec 4.2)
_GELU_LOWEST = (-0.7517915246935645, -0.16997120747990369)
_SWISH_LOWEST = (-1.2784645427610738, -0.27846454276107379)
_SLACK = 2.0**-48  # of |z| + |sigma(z)|: far above the error of any library's exp, tanh, erf or sin


@dataclass(frozen=True, eq=False)
class Verification:
    """What became of a certificate when it was computed again.

    Attributes:
        verified: Whether the point was found certified.
        certified: What the certificate says.
        bound: An upper bound on y f(x'; W) over the ball, not the one that the certificate states.

    Shape:
        `(n,)` each, numpy arrays.
    """

    verified: Bool[np.ndarray, " n"]
    certified: Bool[np.ndarray, " n"]
    bound: Float[np.ndarray, " n"]

    @property
    def holds(self) -> bool:
        """Whether every point that the certificate calls certified is."""
        return bool(np.all(self.verified | ~self.certified))


def verify(certificate: Certificate | str | Path) -> Verification:
    """Check a certificate from the weights and the perturbed inputs in it alone.

    Every pre-activation, every interval of a neuron and every sum is enclosed between numbers that the exact one cannot
    pass; the distance |x' - x| is compared with epsilon in rational arithmetic.

    Args:
        certificate: The certificate, or the file that it was saved to.

    Returns:
        A `Verification`. A point within a few roundings of the boundary may fail to verify though it is certified.

    Raises:
        FileError: If the file is missing, altered or no certificate.
        UsageError: If the argument is neither, or the activation is not a built-in one.

    Source: spec 4.2.
    """
    if isinstance(certificate, str | Path):
        certificate = Certificate.load(certificate)
    if not isinstance(certificate, Certificate):
        raise UsageError(f"certificate must be a Certificate or its file, got {type(certificate).__name__}.")
    network = certificate.ball.network0
    enclose = _range(network.activation.name)
    W, a = _array(network.W), _array(network.a)
    bias = None if network.bias is None else _array(network.bias)
    x, at, y = _array(certificate.x), _array(certificate.perturbed), _array(certificate.y)
    epsilon = _array(certificate.epsilon)
    radius = _up(certificate.ball.radius * _LARGER)
    c = network.output_bias or 0.0
    with np.errstate(all="ignore"):  # what overflows ends as inf or NaN, which is not below zero
        bound = np.array([_highest(W, a, bias, c, radius, enclose, at[i], y[i]) for i in range(len(y))])
    near = np.array([_near(x[i], at[i], epsilon[i]) for i in range(len(y))])
    return Verification((bound < 0) & near, _array(certificate.certified).astype(bool), bound)


def _highest(W: Row, a: Row, bias: Row | None, c: float, radius: float, enclose: Range, x: Row, y: float) -> float:
    """An upper bound on y f(x; W) over the ball."""
    length = _length(x, 0.0 if bias is None else 1.0)
    reach = _up(radius * length)
    terms: list[Row] = []
    for j in range(0, len(W), _NEURONS):
        block = slice(j, j + _NEURONS)
        low, high = _products(W[block], None if bias is None else bias[block], x)
        lowest, highest = enclose(_below(low - reach), _above(high + reach))
        top = y * a[block]
        terms.append(np.where(top > 0, _above(top * highest), np.where(top < 0, _above(top * lowest), 0.0)))
    if not all(np.isfinite(part).all() and np.abs(part).max() < _HUGE for part in terms):
        return math.inf
    total = _up(math.fsum(itertools.chain.from_iterable(part.tolist() for part in terms)))
    root = math.sqrt(len(a))
    root = math.nextafter(root, 0.0) if total > 0 else _up(root)
    return _up(_up(total / root) + y * c)


def _products(W: Row, bias: Row | None, x: Row) -> tuple[Row, Row]:
    """Intervals that hold w_j . x + b_j."""
    low = np.zeros(len(W)) if bias is None else bias.copy()
    high = low.copy()
    columns = np.ascontiguousarray(W.T)
    for column, entry in zip(columns, x, strict=True):
        if entry:
            product = column * entry
            low = _below(low + _below(product))
            high = _above(high + _above(product))
    return low, high


def _near(x: Row, at: Row, epsilon: float) -> bool:
    """Whether |at - x| <= epsilon, exactly."""
    if not (math.isfinite(epsilon) and np.isfinite(at).all()):
        return False
    squares = ((Fraction(float(q)) - Fraction(float(p))) ** 2 for p, q in zip(x, at, strict=True))
    return sum(squares, Fraction(0)) <= Fraction(float(epsilon)) ** 2


def _length(x: Row, more: float) -> float:
    """sqrt(|x|^2 + more), from above; entries are divided by the largest, lest their squares vanish or overflow."""
    largest = max(float(np.max(np.abs(x))), more)
    if not largest:
        return 0.0
    shares = _above(np.append(np.abs(x), more) / largest)
    return _up(largest * _up(math.sqrt(_up(math.fsum(_above(shares * shares).tolist())))))


def _array(values: object) -> Row:
    """A tensor as float64, exactly."""
    return np.asarray(values.detach().cpu().double().numpy())  # type: ignore[attr-defined]


def _above(values: Row) -> Row:
    return np.nextafter(values, np.inf)


def _below(values: Row) -> Row:
    return np.nextafter(values, -np.inf)


def _up(value: float) -> float:
    return math.nextafter(value, math.inf)


# Enclosures of the smallest and the largest sigma over [low, high]


def _range(name: str) -> Range:
    if name.startswith("leaky_relu"):
        return _leaky(0.01 if name == "leaky_relu" else float(name[len("leaky_relu(") : -1]))
    if name not in _RANGES:
        raise UsageError(f"verify knows the built-in activations, got {name!r}; use one of {', '.join(_RANGES)}.")
    return _RANGES[name]


def _leaky(slope: float) -> Range:
    def enclose(low: Row, high: Row) -> tuple[Row, Row]:
        ends = [np.where(end > 0, end, slope * end) for end in (low, high)]
        inside = (low < 0) & (high > 0)
        lowest, highest = np.minimum(*ends), np.maximum(*ends)
        lowest, highest = (
            np.where(inside, part(v, 0.0), v) for part, v in ((np.minimum, lowest), (np.maximum, highest))
        )
        return _below(lowest), _above(highest)

    return enclose


def _rising(function: Callable[[Row], Row], error: float = 0.0) -> Range:
    def enclose(low: Row, high: Row) -> tuple[Row, Row]:
        return _loosely(function(low), low, -1, error), _loosely(function(high), high, 1, error)

    return enclose


def _falls_then_rises(function: Callable[[Row], Row], bottom: tuple[float, float]) -> Range:
    place, lowest = bottom

    def enclose(low: Row, high: Row) -> tuple[Row, Row]:
        left, right = function(low), function(high)
        inside = (low <= place + 1e-9) & (high >= place - 1e-9)
        least = np.minimum(_loosely(left, low, -1, 0.0), _loosely(right, high, -1, 0.0))
        return np.where(inside, lowest - 1e-15, least), np.maximum(
            _loosely(left, low, 1, 0.0), _loosely(right, high, 1, 0.0)
        )

    return enclose


def _sine(low: Row, high: Row) -> tuple[Row, Row]:
    turn, slack = 2 * math.pi, 1e-12 * (1 + np.abs(low) + np.abs(high))

    def passes(point: float) -> npt.NDArray[np.bool_]:
        """Whether the interval, a little longer, holds point + 2 k pi."""
        passed: npt.NDArray[np.bool_] = np.floor((high + slack - point) / turn) >= np.ceil((low - slack - point) / turn)
        return passed

    left, right = np.sin(low), np.sin(high)
    least = np.minimum(_loosely(left, low, -1, 0.0), _loosely(right, high, -1, 0.0))
    most = np.maximum(_loosely(left, low, 1, 0.0), _loosely(right, high, 1, 0.0))
    return np.where(passes(-math.pi / 2), -1.0, least), np.where(passes(math.pi / 2), 1.0, most)


def _loosely(value: Row, z: Row, direction: int, error: float) -> Row:
    loose: Row = value + direction * (_SLACK * (np.abs(value) + np.abs(z)) + error + 1e-300)
    return loose


def _erf(z: Row) -> Row:
    from scipy.special import erf

    return np.asarray(erf(z))


def _gelu(z: Row) -> Row:
    from scipy.special import erfc

    return np.asarray(0.5 * z * erfc(-z / math.sqrt(2)))


def _swish(z: Row) -> Row:
    return np.asarray(z / (1 + np.exp(-z)))


_RANGES: dict[str, Range] = {
    "relu": lambda low, high: (np.maximum(low, 0.0), np.maximum(high, 0.0)),
    "abs": lambda low, high: (
        np.maximum(np.maximum(low, -high), 0.0),
        np.maximum(np.abs(low), np.abs(high)),
    ),
    "identity": lambda low, high: (low, high),
    "tanh": _rising(np.tanh),
    "erf": _rising(_erf),
    "softplus": _rising(lambda z: np.logaddexp(0.0, z), 2.1e-9),  # torch is linear beyond 20
    "gelu": _falls_then_rises(_gelu, _GELU_LOWEST),
    "swish": _falls_then_rises(_swish, _SWISH_LOWEST),
    "sin": _sine,
}
