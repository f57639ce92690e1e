"""The restriction of a two-layer network to the ray along its input gradient: all that a flip depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.networks import Activation, TwoLayer

ROUNDING = 1e-12
"""Relative rounding allowed to a sum: it counts as zero when |sum| <= ROUNDING * (sum of |terms|).

Sums of k terms in float64 err by about sqrt(k) 2^-53 of that scale, so this holds for k = m + d far beyond 10^6, and
what it hides, a value of 10^-12 of its own terms, has no sign that float64 could know.
"""


@dataclass(frozen=True, eq=False)
class Ray:
    """Networks of one width restricted to the rays x(s) = x - s sign(f(x)) grad f(x), a batch of them.

    On ray i the pre-activations are u_i - s v_i, so that with sigma and the output bias c

        phi_i(s) = sign(f(x_i)) f(x_i(s)) = sign(f(x_i)) (m^(-1/2) sum_j a_j sigma(u_ij - s v_ij) + c).

    Attributes:
        u: Pre-activations W x + b, float64.
        v: How fast they fall along the ray, sign(f(x)) W g; zero where f(x) = 0 or g = 0.
        a: Top weights.
        c: Output bias, 0 if there is none.
        sigma: The activation.
        gradient_norm: |g|, 0 where g is zero up to rounding.
        input_norm: |x|.

    Shape:
        u, v `(n, m)`; a `(m,)`; gradient_norm, input_norm `(n,)`.

    Source: spec 1.2, restriction to the ray.
    """

    u: Float[Tensor, "n m"]
    v: Float[Tensor, "n m"]
    a: Float[Tensor, " m"]
    c: float
    sigma: Activation
    gradient_norm: Float[Tensor, " n"]
    input_norm: Float[Tensor, " n"]

    @property
    def width(self) -> int:
        """Number m of hidden units."""
        return self.u.shape[1]

    @property
    def value(self) -> Float[Tensor, " n"]:
        """f(x), exactly 0 where it is zero up to rounding (`ROUNDING`)."""
        value, scale = _weighted_sum(self.sigma(self.u), self.a, self.c)
        return snap(value, scale)

    def phi(self, s: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """sign(f(x)) f(x(s)) at one step per ray; below zero where the prediction has flipped.

        Args:
            s: A step for each ray, >= 0.

        Returns:
            phi at these steps.

        Shape:
            s and result `(n,)`. Time and memory O(n m).
        """
        along, _ = _weighted_sum(self.sigma(self.u - s[:, None] * self.v), self.a, self.c)
        return self.value.sign() * along

    def slope(self, s: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """phi'(s) at one step per ray; at a kink, a value between the one-sided slopes.

        Args:
            s: A step for each ray, >= 0.

        Returns:
            The slope at these steps.

        Shape:
            s and result `(n,)`. Time and memory O(n m).
        """
        falls = self.v * self.sigma.derivative(self.u - s[:, None] * self.v)
        return -self.value.sign() * (falls @ self.a) / math.sqrt(self.width)

    def rounding(self, s: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The stated rounding bound on phi(s): values within it of zero are not told from zero.

        `ROUNDING` times the sum of the absolute terms at 0 and of their changes up to s.

        Args:
            s: A step for each ray, >= 0.

        Returns:
            The bound at these steps.

        Shape:
            s and result `(n,)`.
        """
        _, at_zero = _weighted_sum(self.sigma(self.u), self.a, self.c)
        _, at_s = _weighted_sum(self.sigma(self.u - s[:, None] * self.v), self.a, self.c)
        change = (s[:, None] * self.v.abs()) @ self.a.abs() / math.sqrt(self.width)
        return ROUNDING * (at_zero + at_s + (self.sigma.lipschitz or 1.0) * change)

    def rows(self, index: Tensor | slice) -> Ray:
        """The rays at `index`.

        Args:
            index: A mask, positions or a slice.

        Returns:
            A smaller batch.
        """
        norms = self.gradient_norm[index], self.input_norm[index]
        return Ray(self.u[index], self.v[index], self.a, self.c, self.sigma, *norms)


def gradient_ray(network: TwoLayer, x: Float[Tensor, "n d"]) -> Ray:
    """The rays along which one gradient step moves the inputs.

    Three matrix products, in float64 whatever the type of the network.

    Args:
        network: A two-layer network.
        x: Inputs.

    Returns:
        A `Ray`, one row per input.

    Raises:
        UsageError: If x has the wrong shape, is not finite or is on another device, or a product overflows.

    Shape:
        x `(n, d)`. Memory O(n m): for many inputs, `flip` works in blocks.

    Source: Wang et al. (2022), Theorem 3.1 (the step), spec 1.2.
    """
    network, x = network.to(dtype=torch.float64), checked_inputs(network, x)
    return gradient_ray_block(network, x, largest_weights(network))


def checked_inputs(network: TwoLayer, x: Tensor) -> Tensor:
    """The inputs as a float64 matrix that fits the network.

    Args:
        network: Where they go.
        x: What came.

    Returns:
        x in float64, `(n, d)`.

    Raises:
        UsageError: If x has the wrong shape, is not finite or is on another device.
    """
    if x.ndim != 2 or x.shape[1] != network.dim:
        raise UsageError(f"x must have shape (n, {network.dim}), one input a row, got {tuple(x.shape)}.")
    if x.device != network.W.device:
        raise UsageError(f"x must be on the device of the network, {network.W.device}, got {x.device}.")
    x = x.detach().to(torch.float64)
    if not bool(torch.isfinite(x).all()):
        raise UsageError(f"x must be finite, got {int((~torch.isfinite(x)).sum())} entries that are NaN or infinite.")
    return x


def snap(number: Tensor, scale: Tensor) -> Tensor:
    """`number`, with what is zero up to rounding made exactly 0.

    Args:
        number: A sum.
        scale: The sum of its absolute terms.

    Returns:
        0 where |number| <= `ROUNDING` * scale, else the number.
    """
    return torch.where(number.abs() <= ROUNDING * scale, 0.0, number)


def largest_weights(network: TwoLayer) -> Float[Tensor, " m"]:
    """max_k |W_jk|, without a copy of W.

    Args:
        network: A network.

    Returns:
        One number per neuron.
    """
    return torch.maximum(network.W.amax(dim=1), -network.W.amin(dim=1))


def gradient_ray_block(network: TwoLayer, x: Float[Tensor, "n d"], largest: Float[Tensor, " m"]) -> Ray:
    """`gradient_ray` without its checks, for a block of inputs.

    Args:
        network: A network in float64.
        x: Inputs that `checked_inputs` gave.
        largest: `largest_weights(network)`.

    Returns:
        A `Ray`.

    Raises:
        UsageError: If a product overflows.
    """
    W, a, sigma, c = network.W, network.a, network.activation, network.output_bias or 0.0
    root = math.sqrt(network.width)
    u = x @ W.mT if network.bias is None else torch.addmm(network.bias, x, W.mT)
    value, scale = _weighted_sum(sigma(u), a, c)
    q = sigma.derivative(u) * a
    g = (q @ W) / root
    gradient_norm = torch.linalg.vector_norm(g, dim=1)
    # the sum of |terms| of g, by its largest coordinate; at most sqrt(d) below the exact scale of the norm
    gradient_norm = snap(gradient_norm, (q.abs() @ largest) / root)
    if not bool(torch.isfinite(gradient_norm).all() & torch.isfinite(value).all()):
        raise UsageError("the network overflows float64 on these inputs; rescale its weights.")
    sign = torch.where(gradient_norm > 0, snap(value, scale).sign(), 0.0)
    v = (g * sign[:, None]) @ W.mT
    return Ray(u, v, a, c, sigma, gradient_norm, torch.linalg.vector_norm(x, dim=1))


def _weighted_sum(hidden: Tensor, a: Tensor, c: float) -> tuple[Tensor, Tensor]:
    """m^(-1/2) sum_j a_j hidden_j + c, and the same sum of absolute values."""
    root = math.sqrt(len(a))
    return hidden @ a / root + c, hidden.abs() @ a.abs() / root + abs(c)
