"""The exact law of two-layer rays in closed form: O(m) per ray in any input dimension."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._checks import one_of, positive, positive_int
from gradflip.gaussian._network import Top, _checked_activation, _checked_widths
from gradflip.networks import Activation


@dataclass(frozen=True, eq=False)
class TwoLayerDraws:
    """Independent two-layer networks, each restricted to the gradient ray of its one input with |x| = sqrt(d).

    On ray i the pre-activations at x(s) = x - s sign(f(x)) g are u_i - s v_i.

    Attributes:
        dim: Input dimension d.
        u: Pre-activations W x.
        v: Their rate of fall, sign(f(x)) W g.
        a: Top weights.
        sigma: The activation.
        value: f(x).
        gradient_norm: |g|.

    Shape:
        u, v, a `(draws, m)`; value, gradient_norm `(draws,)`; float64.
    """

    dim: int
    u: Float[Tensor, "draws m"]
    v: Float[Tensor, "draws m"]
    a: Float[Tensor, "draws m"]
    sigma: Activation
    value: Float[Tensor, " draws"]
    gradient_norm: Float[Tensor, " draws"]

    def at(self, s: float | Float[Tensor, " draws"]) -> Float[Tensor, " draws"]:
        """f(x(s)) of every draw.

        Args:
            s: One step, or one for each draw.

        Returns:
            Values, `(draws,)`.
        """
        steps = torch.as_tensor(s, dtype=torch.float64).reshape(-1, 1)
        return _top(self.sigma(self.u - steps * self.v), self.a)


def draw_two_layer(
    dim: int,
    width: int,
    *,
    activation: str | Activation = "relu",
    top: Top = "sign",
    weight_variance: float = 1.0,
    draws: int = 1,
    generator: torch.Generator,
) -> TwoLayerDraws:
    """Independent random two-layer networks on the rays of inputs with |x|^2 = d, in their exact joint law.

    With u = W x and a drawn, q_j = a_j sigma'(u_j) and c the weight variance, W^T q is x q.u / d plus a Gaussian vector
    orthogonal to x of which only the length matters, chi^2 with d - 1 degrees of freedom:

        x . g = m^(-1/2) q . u                     |g|^2 = (x . g)^2 / d + c (|q|^2 / m) chi^2 / d
        W g = (x . g / d) u + m^(-1/2) c (chi^2 / d) q + c (|q| / sqrt(m)) (sqrt(chi^2) / d) zeta,

    zeta ~ N(0, I) with its component along q removed. No array has d entries.

    Args:
        dim: Input dimension d, at least 1, of any size.
        width: Number m of hidden units.
        activation: sigma.
        top: a_j of +-1, or N(0, 1).
        weight_variance: c: the weights are N(0, c / d).
        draws: Number of networks.
        generator: Source of the numbers.

    Returns:
        `TwoLayerDraws`.

    Raises:
        UsageError: If dim, width or draws is not a positive integer, or weight_variance is not positive.

    Shape:
        Memory and time O(draws m).

    Source: Montanari & Wu (2022), proof for two layers; docs/mathematics/random-networks.md, "The exact law of two
        layers".
    """
    sigma = _checked_activation(activation)
    dim, width = _checked_widths([dim, width])
    draws, c = positive_int("draws", draws), float(positive("weight_variance", weight_variance))
    one_of("top", top, get_args(Top))
    form = draws, width
    u = torch.randn(form, generator=generator, dtype=torch.float64)
    if c != 1.0:
        u *= math.sqrt(c)
    if top == "sign":
        signs = torch.randint(2, form, generator=generator, dtype=torch.int8)
        a = signs.to(torch.float64).mul_(2).sub_(1)
    else:
        a = torch.randn(form, generator=generator, dtype=torch.float64)
    chi2 = _chi_square(dim - 1, draws, generator)
    q = sigma.derivative(u).mul_(a)
    root = math.sqrt(width)
    along = torch.linalg.vecdot(q, u) / root  # x . g
    q2 = torch.linalg.vecdot(q, q)
    norm = torch.sqrt(along**2 / dim + c * q2 / width * chi2 / dim)
    value = _top(sigma(u), a)
    sign = value.sign()

    v = torch.randn(form, generator=generator, dtype=torch.float64)  # zeta, updated in place
    spread = sign * c * (q2 / width).sqrt() * chi2.sqrt() / dim
    onto = torch.where(q2 > 0, torch.linalg.vecdot(q, v) / q2, 0.0)
    v *= spread[:, None]
    v.addcmul_(q, (sign * c * chi2 / (dim * root) - spread * onto)[:, None])
    v.addcmul_(u, (sign * along / dim)[:, None])
    return TwoLayerDraws(dim, u, v, a, sigma, value, torch.where(q2 > 0, norm, 0.0))


def _top(hidden: Tensor, a: Tensor) -> Tensor:
    value: Tensor = torch.linalg.vecdot(hidden, a) / math.sqrt(a.shape[1])
    return value


def _chi_square(freedom: int, count: int, generator: torch.Generator) -> Tensor:
    """chi^2 variates from numpy, since torch has no public sampler."""
    if freedom == 0:
        return torch.zeros(count, dtype=torch.float64)
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    return torch.from_numpy(np.random.default_rng(seed).chisquare(freedom, count))
