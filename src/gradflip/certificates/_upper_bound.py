"""An upper bound of max y f over the ball that no rounding error can pass: the proof in a certificate.

A dot product computed in floating point is an exact one with a neuron that is moved a little: |fl(w . x) - w . x| <=
gamma_d |w| |x|, gamma_d = d u / (1 - d u), u = 2^-53, in whatever order the products are summed, fused or not (Higham
2002, Section 3.1). So rounding of the pre-activations is a slightly larger ball, neuron by neuron. What is left, the
evaluation of sigma and the sum over neurons, is bounded by |sigma(v)| <= |sigma(0)| + L |v|, L its Lipschitz constant.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.lazy._extrema import extended, highest_sums
from gradflip.networks import TwoLayer

RADIUS_SLACK = 1e-5
"""The ball certified is larger by this share: a W projected in floating point lies outside by rounding."""

UNIT = 2.0**-53
"""u, the rounding of one operation in float64."""
TINY = 2.0**-1000  # far above what products of two numbers lose where they underflow, flushed to zero or not
_ULPS = 8  # error of sigma as computed, in units of |sigma(v)| + L |v|: the libraries' functions have at most 4


def highest_certain(network0: TwoLayer, radius: float, x: Tensor, y: Tensor) -> Float[Tensor, " n"]:
    """A number that y f(x; W) exceeds for no W within radius (1 + 1e-5) of the centre, whatever was rounded here.

    Four terms are added to the maximum as float64 has it. (1) To the radius of neuron j: 1e-5 of it, gamma_d (|w_j| +
    r) for the dot product, and 16 u (|w_j| + r) for u_j +- r|x|, its rounding and that of the turning points. (2) To
    the sum over neurons: gamma_m sum_j |a_j| |sigma(v_j)|, any order. (3) For sigma: 8 u (|sigma| + L |v|) a neuron
    and what the activation states as its tolerance. (4) For m^(-1/2), y c and the last sum: 8 u of each. Norms are
    rounded up; weights are converted to float64, exactly; what underflows is covered by 2^-1000 an operation. It is
    computed on the CPU, whose products are those of IEEE arithmetic.

    Args:
        network0: The ball's centre.
        radius: Its radius.
        x: Inputs, float64, the very numbers that are certified.
        y: Labels, float64.

    Returns:
        The bound; inf where something overflows.

    Raises:
        UsageError: If nothing is known of the slope of sigma, or of where it turns.

    Shape:
        x `(n, d)`, y and result `(n,)`.

    Source: docs/mathematics/certificates.md, "The bound with rounding".
    """
    sigma = network0.activation
    if sigma.lipschitz is None:
        raise UsageError(
            f"certificates need a bound on the slope of activation {sigma.name!r}; give Activation(..., lipschitz=...)."
        )
    device = x.device
    network, x, y = network0.to(device="cpu"), x.cpu(), y.cpu()
    width, terms = network.width, network.dim + 2
    length = norm_up(extended(network, x))
    sizes = row_norms_up(network)
    radii = certain_radii(network, radius, sizes)
    total = highest_sums(network, x, y, length, radii, widening=terms * TINY)

    top = network.a.to(torch.float64).abs()
    at_zero = abs(float(sigma(torch.zeros((), dtype=torch.float64))))
    # sum_j |a_j| (|sigma(v_j)| + L |v_j|), at most; this and the errors themselves are small enough for a generous 1.1
    steep = 2 * sigma.lipschitz * (top * (sizes + radii)).sum()
    magnitude = at_zero * top.sum() + steep * (length + terms * TINY)
    error = 1.1 * ((gamma(width + 2) + _ULPS * UNIT) * magnitude + sigma.tolerance * top.sum() + width * TINY)

    root, c = math.sqrt(width), network.output_bias or 0.0
    value = total / root
    error = error / root + 8 * UNIT * (value.abs() + abs(c)) + TINY
    bound = value + y * c + 1.1 * error
    return bound.nan_to_num(nan=math.inf, posinf=math.inf, neginf=math.inf).to(device)


def certain_radii(network: TwoLayer, radius: float, sizes: Tensor) -> Float[Tensor, " m"]:
    """How far each neuron may be thought to move, so that its pre-activations as computed are exact ones.

    Args:
        network: A network.
        radius: Of the ball.
        sizes: |w_j|, as `row_norms_up` gives them.

    Returns:
        radius (1 + 1e-5) and what rounding of w_j . x and of u_j +- r |x| amounts to.
    """
    radii = radius * (1 + RADIUS_SLACK) + (gamma(network.dim + 2) + 16 * UNIT) * (sizes + radius)
    return radii * (1 + 8 * UNIT)


def norm_up(rows: Tensor) -> Float[Tensor, " n"]:
    """|row|_2 in float64, rounded up.

    Args:
        rows: A float64 matrix.

    Returns:
        A number at least the norm, above it by a relative d 2^-53 or so. Rows are first divided by a power of two near
        their largest entry, so that squares neither overflow nor underflow.

    Shape:
        `(n, d)` to `(n,)`.
    """
    largest = rows.abs().amax(dim=1)
    scale = 2.0 ** torch.frexp(largest).exponent.clamp(-1000, 1000).to(torch.float64)
    size = torch.linalg.vector_norm(rows / scale[:, None], dim=1)
    up = scale * size * (1 + 2 * gamma(rows.shape[1] + 8)) + TINY
    return torch.where(largest > 0, up, 0.0)


def row_norms_up(network: TwoLayer) -> Float[Tensor, " m"]:
    """|w_j|, or |(w_j, b_j)|, rounded up, a block of neurons at a time.

    Args:
        network: A network.

    Returns:
        One number per neuron.
    """
    blocks = []
    size = max(1, 2**22 // network.dim)
    for j in range(0, network.width, size):
        W = network.W[j : j + size].to(torch.float64)
        if network.bias is not None:
            W = torch.cat([W, network.bias[j : j + size, None].to(torch.float64)], dim=1)
        blocks.append(norm_up(W))
    return torch.cat(blocks)


def gamma(count: int) -> float:
    """gamma_n = n u / (1 - n u), rounded up.

    Args:
        count: n, how many operations.

    Returns:
        The relative error that they can amount to.
    """
    return count * UNIT / (1 - count * UNIT) * (1 + 4 * UNIT)
