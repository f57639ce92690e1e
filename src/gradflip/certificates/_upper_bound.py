"""An upper bound on max y f over the ball that no rounding error can exceed: the proof in a certificate.

A dot product computed in floating point is an exact one with a neuron that is moved a little: |fl(w . x) - w . x| <=
gamma_d |w| |x|, gamma_d = d u / (1 - d u), u = 2^-53, in whatever order the products are summed, fused or not (Higham
2002, Section 3.1). So rounding of the pre-activations amounts to a slightly larger ball, neuron by neuron. What
remains, the evaluation of sigma and the sum over neurons, is bounded by |sigma(v)| <= |sigma(0)| + L |v| with the
Lipschitz constant L of sigma.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip._memory import rows_per_block
from gradflip.lazy._extrema import sums_of_maxima, with_ones
from gradflip.networks import TwoLayer

RADIUS_SLACK = 1e-5
"""Relative enlargement of the certified ball: a W projected in floating point may lie outside by rounding."""

UNIT = 2.0**-53
"""u, the relative rounding error of one operation in float64."""

TINY = 2.0**-1000
"""Far above what a product of two numbers loses when it underflows, whether or not it is flushed to zero."""

_BLOCK = 2**22  # weights
_ULPS = 8  # error of sigma as computed, in units of |sigma(v)| + L |v|: the libraries' functions have at most 4


def certified_upper_bound(network0: TwoLayer, radius: float, x: Tensor, y: Tensor) -> Float[Tensor, " n"]:
    """A number that y f(x; W) exceeds for no W within radius (1 + 1e-5) of the centre, all rounding included.

    Four terms are added to the maximum as float64 computes it. (1) To the radius of neuron j: 1e-5 of it, gamma_d
    (|w_j| + r) for the dot product, and 16 u (|w_j| + r) for u_j +- r|x|, its rounding and that of the turning points.
    (2) To the sum over neurons: gamma_m sum_j |a_j| |sigma(v_j)|, in any order. (3) For sigma: 8 u (|sigma| + L |v|)
    per neuron and the tolerance that the activation states. (4) For m^(-1/2), y c and the last sum: 8 u of each. Norms
    are rounded up; weights are converted to float64, exactly; underflow is covered by 2^-1000 per operation. The bound
    is computed on the CPU, whose products follow IEEE arithmetic.

    Args:
        network0: The ball's centre.
        radius: Its radius.
        x: Inputs, float64, the very numbers that are certified.
        y: Labels, float64.

    Returns:
        The bound; inf where something overflows.

    Raises:
        UsageError: If no bound on the slope of sigma is known, or its turning points are not.

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
    norms = norm_upper(with_ones(network, x))
    row_norms = row_norms_upper(network)
    # (1) rounding of the pre-activations: a slightly larger ball
    radii = inflated_radii(network, radius, row_norms)
    total = sums_of_maxima(network, x, y, norms, radii, widening=terms * TINY)
    # (2), (3) sum_j |a_j| (|sigma(v_j)| + L |v_j|), at most; this and the errors themselves are small enough for a
    # generous 1.1
    top = network.a.to(torch.float64).abs()
    at_zero = abs(float(sigma(torch.zeros((), dtype=torch.float64))))
    steep = 2 * sigma.lipschitz * (top * (row_norms + radii)).sum()
    magnitude = at_zero * top.sum() + steep * (norms + terms * TINY)
    error = 1.1 * ((gamma(width + 2) + _ULPS * UNIT) * magnitude + sigma.tolerance * top.sum() + width * TINY)
    # (4) the factor, the output bias and the last sum
    root, c = math.sqrt(width), network.output_bias or 0.0
    value = total / root
    error = error / root + 8 * UNIT * (value.abs() + abs(c)) + TINY
    bound = value + y * c + 1.1 * error
    return bound.nan_to_num(nan=math.inf, posinf=math.inf, neginf=math.inf).to(device)


def inflated_radii(network: TwoLayer, radius: float, row_norms: Tensor) -> Float[Tensor, " m"]:
    """Radii of a ball whose exact pre-activations include the computed ones of the given ball.

    Args:
        network: A network.
        radius: Radius of the ball.
        row_norms: |w_j|, as `row_norms_upper` returns them.

    Returns:
        radius (1 + 1e-5), plus the rounding of w_j . x and of u_j +- r |x|, for each neuron.
    """
    radii = radius * (1 + RADIUS_SLACK) + (gamma(network.dim + 2) + 16 * UNIT) * (row_norms + radius)
    return radii * (1 + 8 * UNIT)


def norm_upper(rows: Tensor) -> Float[Tensor, " n"]:
    """|row|_2 in float64, rounded up.

    Rows are first divided by a power of two near their largest entry, so that squares neither overflow nor underflow.

    Args:
        rows: A float64 matrix.

    Returns:
        At least the norm of each row, above it by a relative d 2^-53 or so.

    Shape:
        `(n, d)` to `(n,)`.
    """
    largest = rows.abs().amax(dim=1)
    scale = 2.0 ** torch.frexp(largest).exponent.clamp(-1000, 1000).to(torch.float64)
    norm = torch.linalg.vector_norm(rows / scale[:, None], dim=1)
    upper = scale * norm * (1 + 2 * gamma(rows.shape[1] + 8)) + TINY
    return torch.where(largest > 0, upper, 0.0)


def row_norms_upper(network: TwoLayer) -> Float[Tensor, " m"]:
    """|w_j|, or |(w_j, b_j)|, rounded up, a block of neurons at a time.

    Args:
        network: A network.

    Returns:
        One number per neuron.
    """
    blocks = []
    size = rows_per_block(_BLOCK, network.dim)
    for j in range(0, network.width, size):
        W = network.W[j : j + size].to(torch.float64)
        if network.bias is not None:
            W = torch.cat([W, network.bias[j : j + size, None].to(torch.float64)], dim=1)
        blocks.append(norm_upper(W))
    return torch.cat(blocks)


def gamma(count: int) -> float:
    """gamma_n = n u / (1 - n u), rounded up.

    Args:
        count: Number n of operations.

    Returns:
        A bound on their relative error together.
    """
    return count * UNIT / (1 - count * UNIT) * (1 + 4 * UNIT)
