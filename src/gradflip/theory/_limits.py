"""Limits of a random network's value, gradient and smallest flipping step as its sizes grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._checks import positive, positive_int
from gradflip._errors import UsageError
from gradflip.networks import Activation, activation

# The tails beyond hold 1e-38 of the mass of Z and 2e-17 of E |Z|^40: negligible under polynomial growth.
_REACH = 13.0
# On panels of half-width 1/2, in z and in the argument, the error of 20 nodes is (h + sqrt(h^2 + 1))^-40 for a
# pole at a distance of h half-widths from the real axis: 5e-16 at distance 1/2, 4e-33 at pi/2, the distance for tanh.
_NODES = 20
_LARGEST_SCALE = 1e5  # panels narrow as the scale grows; at this one the quadrature takes seconds
_BLOCK_ROWS = 2**14  # panels


@dataclass(frozen=True)
class Limits:
    """The law of f(x), of its gradient g, and of the smallest flipping step s*, as dimension and widths go to infinity.

    Inputs have norm sqrt d, first-layer weights variance `weight_variance` / d, top weights mean 0 and variance 1. In
    the limit f(x) is N(0, nu^2), |g| is tau, and f decreases towards 0 by tau^2 per unit of step.

    Attributes:
        nu: Limit standard deviation of f(x).
        tau: Limit of |g|.
        variances: Variances of the pre-activations, q_1, ..., q_L, one per hidden layer.

    Source: Montanari & Wu (2022); docs/mathematics/random-networks.md, "Limits".
    """

    nu: float
    tau: float
    variances: tuple[float, ...]

    @overload
    def flip_probability(self, s: float) -> float: ...
    @overload
    def flip_probability(self, s: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]: ...
    def flip_probability(self, s: float | Float[Tensor, "*shape"]) -> float | Float[Tensor, "*shape"]:
        """2 Phi(s tau^2 / nu) - 1, the limit probability that a step s along the gradient flips the sign of f.

        Args:
            s: Multiples of the gradient, at least 0; inf is allowed.

        Returns:
            The probability; of a tensor, elementwise and in float64.

        Raises:
            UsageError: If s is negative or NaN.

        Source: Montanari & Wu (2022); docs/mathematics/random-networks.md, "Limits".
        """
        step = torch.as_tensor(s, dtype=torch.float64)
        if not bool((step >= 0).all()):
            raise UsageError(f"s must be at least 0, got {float(step[~(step >= 0)].flatten()[0])}.")
        chance = torch.erf(step * (self.tau / self.nu * self.tau / math.sqrt(2)))
        return chance if isinstance(s, Tensor) else float(chance)

    @overload
    def step_quantile(self, p: float) -> float: ...
    @overload
    def step_quantile(self, p: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]: ...
    def step_quantile(self, p: float | Float[Tensor, "*shape"]) -> float | Float[Tensor, "*shape"]:
        """Quantile of the limit law of s*, that of (nu / tau^2) |Z|: the inverse of `flip_probability`.

        Args:
            p: Levels, above 0 and below 1.

        Returns:
            The quantile; of a tensor, elementwise and in float64.

        Raises:
            UsageError: If a level is not between 0 and 1.

        Source: Montanari & Wu (2022); docs/mathematics/random-networks.md, "Limits".
        """
        quantile = self.nu / self.tau / self.tau * _half_normal_quantile(p)
        return quantile if isinstance(p, Tensor) else float(quantile)

    @overload
    def relative_quantile(self, p: float) -> float: ...
    @overload
    def relative_quantile(self, p: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]: ...
    def relative_quantile(self, p: float | Float[Tensor, "*shape"]) -> float | Float[Tensor, "*shape"]:
        """Quantile of the limit law of rho sqrt d, that of (nu / tau) |Z|, where rho is |s* g| / |x|.

        Args:
            p: Levels, above 0 and below 1.

        Returns:
            The quantile; of a tensor, elementwise and in float64.

        Raises:
            UsageError: If a level is not between 0 and 1.

        Source: Montanari & Wu (2022); docs/mathematics/random-networks.md, "Limits".
        """
        quantile = self.nu / self.tau * _half_normal_quantile(p)
        return quantile if isinstance(p, Tensor) else float(quantile)


def limits(activation: str | Activation = "relu", depth: int = 1, weight_variance: float = 1.0) -> Limits:
    """The limits of a random network without biases whose top weights have mean 0 and variance 1.

    With c the weight variance, q_1 = c and q_(l+1) = c E sigma(sqrt(q_l) Z)^2 for Z ~ N(0, 1); nu^2 is
    E sigma(sqrt(q_L) Z)^2, and tau^2 the product of c E sigma'(sqrt(q_l) Z)^2 over the layers.

    Args:
        activation: sigma, by name or as an `Activation`.
        depth: Number L of hidden layers; a two-layer network has one.
        weight_variance: Variance of the weights of a hidden layer times the number of its inputs.

    Returns:
        The `Limits`, to a relative error of about 1e-14 for the built-in activations.

    Raises:
        UsageError: If the activation is unknown, depth or variance is out of range, or nu or tau is zero or infinite.

    Source: Montanari & Wu (2022); docs/mathematics/random-networks.md, "Limits".
    """
    sigma = _activation(activation)
    depth = positive_int("depth", depth, hint="; a two-layer network has depth 1")
    weight_variance = positive(
        "weight_variance", weight_variance, hint="; 1 is usual, and 2 keeps the variances of relu layers"
    )

    def existing(quantity: str, value: float) -> float:
        if not 0 < value < math.inf:
            raise UsageError(
                f"activation {sigma.name!r} must have positive and finite limits, got {quantity} = {value} with "
                f"depth={depth} and weight_variance={weight_variance}; take an activation that is not constant, or a "
                "variance nearer 1."
            )
        return value

    variances: list[float] = []
    nu2, tau2 = 1.0, 1.0  # |x|^2 / d, and the empty product
    for layer in range(1, depth + 1):
        variances.append(existing(f"the variance q_{layer}", weight_variance * nu2))
        nu2 = existing(f"nu^2 after layer {layer}", _mean_square(sigma.function, sigma, variances[-1]))
        slope2 = _mean_square(sigma.derivative, sigma, variances[-1])
        tau2 = existing(f"tau^2 after layer {layer}", tau2 * weight_variance * slope2)
    return Limits(math.sqrt(nu2), math.sqrt(tau2), tuple(variances))


def gaussian_mean(function: Callable[[Tensor], Tensor], *, kinks: Sequence[float] = (), scale: float = 1.0) -> float:
    """E function(scale Z) for Z ~ N(0, 1), by Gauss-Legendre quadrature on panels that end at kinks.

    Args:
        function: Elementwise, in float64; between kinks it varies smoothly on the scale of 1 in its argument, and it
            grows at most polynomially.
        kinks: Arguments at which the function or a derivative jumps.
        scale: Standard deviation of the argument, above 0 and at most 1e5.

    Returns:
        The mean, to about 1e-14 of E |function(scale Z)|, provided that poles are at least 1/2 away from the real axis.

    Raises:
        UsageError: If the scale is not in that range.
    """
    if not 0 < scale <= _LARGEST_SCALE:
        raise UsageError(f"scale must be positive and at most {_LARGEST_SCALE:.0f}, got {scale}; rescale the function.")
    nodes, weights = (torch.from_numpy(part) for part in np.polynomial.legendre.leggauss(_NODES))
    panels = math.ceil(2 * _REACH * max(1.0, scale))
    inner = [kink / scale for kink in kinks if abs(kink / scale) < _REACH]
    grid = torch.linspace(-_REACH, _REACH, panels + 1, dtype=torch.float64)
    edges = torch.cat([grid, grid.new_tensor(inner)]).sort().values
    total = 0.0
    for left, right in zip(torch.split(edges[:-1], _BLOCK_ROWS), torch.split(edges[1:], _BLOCK_ROWS), strict=True):
        half = (right - left)[:, None] / 2
        z = left[:, None] + half * (1 + nodes)
        density = torch.exp(-z * z / 2) / math.sqrt(2 * math.pi)
        total += float((half * weights * density * function(scale * z)).sum())
    return total


_activation = activation  # `limits` has an argument of the same name


def _mean_square(function: Callable[[Tensor], Tensor], sigma: Activation, variance: float) -> float:
    scale = math.sqrt(variance)
    if sigma.piecewise_linear:  # a polynomial between kinks needs no panels that narrow as the scale grows
        return gaussian_mean(lambda z: function(scale * z) ** 2, kinks=[kink / scale for kink in sigma.kinks])
    if scale > _LARGEST_SCALE:
        raise UsageError(
            f"weight_variance must keep the pre-activation variances of {sigma.name!r} at most "
            f"{_LARGEST_SCALE**2:.0e}, got one of {variance:.3g}; take one nearer 1, or fewer layers."
        )
    return gaussian_mean(lambda z: function(z) ** 2, scale=scale)


def _half_normal_quantile(p: float | Tensor) -> Tensor:
    level = torch.as_tensor(p, dtype=torch.float64)
    inside = (level > 0) & (level < 1)
    if not bool(inside.all()):
        raise UsageError(f"p must be above 0 and below 1, got {float(level[~inside].flatten()[0])}.")
    return math.sqrt(2) * torch.erfinv(level)
