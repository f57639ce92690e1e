"""Verification of a certificate on an independent path: interval arithmetic in numpy, rounded outwards.

With the code that made the certificate it shares the reading of files and the sentence that states the result, but no
arithmetic: no torch, no matrix product in the bound, no theory of rounding.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import final, overload

import numpy as np
from jaxtyping import Bool, Float, Int

from gradflip._errors import UsageError
from gradflip.certificates._certificate import FORMAT, Certificate
from gradflip.certificates._enclosures import (
    Enclosure,
    Row,
    above,
    below,
    combination_norms_above,
    enclosure,
    matvec,
    norm_above,
    up,
)
from gradflip.certificates._files import read_checksummed
from gradflip.certificates._joint import FORMAT as JOINT_FORMAT
from gradflip.certificates._joint import JointCertificate
from gradflip.certificates._statement import statement
from gradflip.lazy._ball import LazyBall

_HUGE = 1e290  # so many terms of this size have a finite sum
_BLOCK_NEURONS = 2**14  # whose intervals fit into the cache
_LARGER = math.nextafter(1.00001, math.inf)  # the ball certified is larger by 1e-5 (docs/mathematics/certificates.md)
_ROUNDS = 8  # Frank-Wolfe steps of the slopes, more than the certificate was made with
_HALVINGS = 30  # bisections of the length of such a step


@final
@dataclass(frozen=True, eq=False)
class Verification:
    """Outcome of the verification of a certificate.

    Attributes:
        verified: Whether the verification proves that every network of the ball misclassifies the point.
        certified: Whether the certificate claims it.
        bound: An upper bound on y f(x'; W) over the ball, computed independently of the one in the certificate.
        statement: What is proved of the points, as a sentence.

    Shape:
        `(n,)` each, numpy arrays.
    """

    verified: Bool[np.ndarray, " n"]
    certified: Bool[np.ndarray, " n"]
    bound: Float[np.ndarray, " n"]
    statement: str

    @property
    def holds(self) -> bool:
        """Whether every point that the certificate claims is verified."""
        return bool(np.all(self.verified | ~self.certified))


@final
@dataclass(frozen=True, eq=False)
class JointVerification:
    """Outcome of the verification of a joint certificate, with linear bounds of its own.

    Attributes:
        errors: Number of points of each group that every network of the ball is proved to misclassify at least; 0 where
            the certificate claims none: such groups are not examined.
        claimed: The number that the certificate claims.
        bound: An upper bound on sum_i lambda_i y_i f(x_i'; W) over the ball, computed independently of the one in the
            certificate; inf where it claims no error.
        statement: What is proved, as a sentence, counting in every group no more errors than are claimed.

    Shape:
        `(groups,)` each, numpy arrays.
    """

    errors: Int[np.ndarray, " groups"]
    claimed: Int[np.ndarray, " groups"]
    bound: Float[np.ndarray, " groups"]
    statement: str

    @property
    def verified(self) -> Bool[np.ndarray, " groups"]:
        """Whether a group has at least as many errors as the certificate claims."""
        enough: Bool[np.ndarray, " groups"] = self.errors >= self.claimed
        return enough

    @property
    def holds(self) -> bool:
        """Whether every group is verified."""
        return bool(self.verified.all())


@overload
def verify(certificate: Certificate) -> Verification: ...
@overload
def verify(certificate: JointCertificate) -> JointVerification: ...
@overload
def verify(certificate: str | Path) -> Verification | JointVerification: ...
def verify(certificate: Certificate | JointCertificate | str | Path) -> Verification | JointVerification:
    """Verify a certificate from its weights and perturbed inputs alone.

    Every pre-activation, every interval of a neuron and every sum is enclosed between numbers that the exact value
    cannot pass; the distance |x' - x| is compared with epsilon in rational arithmetic. From a joint certificate the
    points, the weights lambda and the groups are used; linear bounds and numbers of errors are computed anew.

    Args:
        certificate: The certificate, of either kind, or the file that it was saved to.

    Returns:
        A `Verification`, or a `JointVerification`. A point or group within a few roundings of the boundary may fail to
        verify although it is certified: the bound of the verification may be the slightly weaker one.

    Raises:
        FileError: If the file is missing, altered or no certificate.
        UsageError: If the argument is neither, or the activation is not a built-in one, or is not relu in a joint
            certificate.

    Source: docs/mathematics/certificates.md, "Verification".
    """  # noqa: DOC502
    if isinstance(certificate, str | Path):
        kinds: dict[str, Callable[..., Certificate | JointCertificate]]
        kinds = {FORMAT: Certificate.of_file, JOINT_FORMAT: JointCertificate.of_file}
        certificate = read_checksummed(certificate, kinds)
    if not isinstance(certificate, Certificate | JointCertificate):
        raise UsageError(f"certificate must be a Certificate or its file, got {type(certificate).__name__}.")
    with np.errstate(all="ignore"):  # an overflow ends as inf or NaN, which is not below zero
        return _points(certificate) if isinstance(certificate, Certificate) else _groups(certificate)


def _points(certificate: Certificate) -> Verification:
    """Verify a certificate point by point."""
    ball = _IntervalBall.of(certificate.ball)
    x, at, y = _array(certificate.x), _array(certificate.perturbed), _array(certificate.y)
    epsilon = _array(certificate.epsilon)
    bound = np.array([ball.upper_bound(at[i], y[i]) for i in range(len(y))])
    verified = (bound < 0) & np.array([_within(x[i], at[i], epsilon[i]) for i in range(len(y))])
    farthest = float(epsilon[verified].max(initial=0.0))
    return Verification(
        verified, _array(certificate.certified).astype(bool), bound,
        statement(certificate.ball, int(verified.sum()), len(y), farthest),
    )  # fmt: skip


def _groups(certificate: JointCertificate) -> JointVerification:
    """Verify a joint certificate group by group."""
    name = certificate.ball.network0.activation.name
    if name != "relu":
        raise UsageError(f"verify knows joint certificates of relu, got {name!r}.")
    ball = _IntervalBall.of(certificate.ball)
    x, at, y = _array(certificate.x), _array(certificate.perturbed), _array(certificate.y)
    weights, groups = _array(certificate.weights), certificate.groups.cpu().numpy()
    claimed = certificate.errors.cpu().numpy()
    bound, errors = np.full(len(claimed), math.inf), np.zeros(len(claimed), dtype=np.int64)
    for g in np.flatnonzero(claimed > 0):
        own = np.flatnonzero(groups == g)
        bound[g] = ball.joint_upper_bound(at[own], y[own], weights[own])
        if bound[g] < 0 and all(_within(x[i], at[i], certificate.epsilon) for i in own):
            errors[g] = _fewest_errors(bound[g], weights[own], [ball.upper_bound(at[i], -y[i]) for i in own])
    proved = int(np.minimum(errors, claimed).sum())
    return JointVerification(errors, claimed, bound, statement(certificate.ball, proved, len(y), certificate.epsilon))


def _fewest_errors(bound: float, weights: Row, deepest: list[float]) -> int:
    """The smallest number of points whose lambda_i max(-y_i f) can sum to -bound, in rational arithmetic."""
    if not all(map(math.isfinite, deepest)):
        return 0
    parts = [Fraction(float(weight)) * Fraction(max(deep, 0.0)) for weight, deep in zip(weights, deepest, strict=True)]
    sums = itertools.accumulate(sorted(parts, reverse=True))
    return min(1 + sum(total < -Fraction(bound) for total in sums), len(parts))


@final
@dataclass(frozen=True, eq=False)
class _IntervalBall:
    """The ball in numpy: weights as they are stored, the radius a little larger."""

    W: Row
    a: Row
    bias: Row | None
    output_bias: float
    radius: float
    enclose: Enclosure

    @staticmethod
    def of(ball: LazyBall) -> _IntervalBall:
        network = ball.network0
        bias = None if network.bias is None else _array(network.bias)
        enclose = enclosure(network.activation.name)
        radius = up(ball.radius * _LARGER)
        return _IntervalBall(_array(network.W), _array(network.a), bias, network.output_bias or 0.0, radius, enclose)

    def upper_bound(self, x: Row, y: float) -> float:
        """An upper bound on y f(x; W) over the ball."""
        reach = self._reach(x)
        terms: list[Row] = []
        for W, a, bias in self._blocks():
            low, high = matvec(W, bias, x)
            lowest, highest = self.enclose(below(low - reach), above(high + reach))
            top = y * a
            terms.append(np.where(top > 0, above(top * highest), np.where(top < 0, above(top * lowest), 0.0)))
        return up(self._mean(terms) + y * self.output_bias)

    def joint_upper_bound(self, x: Row, y: Row, weights: Row) -> float:
        """An upper bound on sum_i lambda_i y_i f(x_i; W) over the ball, of relu."""
        # With c_i = lambda_i y_i sign(a_j), neuron j adds |a_j| sum_i c_i relu(z_i), z_i = w_j . x_i + v . x_i, with
        # the same v for all points, |v| <= r. For any number q_i, c_i relu(z) <= q_i z + h_i on the interval of z_i,
        # where h_i is the largest difference of both sides at its ends and at the kink: in between it is linear. So the
        # sum is at most sum_i (q_i w_j . x_i + h_i) + r |sum_i q_i x_i|.
        if not len(y):
            return 0.0
        rays = x if self.bias is None else np.column_stack([x, np.ones(len(x))])
        reach = np.array([self._reach(point) for point in x])[:, None]
        terms: list[Row] = []
        for W, a, bias in self._blocks():
            ends = [matvec(W, bias, point) for point in x]
            low, high = (np.stack(part) for part in zip(*ends, strict=True))
            c = (weights * y)[:, None] * np.sign(a)
            q = _line_slopes((low + high) / 2, c, reach, rays, self.radius)
            lines = above(np.maximum(q * low, q * high))
            least, most = below(low - reach), above(high + reach)
            gaps = [above(above(c * np.maximum(z, 0.0)) - below(q * z)) for z in (least, most)]
            kinked = (least < 0) & (most > 0)
            lines = above(lines + np.where(kinked, np.maximum(np.maximum(*gaps), 0.0), np.maximum(*gaps)))
            total = above(self.radius * combination_norms_above(q, rays))
            for line in lines:
                total = above(total + line)
            terms.append(above(np.abs(a) * total))
        constant = Fraction(self.output_bias) * sum(Fraction(float(part)) for part in weights * y)
        return up(self._mean(terms) + up(float(constant)))

    def _reach(self, x: Row) -> float:
        """How far a pre-activation can move at an input, from above."""
        return up(self.radius * norm_above(x, 0.0 if self.bias is None else 1.0))

    def _blocks(self) -> Iterator[tuple[Row, Row, Row | None]]:
        for j in range(0, len(self.W), _BLOCK_NEURONS):
            block = slice(j, j + _BLOCK_NEURONS)
            yield self.W[block], self.a[block], None if self.bias is None else self.bias[block]

    def _mean(self, terms: list[Row]) -> float:
        """The sum over neurons times m^(-1/2), from above."""
        if not all(np.isfinite(part).all() and np.abs(part).max() < _HUGE for part in terms):
            return math.inf
        total = up(math.fsum(itertools.chain.from_iterable(part.tolist() for part in terms)))
        root = math.sqrt(len(self.a))
        return up(total / (math.nextafter(root, 0.0) if total > 0 else up(root)))


def _line_slopes(u: Row, c: Row, reach: Row, rays: Row, radius: float) -> Row:
    """Slopes q_i for every neuron that make sum_i (q_i u_i + h_i) + r |sum_i q_i x_i| low; any slopes are valid."""
    # For c_i > 0 the chord is best. For c_i < 0 any q_i in [c_i, 0] has h_i = 0: steps towards the corner to which the
    # displacement along sum_i q_i x_i leads, as far as that lowers the sum.
    kinked = np.abs(u) < reach
    slopes = np.where(kinked & (c > 0), (u + reach) / (2 * reach), u > 0)
    free = kinked & (c < 0)
    for _ in range(_ROUNDS):
        D = (c * slopes).T @ rays
        size = np.linalg.norm(D, axis=1) + 1e-300
        direction = np.where(free, (u + (rays @ D.T) * (radius / size) > 0) - slopes, 0.0)
        rise, E = (c * direction * u).sum(axis=0), (c * direction).T @ rays
        DD, DE, EE = ((D * D).sum(axis=1), (D * E).sum(axis=1), (E * E).sum(axis=1))
        start, end = np.zeros(len(D)), np.ones(len(D))
        for _ in range(_HALVINGS):  # bisection of the derivative, which increases
            t = (start + end) / 2
            slope = rise + radius * (DE + t * EE) / np.sqrt(np.maximum(DD + t * (2 * DE + t * EE), 1e-300))
            start, end = np.where(slope < 0, t, start), np.where(slope < 0, end, t)
        slopes = slopes + end * direction
    return np.asarray(c * slopes)


def _within(x: Row, at: Row, epsilon: float) -> bool:
    """Whether |at - x| <= epsilon, exactly."""
    if not (0 <= epsilon < math.inf and np.isfinite(x).all() and np.isfinite(at).all()):
        return False
    squares = ((Fraction(float(q)) - Fraction(float(p))) ** 2 for p, q in zip(x, at, strict=True))
    return sum(squares, Fraction(0)) <= Fraction(float(epsilon)) ** 2


def _array(values: object) -> Row:
    """A tensor as float64, exactly."""
    return np.asarray(values.detach().cpu().double().numpy())  # type: ignore[attr-defined]
