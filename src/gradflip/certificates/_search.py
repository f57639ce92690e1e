"""Search for an input that no network of the ball gets right: projected gradient descent on M(x) = max y f(x; W).

M is differentiable almost everywhere, with the gradient of y f at the network that attains it (Danskin), whose neurons
depend on x: y m^(-1/2) sum_j a_j sigma'(v_j) (w_(j,0) + t_j r x / |x|), t_j = +-1 where the extreme over neuron j's
interval is at an end and 0, with sigma'(v_j), where it is inside.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from gradflip.certificates._upper_bound import RADIUS_SLACK
from gradflip.lazy._ball import LazyBall
from gradflip.lazy._extrema import peaks
from gradflip.rays import bends_at_zero, left_slopes

_HELD = 2**19  # pre-activations worked on at once: what stays in the cache
_LAST = 0.05  # length of the last step, in budgets
_CLEAR = 1e-4  # of what the ball can add to y f: a maximum so far below zero needs no more search


@final
class Lift:
    """M and its gradient for a block of inputs: two matrix products, in buffers that are used again.

    For a nondecreasing sigma v_j = w_j . x + y sign(a_j) r |x|: one more column in both products, sign(a_j) in W and
    y r |x| in x, holds all that is not a dot product.
    """

    def __init__(self, ball: LazyBall) -> None:
        network = ball.network0
        sigma = network.activation
        self.network, self.radius = network, ball.radius * (1 + RADIUS_SLACK)
        self.dtype = torch.float64 if network.W.dtype == torch.float64 else torch.float32
        W, a = network.W.to(self.dtype), network.a.to(self.dtype)
        signs = torch.where(a < 0, -1.0, 1.0).to(self.dtype)
        self._signs = signs
        self._bias = None if network.bias is None else network.bias.to(self.dtype)
        self._top = a / math.sqrt(network.width)
        far = torch.tensor([-1e3, 1e3], dtype=torch.float64)
        rising = sigma.turning == () and bool(sigma(far)[0] <= sigma(far)[1])
        self._rising, self._bent = rising, rising and bends_at_zero(sigma)
        self._W = torch.cat([W, signs[:, None]], dim=1) if rising else W
        self.rows = max(64, min(1024, _HELD // network.width)) if W.device.type == "cpu" else 2**14
        self._u, self._g, self._in = (W.new_empty(0, k) for k in (network.width, network.dim + 1, network.dim + 1))
        # the most that the ball can add, and what float32 may get wrong, for |x| = 1
        typical = math.sqrt(float((network.a.double()[:, None] * network.W).square().mean()))
        lift = ball.radius * float(network.a.double().abs().sum()) / math.sqrt(network.width)
        self.noise = 1e-5 * typical
        self.clear = _CLEAR * lift + self.noise

    def lengths(self, x: Tensor) -> Tensor:
        """|x|, with the one for biases."""
        size = torch.linalg.vector_norm(x, dim=1)
        return size if self._bias is None else torch.hypot(size, torch.ones_like(size))

    def __call__(self, x: Tensor, y: Tensor, *, last: bool = False) -> tuple[Tensor, Tensor]:
        """M `(n,)` and its gradient `(n, d)`, which the next call overwrites; only M is asked of the last."""
        n, d = x.shape
        if len(self._u) < n:
            self._u, self._g, self._in = (old.new_empty(n, old.shape[1]) for old in (self._u, self._g, self._in))
        if not self._rising:
            return self._turning(x, y)
        sigma, u, g, inputs = self.network.activation, self._u[:n], self._g[:n], self._in[:n]
        length = self.lengths(x)
        inputs[:, :d] = x
        torch.mul(length, y * self.radius, out=inputs[:, d])
        self._product(inputs, u)
        constant = self.network.output_bias or 0.0
        if self._bent:
            left_slopes(sigma, u, u).mul_(self._top)
            torch.mm(u, self._W, out=g)
            value = torch.linalg.vecdot(g, inputs)  # sigma(v) = v sigma'(v)
            if self._bias is not None:
                value += u @ self._bias
        else:
            value = sigma(u) @ self._top
            if last:
                return y * (value + constant), g[:, :d]
            torch.mm(sigma.derivative(u).mul_(self._top), self._W, out=g)
        return y * (value + constant), self._combine(g[:, :d], g[:, d], x, y, length)

    def _turning(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The same for any sigma whose turning points are known."""
        sigma, u = self.network.activation, self._u[: len(x)]
        length = self.lengths(x)
        reach = (self.radius * length)[:, None]
        self._product(x, u)
        low, high = u - reach, u + reach
        best, place = peaks(sigma, low, high, torch.outer(y, self._signs))
        value = best @ self._top.abs() + y * (self.network.output_bias or 0.0)
        t = (place == high).to(self.dtype) - (place == low).to(self.dtype)
        slopes = sigma.derivative(place).mul_(self._top).mul_(t.abs())
        g = torch.mm(slopes, self._W)
        return value, self._combine(g, y * (slopes * t).sum(1), x, y, length)

    def _product(self, inputs: Tensor, out: Tensor) -> None:
        if self._bias is None:
            torch.mm(inputs, self._W.mT, out=out)
        else:
            torch.addmm(self._bias, inputs, self._W.mT, out=out)

    def _combine(self, g: Tensor, pulled: Tensor, x: Tensor, y: Tensor, length: Tensor) -> Tensor:
        """Y times the part of W, and the part of r |x|."""
        g.mul_(y[:, None])
        along = torch.where(length > 0, pulled * self.radius / length, 0.0)
        return g.addcmul_(x, along[:, None])


def ray_start(lift: Lift, x: Tensor, y: Tensor, epsilon: Tensor) -> Tensor:
    """Where every search begins: -y epsilon grad f(x; W_0) / |grad f(x; W_0)|.

    Args:
        lift: Gives the network and the type of the search.
        x: Inputs, in that type.
        y: Labels.
        epsilon: Length for every input.

    Returns:
        Perturbations, 0 where the gradient is.
    """
    g = lift.network.gradient(x).to(lift.dtype)
    norm = torch.linalg.vector_norm(g, dim=1)
    return g * torch.where(norm > 0, -y * epsilon / norm, 0.0)[:, None]


def descend(
    lift: Lift, x: Tensor, y: Tensor, epsilon: Tensor, p: Tensor, steps: int, *, first: float = 5.0, stop: bool = True
) -> tuple[Tensor, Tensor]:
    """The perturbation of the smallest M on the way of projected gradient descent, and that M.

    p <- p - share epsilon grad M / |grad M|, drawn onto the ball of radius epsilon, `share` falling geometrically from
    `first` to 0.05. M is almost linear in x, so that steps longer than the ball is wide, towards the opposite of the
    latest gradient, lead further than short ones; the last ones settle what the long ones leave open.

    Args:
        lift: M.
        x: Inputs, in the type of the search.
        y: Labels.
        epsilon: Budget of every input.
        p: Starts.
        steps: How many steps.
        first: Length of the first step in budgets; about 1 where the start is good already.
        stop: Whether a row ends where M is clearly below zero.

    Returns:
        Perturbations within the budget, and M.

    Shape:
        x, p `(n, d)`, y, epsilon `(n,)`. Two matrix products a step, and memory for a block of inputs.
    """
    found, lowest = torch.empty_like(p), torch.empty_like(y)
    for start in range(0, len(x), lift.rows):
        i = slice(start, start + lift.rows)
        found[i], lowest[i] = _descend_block(lift, x[i], y[i], epsilon[i], p[i], steps, first, stop)
    return found, lowest


def _descend_block(
    lift: Lift, x: Tensor, y: Tensor, epsilon: Tensor, p: Tensor, steps: int, first: float, stop: bool
) -> tuple[Tensor, Tensor]:
    best_p, best = p.clone(), torch.full_like(y, torch.inf)
    clear = -lift.clear * lift.lengths(x)
    live = torch.arange(len(x), device=x.device)
    at = torch.empty_like(x)
    for k in range(steps + 1):
        value, g = lift(torch.add(x, p, out=at[: len(x)]), y, last=k == steps)
        better = value < best[live]
        into = live[better]
        best[into], best_p[into] = value[better], p[better]
        if k == steps:
            break
        on = best[live] > clear
        count = int(on.sum()) if stop else len(x)
        if count < len(x):  # a row that is done is worth no more products
            if not count:
                break
            rest = on.nonzero()[:, 0]
            live, x, y, p, g, epsilon, clear = (part[rest] for part in (live, x, y, p, g, epsilon, clear))
        share = first * (_LAST / first) ** (k / max(1, steps - 1))
        norm = torch.linalg.vector_norm(g, dim=1)
        p = p.addcmul_(g, torch.where(norm > 0, -share * epsilon / norm, 0.0)[:, None])
        size = torch.linalg.vector_norm(p, dim=1)
        p.mul_((epsilon / size).clamp(max=1.0).nan_to_num(1.0)[:, None])
    return best_p, best
