"""Extremes of y f over the ball at one input, as sums of extremes: the neurons are independent of each other.

Over the ball of neuron j, w . x ranges over the interval of half-length r |x| around w_(j,0) . x. The maximum of y f is
therefore m^(-1/2) sum_j |a_j| max(sign(y a_j) sigma) over these intervals + y c. Where biases are trained, |x| stands
for sqrt(|x|^2 + 1) throughout.

Source: docs/mathematics/certificates.md, "Extremes over the ball".
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.lazy._rows import rows
from gradflip.networks import Activation, TwoLayer

_BLOCK = 2**20  # pre-activations held at once
_NEURONS = 2**14  # neurons per block


def maxima(sigma: Activation, low: Tensor, high: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
    """The largest sign sigma(v) over low <= v <= high, and a v that attains it.

    Args:
        sigma: An activation whose turning points are known.
        low: Left ends.
        high: Right ends.
        sign: +1 or -1, of a shape that broadcasts.

    Returns:
        Value and place; an end of the interval where both an end and a turning point attain the maximum.

    Raises:
        UsageError: If the turning points of sigma are not known.
    """
    if sigma.turning is None:
        raise UsageError(
            f"extremes over the ball need to know where activation {sigma.name!r} turns; "
            f"give Activation(..., turning=()) if it is monotone, else its turning points."
        )
    best, other = sign * sigma(low), sign * sigma(high)
    right = other > best
    best, place = torch.where(right, other, best), torch.where(right, high, low)
    for point in sigma.turning:
        at = torch.full_like(low, point)
        if sigma.period is not None:  # the first turning point of its kind to the right of low
            at += torch.ceil((low - point) / sigma.period) * sigma.period
        height = sign * sigma(torch.tensor(point, dtype=low.dtype, device=low.device))
        higher = (low <= at) & (at <= high) & (height > best)
        best, place = torch.where(higher, height, best), torch.where(higher, at, place)
    return best, place


def sums_of_maxima(
    network: TwoLayer, x: Tensor, y: Tensor, norms: Tensor, radii: Tensor, *, widening: float = 0.0
) -> Float[Tensor, " n"]:
    """sum_j max { y a_j sigma(v) : |v - w_j . x - b_j| <= radii_j norms + widening }, in float64.

    Args:
        network: Provides w_j, b_j and a_j.
        x: Inputs, float64.
        y: Labels, float64.
        norms: |x|, rounded as the caller needs it.
        radii: How far each neuron may move.
        widening: Added to the half-length of every interval.

    Returns:
        The sums, without the factor m^(-1/2). NaN where something overflows.

    Shape:
        x `(n, d)`, y, norms `(n,)`, radii `(m,)`, result `(n,)`. Memory for a block of inputs and neurons.
    """
    total = torch.zeros_like(y)
    neurons = min(network.width, _NEURONS)
    inputs = max(1, _BLOCK // neurons)
    for j in range(0, network.width, neurons):
        block = slice(j, j + neurons)
        W, a = network.W[block].to(torch.float64), network.a[block].to(torch.float64)
        bias = None if network.bias is None else network.bias[block].to(torch.float64)
        signs = torch.where(a < 0, -1.0, 1.0).to(torch.float64)
        for start in range(0, len(x), inputs):
            i = slice(start, start + inputs)
            u = x[i] @ W.mT if bias is None else torch.addmm(bias, x[i], W.mT)
            reach = torch.outer(norms[i], radii[block]) + widening
            best, _ = maxima(network.activation, u - reach, u + reach, torch.outer(y[i], signs))
            total[i] += best @ a.abs()
    return total


def largest_margins(network: TwoLayer, radius: float, x: Tensor, y: Tensor) -> Float[Tensor, " n"]:
    """The largest y f over the ball around a network, exact up to rounding.

    Args:
        network: The centre, in `unit` scaling.
        radius: The radius.
        x: Inputs, as `checked_points` returns them.
        y: Labels.

    Returns:
        The maximum at each input, in float64.

    Shape:
        x `(n, d)`, y and result `(n,)`.
    """
    radii = torch.full((network.width,), radius, dtype=torch.float64, device=x.device)
    total = sums_of_maxima(network, x, y, input_norms(network, x), radii)
    return total / math.sqrt(network.width) + y * (network.output_bias or 0.0)


def maximiser(network: TwoLayer, radius: float, x: Tensor, y: Tensor) -> Float[Tensor, "m k"]:
    """Weights of the ball at which y f is largest at one input, up to rounding.

    Args:
        network: The centre, in float64 and `unit` scaling.
        radius: The radius.
        x: The input, `(1, d)`, as `checked_points` returns it.
        y: Its label, `(1,)`.

    Returns:
        The rows w_(j,0) + t_j r x / |x| of [W, b]; those of the centre if the input is 0 and there are no biases.
    """
    start, ray = rows(network), with_ones(network, x)[0]
    length = torch.linalg.vector_norm(ray)
    if not length > 0:
        return start
    u = start @ ray
    reach = radius * length
    _, place = maxima(network.activation, u - reach, u + reach, y * torch.where(network.a < 0, -1.0, 1.0))
    t = ((place - u) / reach).clamp(-1.0, 1.0)
    return start + torch.outer(t * radius, ray / length)


def input_norms(network: TwoLayer, x: Tensor) -> Float[Tensor, " n"]:
    """|x|, or sqrt(|x|^2 + 1) where biases are trained.

    Args:
        network: A network, with or without biases.
        x: Inputs.

    Returns:
        One norm per input.
    """
    norms: Tensor = torch.linalg.vector_norm(with_ones(network, x), dim=1)
    return norms


def with_ones(network: TwoLayer, x: Tensor) -> Tensor:
    """The vectors that the rows [W, b] multiply: x, or (x, 1) where biases are trained.

    Args:
        network: A network, with or without biases.
        x: Inputs.

    Returns:
        The inputs, with a last column of ones if there are biases.

    Shape:
        `(n, d)` or `(n, d + 1)`.
    """
    return x if network.bias is None else torch.cat([x, x.new_ones(len(x), 1)], dim=1)


def checked_points(network: TwoLayer, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs and labels, checked and in float64: a proof is about the numbers as they are, not as the network's type.

    Args:
        network: Determines the dimension and the device.
        x: Inputs.
        y: Labels, -1 or +1.

    Returns:
        Inputs and labels.

    Raises:
        UsageError: If a shape, an entry or a label is invalid.
    """
    if not isinstance(x, Tensor) or x.ndim != 2 or x.shape[1] != network.dim or not len(x):
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise UsageError(f"x must have shape (n, {network.dim}) with n at least 1, got {shape}.")
    if not isinstance(y, Tensor) or y.shape != x.shape[:1]:
        shape = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
        raise UsageError(f"y must have one label per row of x, {len(x)}, got {shape}.")
    if x.device != network.W.device or y.device != network.W.device:
        raise UsageError(f"x and y must be on the device of the network, {network.W.device}.")
    if not bool(torch.isfinite(x).all()):
        raise UsageError(f"x must be finite, got {int((~torch.isfinite(x)).sum())} NaN or infinite entries.")
    wrong = y[(y != 1) & (y != -1)]
    if len(wrong):
        raise UsageError(f"y must hold only -1 and +1, got {float(wrong[0]):g}.")
    return x.detach().to(torch.float64), y.detach().to(torch.float64)
