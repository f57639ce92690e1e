"""How small the gradient at an input can get over the ball (Lemma 4.2 at its worst network), from both sides.

A neuron whose pre-activation is further from 0 than it can move stays on or off. If on, it can take r |a_j| / sqrt m
from the gradient in any direction, and all such neurons together can take any vector of length up to their sum S. The
other neurons may be switched. Each neuron adds one vector of a set, so the gradient ranges over a sum of sets:

1. The minimum of h . v over the sum, for a unit vector h, is a sum of closed forms. Less S, it bounds |g| from below.
2. The network that attains the minimum bounds the smallest |g| from above.
3. Frank-Wolfe steps on |v|^2 choose h along the current mean and bring both bounds together; with many more neurons
   than dimensions they nearly meet, since a sum of many sets is nearly convex (Shapley and Folkman).
4. Where the gradient can nearly vanish, extreme points overshoot, and neurons are switched one at a time instead.

Source: Wang et al. (2022), Lemma 4.2; docs/mathematics/lazy-training.md, "Lemma 4.2, the gradient".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.lazy._ball import LazyBall
from gradflip.lazy._rows import check_relu_without_biases
from gradflip.lazy._settings import check_count
from gradflip.networks import TwoLayer

_NUDGE = 1e-9  # of the radius: relu'(0) is 0, so a neuron must be beyond 0 to be on


@dataclass(frozen=True, eq=False)
class SmallestGradient:
    """Bounds of min |grad f(x; W)| over the ball.

    Attributes:
        low: No network of the ball has a smaller norm, up to rounding.
        high: The norm that `network` has.
        network: A network of the ball, in float64.
    """

    low: float
    high: float
    network: TwoLayer


def smallest_gradient(
    ball: LazyBall, x: Float[Tensor, " d"], *, steps: int = 40, rtol: float = 1e-3
) -> SmallestGradient:
    """The smallest |grad f(x; W)| over the ball, between two bounds.

    Args:
        ball: A ball around a relu network without biases.
        x: An input, not 0.
        steps: Upper limit of the Frank-Wolfe steps.
        rtol: The search ends when the bounds differ by less than this fraction of the gradient at the centre.

    Returns:
        Both bounds, and the network that attains the upper one.

    Raises:
        UsageError: If the centre is not relu or has biases, or the shape of x is wrong, or x is 0 or not finite.

    Shape:
        x `(d,)`. Two matrix products per step, of the neurons that can be switched only.

    Source: docs/mathematics/lazy-training.md, "Lemma 4.2, the gradient".
    """
    check_relu_without_biases(ball.network0, "smallest_gradient")
    check_count("steps", steps, least=0)
    if x.shape != (ball.network0.dim,) or not bool(x.isfinite().all()) or not bool(x.any()):
        raise UsageError(f"x must be finite, not 0 and of shape ({ball.network0.dim},), got shape {tuple(x.shape)}.")
    return _Switches(ball, x.to(torch.float64)).search(steps, rtol)


class _Choice(NamedTuple):
    """A choice for every switchable neuron.

    Attributes:
        on: Whether it is on.
        ahead: How far it moves along x, if on.
        aside: How far it moves along `across`, if on.
        across: A unit vector orthogonal to x.
    """

    on: Bool[Tensor, " k"]
    ahead: Float[Tensor, " k"]
    aside: Float[Tensor, " k"]
    across: Float[Tensor, " d"]


class _Switches:
    """The neurons that can be switched at an input, and the contribution of the others.

    `_sure` neurons are on in the whole ball: their sum at the centre is `_base`, of which they can take any vector of
    length up to `_slack`. `_free` neurons can be switched; `_rows`, `_along` and `_top` are theirs.
    """

    def __init__(self, ball: LazyBall, x: Tensor) -> None:
        self._ball, self._network = ball, ball.network0.to(dtype=torch.float64)
        W, a, self._radius = self._network.W, self._network.a, ball.radius
        length = torch.linalg.vector_norm(x)
        self._unit = x / length
        along = W @ self._unit  # signed distance of each neuron from the hyperplane where it switches
        root = math.sqrt(self._network.width)
        self._sure = along > self._radius
        self._free = along.abs() <= self._radius
        self._base = (a * self._sure) @ W / root
        self._slack = self._radius * float((a.abs() * self._sure).sum()) / root
        self._rows, self._along, self._top = W[self._free], along[self._free], a[self._free] / root

    def search(self, steps: int, rtol: float) -> SmallestGradient:
        """Frank-Wolfe on |v|^2 over the convex hull of all sums, keeping the best bound on either side."""
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
        """Norm that remains when the sure neurons take what they can."""
        return max(0.0, float(torch.linalg.vector_norm(added)) - self._slack)

    def _least(self, h: Tensor) -> _Choice:
        """The choice whose sum has the smallest product with h."""
        hx = float(h @ self._unit)
        across = h - hx * self._unit
        size: Tensor = torch.linalg.vector_norm(across)
        # if on: a move of at most r that leaves the neuron beyond its hyperplane; the objective is convex on the circle
        ahead = (-self._top.sign() * self._radius * hx).maximum(self._threshold())
        aside = -self._top.sign() * (self._radius**2 - ahead**2).clamp(min=0.0).sqrt()
        value = self._top * (self._rows @ h + ahead * hx + aside * size)
        return _Choice(value < 0, ahead, aside, across / size if size > 0 else across)

    def _plain(self, on: Tensor) -> _Choice:
        """The choice with these neurons on, each moved only as far as that takes."""
        ahead = self._threshold().clamp(min=0.0)
        return _Choice(on, ahead, torch.zeros_like(ahead), torch.zeros_like(self._unit))

    def _toggled(self, on: Tensor) -> _Choice:
        """Switch the neuron that reduces the norm most, one at a time, until none does or the norm can be 0."""
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
        """The smallest move along x after which a neuron is on."""
        least: Tensor = (-self._along + _NUDGE * self._radius).clamp(max=self._radius)
        return least

    def _sum(self, choice: _Choice) -> Tensor:
        """m^(-1/2) sum a_j w_j over the neurons that are on, the sure ones at the centre."""
        top = self._top * choice.on
        moved: Tensor = self._base + (top @ choice.ahead) * self._unit + (top @ choice.aside) * choice.across
        return moved + top @ self._rows

    def _attained(self, choice: _Choice) -> TwoLayer:
        """The network of a choice, with its sure neurons moved against the remaining gradient."""
        network, left = self._network, self._sum(choice)
        size = float(torch.linalg.vector_norm(left))
        W = network.W.clone()
        if size > 0 and self._slack > 0:
            share = min(1.0, size / self._slack)
            W[self._sure] -= share * self._radius * torch.outer(network.a[self._sure].sign(), left / size)
        # a neuron that is off: the nearest point where it surely is, with rounding
        off = -(self._along + _NUDGE * self._radius).clamp(min=0.0, max=self._radius)
        shift = torch.where(choice.on, choice.ahead, off)
        turn = torch.where(choice.on, choice.aside, 0.0)
        W[self._free] = self._rows + torch.outer(shift, self._unit) + torch.outer(turn, choice.across)
        moved = TwoLayer(W, network.a, None, network.output_bias, network.activation, network.scaling)
        return self._ball.project(moved)
