"""How small the gradient at one input can get over the ball: Lemma 4.2 at its worst network, from both sides.

A neuron whose pre-activation is beyond its reach stays on or off, whatever it does; if on, it can take r |a_j| from the
gradient in any direction, and all of them together exactly sum r |a_j| / sqrt m. The others may be switched. Each adds
one of a set of vectors, so the gradient ranges over a sum of sets: the linear minimum over it is a sum of closed forms,
which bounds its norm from below, and the network that attains it bounds it from above. Frank-Wolfe steps bring the two
together; as there are many more neurons than dimensions they nearly meet (Shapley and Folkman).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gradflip.lazy import LazyBall
from gradflip.networks import TwoLayer

_NUDGE = 1e-9  # of the radius: relu'(0) is 0, so a neuron must be beyond 0 to be on


@dataclass(frozen=True, eq=False)
class SmallestGradient:
    """The smallest norm of grad f(x; W) over the ball, bracketed.

    Attributes:
        low: No network of the ball has less.
        high: That of `network`.
        network: One of the ball, in float64.
    """

    low: float
    high: float
    network: TwoLayer


def smallest_gradient(
    ball: LazyBall, x: Float[Tensor, " d"], *, steps: int = 40, rtol: float = 1e-3
) -> SmallestGradient:
    """The smallest |grad f(x; W)| over the ball, between two bounds.

    Args:
        ball: Around a relu network without biases.
        x: An input, not 0.
        steps: Of the search at most; it ends where the bounds are `rtol` of the gradient at the centre apart.
        rtol: How close that is.

    Returns:
        Both bounds, and the network that attains the upper one.
    """
    return _Switches(ball, x.to(torch.float64)).search(steps, rtol)


class _Switches:
    """The neurons that can be switched at an input, and what the others add."""

    def __init__(self, ball: LazyBall, x: Tensor) -> None:
        self._ball, self._network = ball, ball.network0.to(dtype=torch.float64)
        W, a, self._radius = self._network.W, self._network.a, ball.radius
        length = torch.linalg.vector_norm(x)
        self._unit = x / length
        along = W @ self._unit  # how far each neuron is from the plane where it switches
        root = math.sqrt(self._network.width)
        self._sure = along > self._radius
        self._free = along.abs() <= self._radius
        self._base = (a * self._sure) @ W / root
        self._slack = self._radius * float((a.abs() * self._sure).sum()) / root
        self._rows, self._along, self._top = W[self._free], along[self._free], a[self._free] / root

    def search(self, steps: int, rtol: float) -> SmallestGradient:
        """Frank-Wolfe on |base + what the switchable neurons add|, keeping the best bound on either side."""
        mean, low, high, best = self._base, 0.0, math.inf, self._base
        scale = float(torch.linalg.vector_norm(self._base))
        if not scale > 0:
            return SmallestGradient(0.0, 0.0, self._network)
        for step in range(steps):
            size = float(torch.linalg.vector_norm(mean))
            if not size > 0:
                break
            h = mean / size
            added = self._sum(h)
            low = max(low, float(h @ added) - self._slack)  # a support function at a unit vector
            reached = max(0.0, float(torch.linalg.vector_norm(added)) - self._slack)
            if reached < high:
                high, best = reached, h
            if high - low <= rtol * scale:
                break
            ahead = mean - added
            share = 1.0 if step == 0 else float(((mean @ ahead) / (ahead @ ahead)).clamp(0.0, 1.0))
            mean = mean - share * ahead
        return SmallestGradient(min(low, high), high, self._attained(best))

    def _choice(self, h: Tensor) -> tuple[Bool[Tensor, " k"], Float[Tensor, " k"], Float[Tensor, " k"], Tensor]:
        """Which switchable neurons are on where h . gradient is least, and their moves along x and across it."""
        hx = float(h @ self._unit)
        across = h - hx * self._unit
        size = torch.linalg.vector_norm(across)
        # on: a move of at most r that leaves the neuron beyond the plane; along the circle the objective is convex
        least = (-self._along + _NUDGE * self._radius).clamp(max=self._radius)
        ahead = (-self._top.sign() * self._radius * hx).maximum(least)
        aside = (self._radius**2 - ahead**2).clamp(min=0.0).sqrt()
        value = self._top * (self._rows @ h + ahead * hx) - self._top.abs() * aside * size
        return value < 0, ahead, aside, across / size if size > 0 else across

    def _sum(self, h: Tensor) -> Tensor:
        """m^(-1/2) sum a_j w_j over the neurons on, the sure ones where they started."""
        on, ahead, aside, across = self._choice(h)
        top = self._top * on
        moved: Tensor = self._base + (top @ ahead) * self._unit - (top.abs() @ aside) * across
        return moved + top @ self._rows

    def _attained(self, h: Tensor) -> TwoLayer:
        """The network of that choice, its sure neurons moved against what is left."""
        on, ahead, aside, across = self._choice(h)
        network, left = self._network, self._sum(h)
        size = float(torch.linalg.vector_norm(left))
        W = network.W.clone()
        if size > 0:
            share = min(1.0, size / self._slack) if self._slack > 0 else 0.0
            W[self._sure] -= share * self._radius * torch.outer(network.a[self._sure].sign(), left / size)
        # a neuron that is to be off: the nearest point where it is, whatever the rounding
        off = -(self._along + _NUDGE * self._radius).clamp(min=0.0, max=self._radius)
        shift = torch.where(on, ahead, off)
        turn = torch.where(on, -self._top.sign() * aside, 0.0)
        W[self._free] = self._rows + torch.outer(shift, self._unit) + torch.outer(turn, across)
        moved = TwoLayer(W, network.a, None, network.output_bias, network.activation, network.scaling)
        return self._ball.project(moved)
