"""Flips of networks at random initialisation: through products only, exact for two layers, bracketed for deep ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.gaussian import RandomNetwork, TwoLayerDraws
from gradflip.networks import Activation
from gradflip.rays._bracketed import Bracketed, bracket
from gradflip.rays._newton import CertifiedNewton
from gradflip.rays._numba import bends_at_zero, kernels, serves
from gradflip.rays._piecewise import PiecewiseLinear
from gradflip.rays._ray import ROUNDING, Ray
from gradflip.rays._result import Certainty, Flip, FlipStatus

Finder = CertifiedNewton | PiecewiseLinear | Bracketed

_DEEP_RTOL = 1e-10  # points nearer than 1e-12 of their length are one to a matrix that is never built


def random_ray(network: RandomNetwork, x: Float[Tensor, "n d"]) -> Ray:
    """`gradient_ray` of a random network with one hidden layer.

    Args:
        network: A network with one hidden layer, not of several draws.
        x: Inputs.

    Returns:
        A `Ray`, one row per input, the same kind as of a network in memory.

    Raises:
        UsageError: If the network is deeper or of several draws, or x has the wrong shape or is not finite.

    Shape:
        x `(n, d)`. Two products with W and one with its transpose.
    """
    if network.depth > 1 or network.draws is not None:
        raise UsageError(
            f"a ray needs one network with one hidden layer, got widths {list(network.widths)} and "
            f"draws={network.draws}; flip and attack_steps take any."
        )
    u, v, value, norm = _along(network, x)
    return _ray(u, v, network.a, network.activation, value, norm, _lengths(x))


def flip_random(network: RandomNetwork, x: Tensor, finder: Finder | None) -> Flip:
    """`flip` of a random network.

    Args:
        network: Any depth, one network or several draws.
        x: Inputs, `(n, d)` or `(draws, n, d)`.
        finder: For one hidden layer; `None` for the best.

    Returns:
        A `Flip`, of several draws one draw after another: exact for one hidden layer and a piecewise-linear activation,
        else bracketed.

    Raises:
        UsageError: If x has the wrong shape or is not finite, or a finder is given for a deep network.
    """
    if not x.numel():
        raise UsageError("x must hold at least one input, got none.")
    if network.depth == 1:
        finder = finder or best_finder(network.activation, x.device)
        if network.draws is None:
            found = finder(random_ray(network, x))
        else:
            u, v, value, norm = _along(network, x)
            rows = zip(u, v, network.a, value, norm, x, strict=True)
            found = Flip.join([
                finder(_ray(u, v, a, network.activation, value, norm, _lengths(x))) for u, v, a, value, norm, x in rows
            ])
    else:
        if finder is not None and not isinstance(finder, Bracketed):
            raise UsageError(f"finder of a deep network must be Bracketed, got {type(finder).__name__}.")
        found = _flip_deep(network, x, finder or Bracketed(rtol=_DEEP_RTOL))
    kind = "implicit weights" if network.implicit else "explicit weights"
    return found.with_method(f"{found.method}, {kind}: {float(found.passes.double().mean()):.2f} passes a row")


def flip_draws(draws: TwoLayerDraws) -> Flip:
    """The flips of independent random two-layer networks, each at its one input.

    Args:
        draws: As `draw_two_layer` gives them.

    Returns:
        A `Flip`, one entry per draw; exact for piecewise-linear activations, else bracketed.

    Shape:
        Time O(m) per draw, whatever d.
    """
    finder = best_finder(draws.sigma, draws.u.device)
    x_norm = torch.full((1,), math.sqrt(draws.dim), dtype=torch.float64)
    found = []
    for i in range(len(draws.value)):
        one = slice(i, i + 1)
        found.append(
            finder(
                _ray(
                    draws.u[one],
                    draws.v[one],
                    draws.a[i],
                    draws.sigma,
                    draws.value[one],
                    draws.gradient_norm[one],
                    x_norm,
                )
            )
        )
    return Flip.join(found)


def best_finder(sigma: Activation, device: torch.device) -> Finder:
    """The finder for rays of an activation.

    Args:
        sigma: The activation.
        device: Where the rays are.

    Returns:
        An exact one for piecewise-linear activations, else `Bracketed`.
    """
    if not sigma.piecewise_linear:
        return Bracketed()
    return CertifiedNewton() if serves(sigma, device) and kernels() is not None else PiecewiseLinear()


def _along(network: RandomNetwork, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """u, v, f and |g| of a network with one hidden layer."""
    value, g = network.value_and_gradient(x)
    (W,) = network.layers
    u = W.matvec(x.to(torch.float64))
    v = W.matvec(g * value.sign().unsqueeze(-1))
    return u, v, value, torch.linalg.vector_norm(g, dim=-1)


def _lengths(x: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(x, dim=-1, dtype=torch.float64)
    return lengths


def _ray(u: Tensor, v: Tensor, a: Tensor, sigma: Activation, value: Tensor, norm: Tensor, x_norm: Tensor) -> Ray:
    slope = -torch.where(value == 0, 0.0, norm.square()) if bends_at_zero(sigma) else None
    return Ray(u, v, a, 0.0, sigma, value, norm, x_norm, slope)


@dataclass(frozen=True)
class _NetworkRays:
    """Rays of a network of any depth, known by forward passes; what `bracket` needs of a `Ray`."""

    network: RandomNetwork
    x: Tensor
    direction: Tensor
    value: Tensor
    gradient_norm: Tensor
    index: Tensor

    def rows(self, index: Tensor) -> _NetworkRays:
        own = self.value[index], self.gradient_norm[index], self.index[index]
        return _NetworkRays(self.network, self.x, self.direction, *own)

    def phi(self, s: Tensor) -> Tensor:
        """sign(f(x)) f(x(s)): of several draws all rows are asked, since their products are taken together."""
        if self.network.draws is None:
            x, direction, steps = self.x[self.index], self.direction[self.index], s
        else:
            steps = s.new_zeros(self.x.shape[:-1].numel())
            steps[self.index] = s
            steps, x, direction = steps.reshape(self.x.shape[:-1]), self.x, self.direction
        along = self.network(x - steps.unsqueeze(-1) * direction).reshape(-1)
        own = along if self.network.draws is None else along[self.index]
        return self.value.sign() * own

    def rounding(self, s: Tensor) -> Tensor:
        return ROUNDING * (self.value.abs() + s * self.gradient_norm**2)


def _flip_deep(network: RandomNetwork, x: Tensor, finder: Bracketed) -> Flip:
    value, g = network.value_and_gradient(x)
    norm = torch.linalg.vector_norm(g, dim=-1).reshape(-1)
    x_norm = _lengths(x).reshape(-1)
    direction = g.mul_(value.sign().unsqueeze(-1))
    value = value.reshape(-1)
    rays = _NetworkRays(network, x.to(torch.float64), direction, value, norm, torch.arange(len(value)))
    boundary, flat = value == 0, norm == 0
    live = (~(boundary | flat)).nonzero()[:, 0]
    found, lo, hi, passes = bracket(rays.rows(live), finder)
    status = torch.where(boundary, FlipStatus.BOUNDARY, torch.where(flat, FlipStatus.FLAT, FlipStatus.NOT_FOUND))
    status = status.to(torch.int8)
    status[live[found]] = FlipStatus.FLIPPED
    certainty = torch.full_like(status, Certainty.EXACT)
    certainty[live] = Certainty.BRACKETED
    lower = torch.where(boundary, 0.0, torch.full_like(value, torch.inf))
    upper = lower.clone()
    lower[live[found]], upper[live[found]] = lo, hi
    counts = torch.full_like(status, passes, dtype=torch.int32)
    method = f"bracketed (rtol {finder.rtol:g}), float64"
    return Flip(upper.clone(), norm, x_norm, value, status, certainty, lower, upper, counts, method)
