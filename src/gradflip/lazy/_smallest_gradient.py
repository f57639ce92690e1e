"""How small the gradient at one input can get over the ball: Lemma 4.2 at its worst network, from both sides.

A neuron whose pre-activation is beyond its reach stays on or off, whatever it does; if on, it can take r |a_j| from the
gradient in any direction, and all of them together exactly sum r |a_j| / sqrt m. The others may be switched. Each adds
one of a set of vectors, so the gradient ranges over a sum of sets: the linear minimum over it is a sum of closed forms,
which bounds its norm from below, and the network that attains it bounds it from above. Frank-Wolfe steps bring the two
together; as there are many more neurons than dimensions they nearly meet (Shapley and Folkman). Where the gradient can
nearly vanish, neurons are switched one at a time instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gradflip.lazy._ball import LazyBall
from gradflip.networks import TwoLayer

_NUDGE = 1e-9  # of the radius: relu'(0) is 0, so a neuron must be beyond 0 to be on


@dataclass(frozen=True, eq=False)
class SmallestGradient:
    """The smallest norm of grad f(x; W) over the ball, bracketed.

    Attributes:
        low: No network of the ball has less, up to rounding.
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


class _Choice(NamedTuple):
    """Which switchable neurons are on, and how far those move along x and across it."""

    on: Bool[Tensor, " k"]
    ahead: Float[Tensor, " k"]
    aside: Float[Tensor, " k"]
    across: Float[Tensor, " d"]


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
        mean, low = self._base, 0.0
        share_on = (self._along > 0).to(self._base.dtype)
        best = self._plain(self._along > 0)
        high = self._left(self._sum(best))
        scale = max(float(torch.linalg.vector_norm(self._base)), float(torch.linalg.vector_norm(self._sum(best))))
        for step in range(steps):
            size = float(torch.linalg.vector_norm(mean))
            if high - low <= rtol * scale or not size > 0:
                break
            choice = self._least(mean / size)
            added = self._sum(choice)
            low = max(low, float(mean @ added) / size - self._slack)  # a support function at a unit vector
            if (left := self._left(added)) < high:
                high, best = left, choice
            ahead = mean - added
            share = 1.0 if step == 0 else float(((mean @ ahead) / (ahead @ ahead)).clamp(0.0, 1.0))
            mean = mean - share * ahead
            share_on = share_on + share * (choice.on.to(share_on.dtype) - share_on)
        if high - low > rtol * scale:  # extreme choices overshoot where the gradient can nearly vanish
            for on in (best.on, share_on >= 0.5, self._along > 0):
                choice = self._toggled(on)
                if (left := self._left(self._sum(choice))) < high:
                    high, best = left, choice
        return SmallestGradient(low, high, self._attained(best))

    def _left(self, added: Tensor) -> float:
        """What the sure neurons cannot take away."""
        return max(0.0, float(torch.linalg.vector_norm(added)) - self._slack)

    def _least(self, h: Tensor) -> _Choice:
        """The choice whose sum has the least product with h."""
        hx = float(h @ self._unit)
        across = h - hx * self._unit
        size: Tensor = torch.linalg.vector_norm(across)
        # on: a move of at most r that leaves the neuron beyond the plane; along the circle the objective is convex
        ahead = (-self._top.sign() * self._radius * hx).maximum(self._threshold())
        aside = -self._top.sign() * (self._radius**2 - ahead**2).clamp(min=0.0).sqrt()
        value = self._top * (self._rows @ h + ahead * hx + aside * size)
        return _Choice(value < 0, ahead, aside, across / size if size > 0 else across)

    def _plain(self, on: Tensor) -> _Choice:
        """These neurons on, moved no further than it takes."""
        ahead = self._threshold().clamp(min=0.0)
        return _Choice(on, ahead, torch.zeros_like(ahead), torch.zeros_like(self._unit))

    def _toggled(self, on: Tensor) -> _Choice:
        """Switch one neuron at a time, that which helps most, until none does or enough is gone."""
        choice = self._plain(on.clone())
        terms = self._top[:, None] * (self._rows + torch.outer(choice.ahead, self._unit))
        sizes, added = terms.square().sum(dim=1), self._sum(choice)
        for _ in range(len(on)):
            if not self._left(added) > 0:
                break
            sign = torch.where(choice.on, -1.0, 1.0)
            change = 2 * sign * (terms @ added) + sizes  # of |added|^2
            j = int(change.argmin())
            if not float(change[j]) < -1e-12 * float(sizes[j]):
                break
            added = added + sign[j] * terms[j]
            choice.on[j] = ~choice.on[j]
        return choice

    def _threshold(self) -> Tensor:
        """The least move along x that leaves a neuron on."""
        least: Tensor = (-self._along + _NUDGE * self._radius).clamp(max=self._radius)
        return least

    def _sum(self, choice: _Choice) -> Tensor:
        """m^(-1/2) sum a_j w_j over the neurons on, the sure ones where they started."""
        top = self._top * choice.on
        moved: Tensor = self._base + (top @ choice.ahead) * self._unit + (top @ choice.aside) * choice.across
        return moved + top @ self._rows

    def _attained(self, choice: _Choice) -> TwoLayer:
        """The network of that choice, its sure neurons moved against what is left."""
        network, left = self._network, self._sum(choice)
        size = float(torch.linalg.vector_norm(left))
        W = network.W.clone()
        if size > 0 and self._slack > 0:
            share = min(1.0, size / self._slack)
            W[self._sure] -= share * self._radius * torch.outer(network.a[self._sure].sign(), left / size)
        # a neuron that is to be off: the nearest point where it is, whatever the rounding
        off = -(self._along + _NUDGE * self._radius).clamp(min=0.0, max=self._radius)
        shift = torch.where(choice.on, choice.ahead, off)
        turn = torch.where(choice.on, choice.aside, 0.0)
        W[self._free] = self._rows + torch.outer(shift, self._unit) + torch.outer(turn, choice.across)
        moved = TwoLayer(W, network.a, None, network.output_bias, network.activation, network.scaling)
        return self._ball.project(moved)
