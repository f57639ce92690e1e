"""Flips of random networks through products only: exact for two layers, bracketed for deep networks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from gradflip._checks import array
from gradflip._errors import UsageError
from gradflip.gaussian import RandomNetwork, TwoLayerDraws
from gradflip.networks import Activation
from gradflip.rays._abstract import AbstractRay
from gradflip.rays._bracketed import Bracketed
from gradflip.rays._kinds import Finder, flips, rays
from gradflip.rays._newton import CertifiedNewton
from gradflip.rays._numba import kernels, serves
from gradflip.rays._piecewise import PiecewiseLinear
from gradflip.rays._ray import ROUNDING, Ray
from gradflip.rays._result import Flip

_DEEP_RTOL = 1e-10  # an implicit matrix identifies points within 1e-12 of their length


@rays.register
def _(network: RandomNetwork, x: Tensor) -> Ray:
    """The rays of a network with one hidden layer: two products with W and one with its transpose."""
    if network.depth > 1 or network.draws is not None:
        raise UsageError(
            f"a ray needs one network with one hidden layer, got widths {list(network.widths)} and "
            f"draws={network.draws}; flip and attack_steps take any."
        )
    (ray,) = _shallow_rays(network, array("x", x))
    return ray


@flips.register
def _(network: RandomNetwork, x: Tensor, finder: Finder | None, block: int | None) -> Flip:
    """Exact for one hidden layer and a piecewise-linear activation, else bracketed; one draw after another."""
    if block is not None or not isinstance(finder, CertifiedNewton | PiecewiseLinear | Bracketed | None):
        raise UsageError("block and finders of one's own are not for a RandomNetwork; leave them out.")
    x = array("x", x)
    if not x.numel():
        raise UsageError("x must hold at least one input, got none.")
    weights = "implicit" if network.implicit else "explicit"
    if network.depth == 1:
        finder = finder or best_finder(network.activation, x.device)
        return replace(Flip.join([finder(ray) for ray in _shallow_rays(network, x)]), weights=weights)
    if finder is not None and not isinstance(finder, Bracketed):
        raise UsageError(f"finder of a deep network must be Bracketed, got {type(finder).__name__}.")
    search = finder or Bracketed(rtol=_DEEP_RTOL)
    return replace(search(_DeepRay.of(network, x)), dtype=torch.float64, weights=weights)


def flip_draws(draws: TwoLayerDraws) -> Flip:
    """The flips of independent random two-layer networks, each at its one input.

    Args:
        draws: Networks from `draw_two_layer`.

    Returns:
        A `Flip`, one entry per draw; exact for piecewise-linear activations, else bracketed.

    Shape:
        Time O(m) per draw, for any d.
    """
    finder = best_finder(draws.sigma, draws.u.device)
    x_norm = torch.full((1,), math.sqrt(draws.dim), dtype=torch.float64)
    parts = []
    for i, a in enumerate(draws.a):
        u, v, value, norm = (part[i : i + 1] for part in (draws.u, draws.v, draws.value, draws.gradient_norm))
        parts.append(finder(_ray(u, v, a, draws.sigma, value, norm, x_norm)))
    return Flip.join(parts)


def best_finder(sigma: Activation, device: torch.device) -> CertifiedNewton | PiecewiseLinear | Bracketed:
    """The finder for rays of an activation.

    Args:
        sigma: The activation.
        device: Device of the rays.

    Returns:
        An exact one for piecewise-linear activations, else `Bracketed`.
    """
    if not sigma.piecewise_linear:
        return Bracketed()
    return CertifiedNewton() if serves(sigma, device) and kernels() is not None else PiecewiseLinear()


def _shallow_rays(network: RandomNetwork, x: Tensor) -> list[Ray]:
    """The rays of a network with one hidden layer, one batch per draw."""
    value, g = network.value_and_gradient(x)
    (W,) = network.layers
    u = W.matvec(x.to(torch.float64))
    v = W.matvec(g * value.sign().unsqueeze(-1))
    norm = torch.linalg.vector_norm(g, dim=-1)
    if network.draws is None:
        return [_ray(u, v, network.a, network.activation, value, norm, _lengths(x))]
    draws = zip(u, v, network.a, value, norm, x, strict=True)
    return [_ray(u, v, a, network.activation, value, norm, _lengths(x)) for u, v, a, value, norm, x in draws]


def _lengths(x: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(x, dim=-1, dtype=torch.float64)
    return lengths


def _ray(u: Tensor, v: Tensor, a: Tensor, sigma: Activation, value: Tensor, norm: Tensor, x_norm: Tensor) -> Ray:
    slope = -torch.where(value == 0, 0.0, norm.square()) if sigma.bends_at_zero else None
    return Ray(u, v, a, 0.0, sigma, value, norm, x_norm, slope)


@final
@dataclass(frozen=True, eq=False)
class _DeepRay(AbstractRay):
    """Rays of a random network of any depth, evaluated by forward and backward passes.

    Attributes:
        network: The network.
        x: All inputs, also of excluded rows.
        direction: sign(f(x)) g.
        value: f(x).
        gradient_norm: |g|.
        input_norm: |x|.
        index: Positions of the rows among all inputs.
    """

    network: RandomNetwork
    x: Tensor
    direction: Tensor
    value: Tensor
    gradient_norm: Tensor
    input_norm: Tensor
    index: Tensor

    @staticmethod
    def of(network: RandomNetwork, x: Tensor) -> _DeepRay:
        value, g = network.value_and_gradient(x)
        norm = torch.linalg.vector_norm(g, dim=-1).reshape(-1)
        direction = g.mul_(value.sign().unsqueeze(-1))
        index = torch.arange(value.numel())
        inputs = x.to(torch.float64)
        return _DeepRay(network, inputs, direction, value.reshape(-1), norm, _lengths(x).reshape(-1), index)

    def rows(self, index: Tensor) -> _DeepRay:
        own = self.value[index], self.gradient_norm[index], self.input_norm[index], self.index[index]
        return _DeepRay(self.network, self.x, self.direction, *own)

    def phi(self, s: Tensor) -> Tensor:
        return self.value.sign() * self._own(self.network(self._moved(s)).reshape(-1))

    def slope(self, s: Tensor) -> Tensor:
        _, g = self.network.value_and_gradient(self._moved(s))
        falls = self._own(g.reshape(-1, self.network.dim)) * self.direction.reshape(-1, self.network.dim)[self.index]
        return -self.value.sign() * falls.sum(dim=-1)

    def rounding(self, s: Tensor) -> Tensor:
        return ROUNDING * (self.value.abs() + s * self.gradient_norm**2)

    def bend(self) -> None:
        return None

    def _moved(self, s: Tensor) -> Tensor:
        """x(s); with several draws for all rows, since their products are taken together."""
        if self.network.draws is None:
            return self.x[self.index] - s.unsqueeze(-1) * self.direction[self.index]
        steps = s.new_zeros(self.x.shape[:-1].numel())
        steps[self.index] = s
        return self.x - steps.reshape(self.x.shape[:-1]).unsqueeze(-1) * self.direction

    def _own(self, rows: Tensor) -> Tensor:
        return rows if self.network.draws is None else rows[self.index]
