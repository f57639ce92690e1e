"""Search for an input that every network of the ball misclassifies: projected gradient descent on M(x) = max y f(x; W).

M is differentiable almost everywhere. By Danskin's theorem its gradient is that of y f at the network that attains the
maximum, whose neurons depend on x: y m^(-1/2) sum_j a_j sigma'(v_j) (w_(j,0) + t_j r x / |x|), where t_j = +-1 if the
extreme over neuron j's interval is at an end, and sigma'(v_j) = 0 if it is inside.

Source: docs/mathematics/certificates.md, "Search".
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from gradflip.certificates._upper_bound import RADIUS_SLACK
from gradflip.lazy._ball import LazyBall
from gradflip.lazy._extrema import maxima

_HELD = 2**19  # pre-activations per block, so that they stay in the cache
_LAST = 0.05  # length of the last step, in budgets
_CLEAR = 1e-4  # share of what the ball can add to y f: a maximum that far below zero needs no further search


@final
class MaxMargin:
    """M, the largest margin over the ball, and its gradient for a block of inputs: two products in reused buffers.

    For a nondecreasing sigma, v_j = w_j . x + y sign(a_j) r |x|: one more column in both products, sign(a_j) in W and
    y r |x| in x, holds everything that is not a dot product.

    Attributes:
        network: The ball's centre.
        radius: The radius, enlarged as in the proof.
        dtype: The type of the search.
        block: Number of inputs per call.
        noise: What float32 may get wrong in M, for |x| = 1.
        clear: How far below zero M must be to end the search of a point, for |x| = 1.
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
        self._rising, self._bent = rising, rising and sigma.bends_at_zero
        self._W = torch.cat([W, signs[:, None]], dim=1) if rising else W
        self.block = max(64, min(1024, _HELD // network.width)) if W.device.type == "cpu" else 2**14
        self._u, self._g, self._in = (W.new_empty(0, k) for k in (network.width, network.dim + 1, network.dim + 1))
        # for |x| = 1: what float32 may get wrong, and a share of the most that the ball can add
        typical = math.sqrt(float((network.a.double()[:, None] * network.W).square().mean()))
        rise = ball.radius * float(network.a.double().abs().sum()) / math.sqrt(network.width)
        self.noise = 1e-5 * typical
        self.clear = _CLEAR * rise + self.noise

    def norms(self, x: Tensor) -> Tensor:
        """|x|, or sqrt(|x|^2 + 1) where there are biases."""
        norm = torch.linalg.vector_norm(x, dim=1)
        return norm if self._bias is None else torch.hypot(norm, torch.ones_like(norm))

    def __call__(self, x: Tensor, y: Tensor, *, last: bool = False) -> tuple[Tensor, Tensor]:
        """M `(n,)` and its gradient `(n, d)`, which the next call overwrites; of the last call only M is used."""
        n, d = x.shape
        if len(self._u) < n:
            self._u, self._g, self._in = (old.new_empty(n, old.shape[1]) for old in (self._u, self._g, self._in))
        if not self._rising:
            return self._turning(x, y)
        sigma, u, g, inputs = self.network.activation, self._u[:n], self._g[:n], self._in[:n]
        norm = self.norms(x)
        inputs[:, :d] = x
        torch.mul(norm, y * self.radius, out=inputs[:, d])
        self._product(inputs, u)
        constant = self.network.output_bias or 0.0
        if self._bent:
            sigma.left_slopes(u, u).mul_(self._top)
            torch.mm(u, self._W, out=g)
            value = torch.linalg.vecdot(g, inputs)  # sigma(v) = v sigma'(v)
            if self._bias is not None:
                value += u @ self._bias
        else:
            value = sigma(u) @ self._top
            if last:
                return y * (value + constant), g[:, :d]
            torch.mm(sigma.derivative(u).mul_(self._top), self._W, out=g)
        return y * (value + constant), self._combine(g[:, :d], g[:, d], x, y, norm)

    def _turning(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """M and its gradient for any sigma whose turning points are known."""
        sigma, u = self.network.activation, self._u[: len(x)]
        norm = self.norms(x)
        reach = (self.radius * norm)[:, None]
        self._product(x, u)
        low, high = u - reach, u + reach
        best, place = maxima(sigma, low, high, torch.outer(y, self._signs))
        value = best @ self._top.abs() + y * (self.network.output_bias or 0.0)
        t = (place == high).to(self.dtype) - (place == low).to(self.dtype)
        slopes = sigma.derivative(place).mul_(self._top).mul_(t.abs())
        g = torch.mm(slopes, self._W)
        return value, self._combine(g, y * (slopes * t).sum(1), x, y, norm)

    def _product(self, inputs: Tensor, out: Tensor) -> None:
        if self._bias is None:
            torch.mm(inputs, self._W.mT, out=out)
        else:
            torch.addmm(self._bias, inputs, self._W.mT, out=out)

    def _combine(self, g: Tensor, along_x: Tensor, x: Tensor, y: Tensor, norm: Tensor) -> Tensor:
        """Y times the part of W, plus the part of r |x|."""
        g.mul_(y[:, None])
        along = torch.where(norm > 0, along_x * self.radius / norm, 0.0)
        return g.addcmul_(x, along[:, None])


def ray_start(margin: MaxMargin, x: Tensor, y: Tensor, epsilon: Tensor) -> Tensor:
    """The first start of every search: -y epsilon grad f(x; W_0) / |grad f(x; W_0)|.

    Args:
        margin: Provides the network and the type of the search.
        x: Inputs, in that type.
        y: Labels.
        epsilon: Length for every input.

    Returns:
        Perturbations; 0 where the gradient vanishes.
    """
    g = margin.network.gradient(x).to(margin.dtype)
    norm = torch.linalg.vector_norm(g, dim=1)
    return g * torch.where(norm > 0, -y * epsilon / norm, 0.0)[:, None]


def descend(
    margin: MaxMargin,
    x: Tensor,
    y: Tensor,
    epsilon: Tensor,
    p: Tensor,
    steps: int,
    *,
    first: float = 5.0,
    stop: bool = True,
) -> tuple[Tensor, Tensor]:
    """Minimise M by projected gradient descent; the best iterate of each input and its M.

    p <- p - share epsilon grad M / |grad M|, projected onto the ball of radius epsilon, with `share` falling
    geometrically from `first` to 0.05. M is almost linear in x, so that steps longer than the ball is wide, towards the
    opposite of the latest gradient, lead further than short ones; the last, short ones refine the result.

    Args:
        margin: M.
        x: Inputs, in the type of the search.
        y: Labels.
        epsilon: Budget of every input.
        p: Starts.
        steps: Number of steps.
        first: Length of the first step in budgets; about 1 if the start is good already.
        stop: Whether the search of an input ends once M is clearly below zero.

    Returns:
        Perturbations within the budget, and M.

    Shape:
        x, p `(n, d)`, y, epsilon `(n,)`. Two matrix products per step, and memory for a block of inputs.
    """
    best, lowest = torch.empty_like(p), torch.empty_like(y)
    for start in range(0, len(x), margin.block):
        i = slice(start, start + margin.block)
        best[i], lowest[i] = _descend_block(margin, x[i], y[i], epsilon[i], p[i], steps, first, stop)
    return best, lowest


def _descend_block(
    margin: MaxMargin, x: Tensor, y: Tensor, epsilon: Tensor, p: Tensor, steps: int, first: float, stop: bool
) -> tuple[Tensor, Tensor]:
    best_p, best = p.clone(), torch.full_like(y, torch.inf)
    clear = -margin.clear * margin.norms(x)
    live = torch.arange(len(x), device=x.device)
    at = torch.empty_like(x)
    for k in range(steps + 1):
        value, g = margin(torch.add(x, p, out=at[: len(x)]), y, last=k == steps)
        better = value < best[live]
        into = live[better]
        best[into], best_p[into] = value[better], p[better]
        if k == steps:
            break
        on = best[live] > clear
        count = int(on.sum()) if stop else len(x)
        if count < len(x):  # no more products for inputs that are done
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
