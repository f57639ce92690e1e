"""The lazy regime B_(2,inf)(W_0, C0 / sqrt m): every neuron within C0 / sqrt m of where it started."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.lazy._extrema import checked_points, input_norms, maxima, sums_of_maxima, with_ones
from gradflip.lazy._rows import comparable, rows, with_rows
from gradflip.networks import TwoLayer


class ConeDistance(NamedTuple):
    """The scale c > 0 at which c W comes closest to the centre, and how close."""

    distance: float
    scale: float


class LazyBall:
    """All networks each of whose neurons is within a radius of its start: max_j |w_j - w_(j,0)|_2 <= C0 / sqrt(m).

    With biases the rows are those of [W, b]. The ball is defined in `unit` scaling; a `sqrt-d` network is converted,
    wherever one is given. Top weights and output bias are not trained: networks that differ in them are in no common
    ball.

    Args:
        network0: The initialisation, the centre.
        C0: The constant; the radius is C0 / sqrt(m).
        radius: The radius itself, instead of C0.

    Attributes:
        network0: The centre, in `unit` scaling.
        C0: The constant C0.
        radius: The radius.

    Raises:
        UsageError: If C0 or radius is not a positive finite number, or both are given.

    Source: Wang et al. (2022), Definition 2.1; docs/mathematics/lazy-training.md, "The ball".
    """

    __slots__ = ("C0", "network0", "radius")

    def __init__(self, network0: TwoLayer, C0: float | None = None, *, radius: float | None = None) -> None:
        """Fix the centre and the size."""
        if C0 is not None and radius is not None:
            raise UsageError("give C0 or radius, not both; the radius is C0 / sqrt(width).")
        given, name = (radius, "radius") if radius is not None else (10.0 if C0 is None else C0, "C0")
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < math.inf:
            raise UsageError(f"{name} must be positive and finite, got {given}.")
        self.network0 = network0.rescale("unit")
        root = math.sqrt(network0.width)
        self.radius = float(given) if radius is not None else given / root
        self.C0 = given * root if radius is not None else float(given)

    def __repr__(self) -> str:
        return f"LazyBall(C0={self.C0:g}, radius={self.radius:g}, width={self.network0.width}, dim={self.network0.dim})"

    def deviations(self, network: TwoLayer) -> Float[Tensor, " m"]:
        """How far each neuron is from its start, |w_j - w_(j,0)|, in float64 and `unit` scaling.

        Args:
            network: A network of the centre's shape.

        Returns:
            One distance per neuron.

        Raises:
            UsageError: If the network cannot be compared with the centre.

        Shape:
            `(m,)`.
        """
        moved = rows(comparable(network, self.network0)) - rows(self.network0)
        distances: Tensor = torch.linalg.vector_norm(moved, dim=1)
        return distances

    def deviation(self, network: TwoLayer) -> float:
        """max_j |w_j - w_(j,0)|, the distance in which the ball is round.

        Args:
            network: A network of the centre's shape.

        Returns:
            The distance; the network is in the ball where it is at most `radius`.
        """
        return float(self.deviations(network).max())

    def contains(self, network: TwoLayer) -> bool:
        """Whether the network is in the lazy regime: `deviation(network) <= radius`.

        Args:
            network: A network of the centre's shape.

        Returns:
            True if it is.
        """
        return self.deviation(network) <= self.radius

    def project(self, network: TwoLayer) -> TwoLayer:
        """The nearest network in the ball: neurons outside are drawn back onto its surface, the others stay untouched.

        The result is inside as `contains` sees it: rows are drawn in by their own rounding.

        Args:
            network: A network of the centre's shape.

        Returns:
            A network in the scaling and type of the one given; the same one if it is inside.
        """
        unit = comparable(network, self.network0)
        now, start = rows(unit), rows(self.network0)
        offset = now - start
        distance = torch.linalg.vector_norm(offset, dim=1)
        outside = distance > self.radius
        if not bool(outside.any()):
            return network
        # rounding of a row drawn in to the network's type (a few times: the scaling may round too) moves it by eps |w|
        longest = torch.linalg.vector_norm(start, dim=1) + self.radius
        target = (self.radius - 4 * torch.finfo(unit.W.dtype).eps * longest).clamp(min=0.0)
        factor = torch.where(outside, target / distance, 1.0)
        drawn = with_rows(unit, start + factor[:, None] * offset).rescale(network.scaling)
        W = torch.where(outside[:, None], drawn.W, network.W)
        bias = None if network.bias is None or drawn.bias is None else torch.where(outside, drawn.bias, network.bias)
        return TwoLayer(W, network.a, bias, network.output_bias, network.activation, network.scaling)

    def cone_distance(self, network: TwoLayer) -> ConeDistance:
        """The distance of the network's ray { c W : c > 0 } from the centre: min over c of max_j |c w_j - w_(j,0)|.

        ReLU networks without output bias are positively homogeneous, so what holds on the ball for sign f, s*|g| and
        rho holds for every network with `cone_distance(network).distance <= radius`. The maximum of parabolas in c is
        minimised exactly: each step solves the two parabolas that are active on either side, and ends when no other
        lies above.

        Args:
            network: A network of the centre's shape.

        Returns:
            The distance and the scale c that attains it (0 if the minimum is only approached as c -> 0).

        Raises:
            UsageError: If the network is not positively homogeneous, so that its cone says nothing.

        Source: Wang et al. (2022), Figure 1; docs/mathematics/lazy-training.md, "The cone".
        """
        if not network.activation.homogeneous:
            raise UsageError(f"the cone needs a positively homogeneous activation, got {network.activation.name!r}.")
        if network.output_bias:
            raise UsageError(f"the cone needs a network without output bias, got {network.output_bias}.")
        moved, start = rows(comparable(network, self.network0)), rows(self.network0)
        # near the ball first, where c - 1 is small and nothing cancels
        along, size = float((moved * start).sum()), float((moved * moved).sum())
        near = along / size if along > 0 else math.sqrt(float((start * start).sum()) / size) if size > 0 else 1.0
        near = near or 1.0
        scale = near * _lowest_maximum(near * moved, near * moved - start)
        return ConeDistance(float(torch.linalg.vector_norm(scale * moved - start, dim=1).max()), scale)

    def max_value(self, x: Float[Tensor, "n d"], y: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The largest y f(x; W) over the ball, exact up to rounding: neurons are independent at one input.

        Args:
            x: Inputs in `unit` scaling, whatever that of the network the ball was built from.
            y: Labels, -1 or +1.

        Returns:
            The maximum at each input, attained by `extreme`, in float64. `certify` gives an upper bound that holds
            with rounding.

        Raises:
            UsageError: If a shape, an entry or a label is not as stated, or it is not known where sigma turns.

        Shape:
            x `(n, d)`, y and result `(n,)`. Time of one matrix product, memory for a block of it.

        Source: docs/mathematics/certificates.md, "Extremes over the ball".
        """
        network = self.network0
        x, y = checked_points(network, x, y)
        radii = torch.full((network.width,), self.radius, dtype=torch.float64, device=x.device)
        total = sums_of_maxima(network, x, y, input_norms(network, x), radii)
        return total / math.sqrt(network.width) + y * (network.output_bias or 0.0)

    def min_value(self, x: Float[Tensor, "n d"], y: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The smallest y f(x; W) over the ball: as `max_value`, of the other class.

        Args:
            x: Inputs in `unit` scaling.
            y: Labels, -1 or +1.

        Returns:
            The minimum at each input, in float64.

        Raises:
            UsageError: As for `max_value`.
        """
        x, y = checked_points(self.network0, x, y)
        return -self.max_value(x, -y)

    def extreme(self, x: Float[Tensor, " d"], y: float | Float[Tensor, ""]) -> TwoLayer:
        """The network of the ball that is most right about one input: the one that attains `max_value`.

        Its rows are w_(j,0) + t_j r x / |x|, t_j in [-1, 1], drawn in by their rounding so that the ball `contains`
        them; at x = 0 without biases, where all are equally right, it is the centre.

        Args:
            x: One input in `unit` scaling.
            y: Its label, -1 or +1.

        Returns:
            A network in float64 and `unit` scaling.

        Raises:
            UsageError: As for `max_value`.
        """
        label = torch.as_tensor(y, dtype=torch.float64, device=self.network0.W.device).reshape(1)
        at, label = checked_points(self.network0, x.reshape(1, -1), label)
        network = self.network0.to(dtype=torch.float64)
        start, ray = rows(network), with_ones(network, at)[0]
        length = torch.linalg.vector_norm(ray)
        if not length > 0:
            return network
        u = start @ ray
        reach = self.radius * length
        _, place = maxima(network.activation, u - reach, u + reach, label * torch.where(network.a < 0, -1.0, 1.0))
        t = ((place - u) / reach).clamp(-1.0, 1.0)
        return self.project(with_rows(network, start + torch.outer(t * self.radius, ray / length)))


def _lowest_maximum(moved: Tensor, offset: Tensor) -> float:
    """Return the c >= 0 that minimises max_j |c w_j - w_(j,0)|; finitely many parabolas, so finitely many steps.

    In t = c - 1 the square is |w_j|^2 t^2 + 2 t w_j . (w_j - w_(j,0)) + |w_j - w_(j,0)|^2: no cancellation near the
    ball.
    """
    A, B, D = (moved * moved).sum(1), -(moved * offset).sum(1), (offset * offset).sum(1)

    def active(t: float) -> tuple[int, float]:
        """A parabola that attains the maximum at t, and its derivative there."""
        j = int(((A * t - 2 * B) * t + D).argmax())
        return j, float(2 * (A[j] * t - B[j]))

    low = -1.0
    high = float(torch.where(A > 0, B / A, low).max())  # right of every vertex the maximum rises
    left, falling = active(low)
    right, rising = active(high)
    if falling >= 0 or high <= low:
        return 0.0
    if rising < 0:
        return 1 + high
    t = low
    for _ in range(len(A) + 100):
        t = _lowest_of_two(A, B, D, left, right, low, high)
        j, slope = active(t)
        if j in (left, right) or not low < t < high:
            break
        if slope < 0:
            left, low = j, t
        else:
            right, high = j, t
    return 1 + t


def _lowest_of_two(A: Tensor, B: Tensor, D: Tensor, i: int, j: int, low: float, high: float) -> float:
    """Where max(parabola i, parabola j) is lowest on [low, high]; i falls at low, j rises at high."""
    candidates = [float(B[k] / A[k]) for k in (i, j) if float(A[k]) > 0]
    p, q, r = float(A[i] - A[j]), float(-2 * (B[i] - B[j])), float(D[i] - D[j])
    discriminant = q * q - 4 * p * r
    if p == 0 and q != 0:
        candidates.append(-r / q)
    elif p != 0 and discriminant >= 0:
        root = -0.5 * (q + math.copysign(math.sqrt(discriminant), q))
        candidates.append(root / p)
        if root != 0:
            candidates.append(r / root)
    # the ends too: where the parabolas meet at one of them, rounding may put that point outside
    inside = [low, high, *(c for c in candidates if low < c < high)]

    def height(c: float) -> float:
        return max(float((A[k] * c - 2 * B[k]) * c + D[k]) for k in (i, j))

    return min(inside, key=height)
