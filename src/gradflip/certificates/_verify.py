"""A second look at a certificate, by other means: interval arithmetic in numpy, every operation rounded outwards.

Nothing here is shared with the code that made the certificate: no torch, no matrix product, no theory of rounding. An
IEEE operation is correct to the nearest number, so the next number above its result is above the exact one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float, Int

from gradflip._errors import UsageError
from gradflip.certificates._certificate import FORMAT, Certificate, read_signed, statement
from gradflip.certificates._joint import FORMAT as JOINT_FORMAT
from gradflip.certificates._joint import JointCertificate
from gradflip.lazy._ball import LazyBall

Row = npt.NDArray[np.float64]
Range = Callable[[Row, Row], tuple[Row, Row]]

_HUGE = 1e290  # so many terms of this size have a finite sum
_NEURONS = 2**14  # at once: intervals of this many stay in the cache
_LARGER = math.nextafter(1.00001, math.inf)  # the ball certified is larger by 1e-5 (docs/mathematics/certificates.md)
_GELU_LOWEST = (-0.7517915246935645, -0.16997120747990369)
_SWISH_LOWEST = (-1.2784645427610738, -0.27846454276107379)
_TURNS = 8  # of the search for pulls, more than the certificate was made with
_HALVINGS = 30  # of a step on the way to the lowest point of a line
_SLACK = 2.0**-48  # of |z| + |sigma(z)|: far above the error of any library's exp, tanh, erf or sin


@dataclass(frozen=True, eq=False)
class Verification:
    """What became of a certificate when it was computed again.

    Attributes:
        verified: Whether the point was found certified.
        certified: What the certificate says.
        bound: An upper bound on y f(x'; W) over the ball, not the one that the certificate states.
        statement: What is proved of the points that were verified.

    Shape:
        `(n,)` each, numpy arrays.
    """

    verified: Bool[np.ndarray, " n"]
    certified: Bool[np.ndarray, " n"]
    bound: Float[np.ndarray, " n"]
    statement: str

    @property
    def holds(self) -> bool:
        """Whether every point that the certificate calls certified is."""
        return bool(np.all(self.verified | ~self.certified))


@dataclass(frozen=True, eq=False)
class JointVerification:
    """What became of a joint certificate when it was computed again, with lines of its own.

    Attributes:
        errors: How many points of each group every network of the ball was found to get wrong at least; 0 where the
            certificate claims none, which is not looked at.
        claimed: What the certificate says.
        bound: An upper bound on sum_i lambda_i y_i f(x_i'; W) over the ball, not the one that the certificate states;
            inf where it claims no error.
        statement: What is proved, of as many errors of every group as are claimed and were found.

    Shape:
        `(groups,)` each, numpy arrays.
    """

    errors: Int[np.ndarray, " groups"]
    claimed: Int[np.ndarray, " groups"]
    bound: Float[np.ndarray, " groups"]
    statement: str

    @property
    def verified(self) -> Bool[np.ndarray, " groups"]:
        """Whether there are as many errors in a group as the certificate says."""
        enough: Bool[np.ndarray, " groups"] = self.errors >= self.claimed
        return enough

    @property
    def holds(self) -> bool:
        """Whether that is so in every group."""
        return bool(self.verified.all())


@overload
def verify(certificate: Certificate) -> Verification: ...
@overload
def verify(certificate: JointCertificate) -> JointVerification: ...
@overload
def verify(certificate: str | Path) -> Verification | JointVerification: ...
def verify(certificate: Certificate | JointCertificate | str | Path) -> Verification | JointVerification:
    """Check a certificate from the weights and the perturbed inputs in it alone.

    Every pre-activation, every interval of a neuron and every sum is enclosed between numbers that the exact one cannot
    pass; the distance |x' - x| is compared with epsilon in rational arithmetic. Of a joint certificate the points, the
    weights lambda and the groups are taken, lines and errors are found again.

    Args:
        certificate: The certificate, of either kind, or the file that it was saved to.

    Returns:
        A `Verification`, or a `JointVerification`. A point or group within a few roundings of the boundary may fail to
        verify though it is certified: the bound found here may be slightly the weaker one.

    Raises:
        FileError: If the file is missing, altered or no certificate.
        UsageError: If the argument is neither, or the activation is not a built-in one, relu if joint.

    Source: docs/mathematics/certificates.md, "Verification".
    """  # noqa: DOC502
    if isinstance(certificate, str | Path):
        kinds: dict[str, Callable[..., Certificate | JointCertificate]]
        kinds = {FORMAT: Certificate.of_file, JOINT_FORMAT: JointCertificate.of_file}
        certificate = read_signed(certificate, kinds)
    if not isinstance(certificate, Certificate | JointCertificate):
        raise UsageError(f"certificate must be a Certificate or its file, got {type(certificate).__name__}.")
    with np.errstate(all="ignore"):  # what overflows ends as inf or NaN, which is not below zero
        return _points(certificate) if isinstance(certificate, Certificate) else _groups(certificate)


def _points(certificate: Certificate) -> Verification:
    """Check one point after the other."""
    ball = _Ball.of(certificate.ball)
    x, at, y = _array(certificate.x), _array(certificate.perturbed), _array(certificate.y)
    epsilon = _array(certificate.epsilon)
    bound = np.array([ball.highest(at[i], y[i]) for i in range(len(y))])
    verified = (bound < 0) & np.array([_near(x[i], at[i], epsilon[i]) for i in range(len(y))])
    farthest = float(epsilon[verified].max(initial=0.0))
    return Verification(
        verified, _array(certificate.certified).astype(bool), bound,
        statement(certificate.ball, int(verified.sum()), len(y), farthest),
    )  # fmt: skip


def _groups(certificate: JointCertificate) -> JointVerification:
    """Check one group after the other."""
    name = certificate.ball.network0.activation.name
    if name != "relu":
        raise UsageError(f"verify knows joint certificates of relu, got {name!r}.")
    ball = _Ball.of(certificate.ball)
    x, at, y = _array(certificate.x), _array(certificate.perturbed), _array(certificate.y)
    weights, groups = _array(certificate.weights), certificate.groups.cpu().numpy()
    claimed = certificate.errors.cpu().numpy()
    bound, errors = np.full(len(claimed), math.inf), np.zeros(len(claimed), dtype=np.int64)
    for g in np.flatnonzero(claimed > 0):
        own = np.flatnonzero(groups == g)
        bound[g] = ball.highest_together(at[own], y[own], weights[own])
        if bound[g] < 0 and all(_near(x[i], at[i], certificate.epsilon) for i in own):
            errors[g] = _fewest(bound[g], weights[own], [ball.highest(at[i], -y[i]) for i in own])
    found = int(np.minimum(errors, claimed).sum())
    return JointVerification(errors, claimed, bound, statement(certificate.ball, found, len(y), certificate.epsilon))


def _fewest(bound: float, weights: Row, deepest: list[float]) -> int:
    """The smallest number of points whose lambda_i max(-y_i f) can sum to -bound, in rational arithmetic."""
    if not all(map(math.isfinite, deepest)):
        return 0
    parts = [Fraction(float(weight)) * Fraction(max(deep, 0.0)) for weight, deep in zip(weights, deepest, strict=True)]
    sums = itertools.accumulate(sorted(parts, reverse=True))
    return min(1 + sum(total < -Fraction(bound) for total in sums), len(parts))


@dataclass(frozen=True, eq=False)
class _Ball:
    """The ball as numbers: weights as they are stored, the radius a little larger."""

    W: Row
    a: Row
    bias: Row | None
    output_bias: float
    radius: float
    enclose: Range

    @staticmethod
    def of(ball: LazyBall) -> _Ball:
        network = ball.network0
        bias = None if network.bias is None else _array(network.bias)
        enclose = _range(network.activation.name)
        radius = _up(ball.radius * _LARGER)
        return _Ball(_array(network.W), _array(network.a), bias, network.output_bias or 0.0, radius, enclose)

    def highest(self, x: Row, y: float) -> float:
        """An upper bound on y f(x; W) over the ball."""
        reach = self._reach(x)
        terms: list[Row] = []
        for W, a, bias in self._blocks():
            low, high = _products(W, bias, x)
            lowest, highest = self.enclose(_below(low - reach), _above(high + reach))
            top = y * a
            terms.append(np.where(top > 0, _above(top * highest), np.where(top < 0, _above(top * lowest), 0.0)))
        return _up(self._mean(terms) + y * self.output_bias)

    def highest_together(self, x: Row, y: Row, weights: Row) -> float:
        """An upper bound on sum_i lambda_i y_i f(x_i; W) over the ball, of relu."""
        # With c_i = lambda_i y_i sign(a_j), neuron j adds |a_j| sum_i c_i relu(z_i), z_i = w_j . x_i + v . x_i, and has
        # one v for all points, |v| <= r. Whatever number q_i is, c_i relu(z) <= q_i z + h_i on the interval of z_i, h_i
        # the largest difference of both sides at its ends and at the kink: in between it is linear. So the sum is at
        # most sum_i (q_i w_j . x_i + h_i) + r |sum_i q_i x_i|.
        if not len(y):
            return 0.0
        rays = x if self.bias is None else np.column_stack([x, np.ones(len(x))])
        reach = np.array([self._reach(point) for point in x])[:, None]
        terms: list[Row] = []
        for W, a, bias in self._blocks():
            ends = [_products(W, bias, point) for point in x]
            low, high = (np.stack(part) for part in zip(*ends, strict=True))
            c = (weights * y)[:, None] * np.sign(a)
            q = _pulls((low + high) / 2, c, reach, rays, self.radius)
            lines = _above(np.maximum(q * low, q * high))
            least, most = _below(low - reach), _above(high + reach)
            gaps = [_above(_above(c * np.maximum(z, 0.0)) - _below(q * z)) for z in (least, most)]
            kinked = (least < 0) & (most > 0)
            lines = _above(lines + np.where(kinked, np.maximum(np.maximum(*gaps), 0.0), np.maximum(*gaps)))
            total = _above(self.radius * _lengths(q, rays))
            for line in lines:
                total = _above(total + line)
            terms.append(_above(np.abs(a) * total))
        constant = Fraction(self.output_bias) * sum(Fraction(float(part)) for part in weights * y)
        return _up(self._mean(terms) + _up(float(constant)))

    def _reach(self, x: Row) -> float:
        """How far a pre-activation can move."""
        return _up(self.radius * _length(x, 0.0 if self.bias is None else 1.0))

    def _blocks(self) -> Iterator[tuple[Row, Row, Row | None]]:
        for j in range(0, len(self.W), _NEURONS):
            block = slice(j, j + _NEURONS)
            yield self.W[block], self.a[block], None if self.bias is None else self.bias[block]

    def _mean(self, terms: list[Row]) -> float:
        """The sum over neurons times m^(-1/2), from above."""
        if not all(np.isfinite(part).all() and np.abs(part).max() < _HUGE for part in terms):
            return math.inf
        total = _up(math.fsum(itertools.chain.from_iterable(part.tolist() for part in terms)))
        root = math.sqrt(len(self.a))
        return _up(total / (math.nextafter(root, 0.0) if total > 0 else _up(root)))


def _pulls(u: Row, c: Row, reach: Row, rays: Row, radius: float) -> Row:
    """Numbers q_i for every neuron that make sum_i (q_i u_i + h_i) + r |sum_i q_i x_i| low; they need no trust."""
    # For c_i > 0 the chord is best. For c_i < 0 any q_i in [c_i, 0] has h_i = 0: descent towards the corner where the
    # displacement along sum_i q_i x_i leads, as far as that lowers the sum.
    kinked = np.abs(u) < reach
    slopes = np.where(kinked & (c > 0), (u + reach) / (2 * reach), u > 0)
    free = kinked & (c < 0)
    for _ in range(_TURNS):
        D = (c * slopes).T @ rays
        size = np.linalg.norm(D, axis=1) + 1e-300
        ways = np.where(free, (u + (rays @ D.T) * (radius / size) > 0) - slopes, 0.0)
        rise, E = (c * ways * u).sum(axis=0), (c * ways).T @ rays
        DD, DE, EE = ((D * D).sum(axis=1), (D * E).sum(axis=1), (E * E).sum(axis=1))
        start, end = np.zeros(len(D)), np.ones(len(D))
        for _ in range(_HALVINGS):  # of the derivative, which increases
            t = (start + end) / 2
            slope = rise + radius * (DE + t * EE) / np.sqrt(np.maximum(DD + t * (2 * DE + t * EE), 1e-300))
            start, end = np.where(slope < 0, t, start), np.where(slope < 0, end, t)
        slopes = slopes + end * ways
    return np.asarray(c * slopes)


def _lengths(q: Row, rays: Row) -> Row:
    """|sum_i q_i x_i| for every neuron, from above."""
    total = np.zeros(q.shape[1])
    for column in rays.T:
        low, high = np.zeros(q.shape[1]), np.zeros(q.shape[1])
        for pull, entry in zip(q, column, strict=True):
            if entry:
                product = pull * entry
                low, high = _below(low + _below(product)), _above(high + _above(product))
        most = np.maximum(-low, high)
        total = _above(total + _above(most * most))
    return _above(np.sqrt(total))


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
    if not (0 <= epsilon < math.inf and np.isfinite(x).all() and np.isfinite(at).all()):
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
