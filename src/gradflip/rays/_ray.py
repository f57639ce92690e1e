"""The restriction of a two-layer network to the ray along its input gradient, which determines the flip."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip.networks import Activation
from gradflip.rays._abstract import AbstractRay

ROUNDING = 1e-12
"""Relative rounding allowed to a float64 sum: it counts as zero when |sum| <= ROUNDING * (sum of |terms|).

Sums of k terms in float64 err by about sqrt(k) 2^-53 of that scale, so this holds for k = m + d far beyond 10^6.
Float64 cannot determine the sign of the values that it hides, at most 10^-12 of their own terms.
"""

ROUNDING32 = 1e-6
"""The same for float32 products: such a sum is undecided, not zero, and is computed again in float64."""


@final
@dataclass(frozen=True, eq=False)
class Ray(AbstractRay):
    """A batch of two-layer networks restricted to the rays x(s) = x - s sign(f(x)) grad f(x).

    On ray i the pre-activations are u_i - s v_i, so that with sigma and the output bias c

        phi_i(s) = sign(f(x_i)) f(x_i(s)) = sign(f(x_i)) (m^(-1/2) sum_j a_j sigma(u_ij - s v_ij) + c).

    Sums over neurons are taken in float64, even if u, v and a are float32.

    Attributes:
        u: Pre-activations W x + b, float32 or float64.
        v: Their rate of fall along the ray, sign(f(x)) W g; zero where f(x) = 0 or g = 0. In the type of u.
        a: Top weights, in the type of u.
        c: Output bias, 0 if there is none.
        sigma: The activation.
        value: f(x), exactly 0 where it is zero up to rounding (`ROUNDING`), float64.
        gradient_norm: |g|, 0 where g is zero up to rounding, float64.
        input_norm: |x|, float64.
        slope_at_zero: phi'(0), with the left slope of sigma for a neuron that starts on a kink; -|g|^2 where none does.
            `None` if it has not been computed.

    Shape:
        u, v `(n, m)`; a `(m,)`; value, gradient_norm, input_norm, slope_at_zero `(n,)`.

    Source: docs/mathematics/model.md, "The ray".
    """

    u: Float[Tensor, "n m"]
    v: Float[Tensor, "n m"]
    a: Float[Tensor, " m"]
    c: float
    sigma: Activation
    value: Float[Tensor, " n"]
    gradient_norm: Float[Tensor, " n"]
    input_norm: Float[Tensor, " n"]
    slope_at_zero: Float[Tensor, " n"] | None = None

    @staticmethod
    def of(
        u: Float[Tensor, "n m"],
        v: Float[Tensor, "n m"],
        a: Float[Tensor, " m"],
        c: float,
        sigma: Activation,
        gradient_norm: Float[Tensor, " n"],
        input_norm: Float[Tensor, " n"],
    ) -> Ray:
        """A ray whose value is computed from its pre-activations.

        Args:
            u: Pre-activations.
            v: Their rate of fall.
            a: Top weights.
            c: Output bias.
            sigma: The activation.
            gradient_norm: |g|.
            input_norm: |x|.

        Returns:
            A ray.
        """
        value, scale = weighted_sum(sigma(u), a, c)
        return Ray(u, v, a, c, sigma, snap(value, scale, rounding_of(u.dtype)), gradient_norm, input_norm)

    @property
    def width(self) -> int:
        """Number m of hidden units."""
        return self.u.shape[1]

    def phi(self, s: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """sign(f(x)) f(x(s)) at one step per ray; below zero where the prediction has flipped.

        Args:
            s: A step for each ray, >= 0.

        Returns:
            phi at these steps.

        Shape:
            s and result `(n,)`. Time and memory O(n m).
        """
        along, _ = weighted_sum(self.sigma(self._moved(s)), self.a, self.c)
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
        falls = self.v * self.sigma.derivative(self._moved(s))
        return -self.value.sign() * (falls @ self.a.to(torch.float64)) / math.sqrt(self.width)

    def rounding(self, s: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The rounding bound on phi(s): smaller values count as zero.

        `ROUNDING`, or `ROUNDING32` for a float32 ray, times the sum of the absolute terms at 0 and of their changes up
        to s.

        Args:
            s: A step for each ray, >= 0.

        Returns:
            The bound at these steps.

        Shape:
            s and result `(n,)`.
        """
        _, at_zero = weighted_sum(self.sigma(self.u.to(torch.float64)), self.a, self.c)
        _, at_s = weighted_sum(self.sigma(self._moved(s)), self.a, self.c)
        change = (s[:, None] * self.v.abs()) @ self.a.to(torch.float64).abs() / math.sqrt(self.width)
        return rounding_of(self.u.dtype) * (at_zero + at_s + (self.sigma.lipschitz or 1.0) * change)

    def bend(self) -> Float[Tensor, " n"] | None:
        """A bound on |phi''|: K m^(-1/2) sum_j |a_j| v_j^2, K a bound on |sigma''|.

        Returns:
            One bound per ray; `None` where sigma states none.

        Source: docs/mathematics/model.md, "Bracketed flips".
        """
        if self.sigma.curvature is None:
            return None
        return self.sigma.curvature * (self.v**2 @ self.a.abs()) / math.sqrt(self.width)

    def rows(self, index: Tensor | slice) -> Ray:
        """The rays at `index`.

        Args:
            index: A mask, positions or a slice.

        Returns:
            A smaller batch.
        """
        own = self.value[index], self.gradient_norm[index], self.input_norm[index]
        slope = None if self.slope_at_zero is None else self.slope_at_zero[index]
        return Ray(self.u[index], self.v[index], self.a, self.c, self.sigma, *own, slope)

    def _moved(self, s: Tensor) -> Tensor:
        """Pre-activations at x(s), float64."""
        return self.u - s[:, None] * self.v  # s is float64


def rounding_of(dtype: torch.dtype) -> float:
    """The relative rounding allowed to sums whose terms come from products of this type.

    Args:
        dtype: Type of the products.

    Returns:
        `ROUNDING` or `ROUNDING32`.
    """
    return ROUNDING if dtype == torch.float64 else ROUNDING32


def snap(number: Tensor, scale: Tensor, rounding: float = ROUNDING) -> Tensor:
    """Replace numbers that are zero up to rounding by exactly 0.

    Args:
        number: A sum.
        scale: The sum of its absolute terms.
        rounding: Share of the scale that counts as zero.

    Returns:
        0 where |number| <= rounding * scale, else the number.
    """
    return torch.where(number.abs() <= rounding * scale, 0.0, number)


def weighted_sum(hidden: Tensor, a: Tensor, c: float) -> tuple[Tensor, Tensor]:
    """m^(-1/2) sum_j a_j hidden_j + c, and the same sum of absolute values, in float64.

    Args:
        hidden: `(n, m)`.
        a: `(m,)`.
        c: A constant.

    Returns:
        Both sums, `(n,)`.
    """
    root, hidden, a = math.sqrt(len(a)), hidden.to(torch.float64), a.to(torch.float64)
    return hidden @ a / root + c, hidden.abs() @ a.abs() / root + abs(c)
