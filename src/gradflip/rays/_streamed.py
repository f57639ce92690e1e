"""Flips of a network whose weights are drawn again in every pass: sums over blocks of neurons."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from gradflip._errors import UsageError
from gradflip._memory import rows_per_block
from gradflip.networks import StreamedTwoLayer
from gradflip.rays._abstract import AbstractRay
from gradflip.rays._breakpoints import Start, first_crossing, in_order, switches
from gradflip.rays._gradient_ray import checked_batch
from gradflip.rays._kinds import Finder, checked_block, flips, rays, refine
from gradflip.rays._ray import Ray, rounding_of, snap, weighted_sum
from gradflip.rays._result import Crossing, Flip, FlipStatus

_REACHES = (1.25, 10.0, math.inf)  # of the passes, as multiples of the first-order guess
_BLOCK = 2**21  # pre-activations
_SORT_BLOCK = 2**26  # breakpoints of the last pass, which sorts all of them


@rays.register
def _(network: StreamedTwoLayer, x: Tensor) -> AbstractRay:
    raise UsageError("no ray holds the neurons of a StreamedTwoLayer; use network.stored() where it fits in memory.")


@flips.register
def _(network: StreamedTwoLayer, x: Tensor, finder: Finder | None, block: int | None) -> Flip:
    """One pass for f and g, one for the breakpoints along the rays.

    Args:
        network: A network.
        x: Inputs.
        finder: `None`.
        block: Checked, and not needed.

    Returns:
        A `Flip`, the same as that of the stored network.

    Raises:
        UsageError: If x does not fit, a finder is given, the activation is not piecewise linear, or a product
            overflows.

    Shape:
        x `(n, d)`. Memory: 100 MB and about 16 bytes for each neuron and image that switches; four products and two
        draws of W, and two products and a draw more if the flip lies beyond 1.25 times the first-order guess, and again
        beyond 10 times: the last pass takes all breakpoints, of 1 GB of rows at a time.
    """
    x = checked_batch(network, x)
    checked_block(block)
    if finder is not None:
        raise UsageError("finder must be left out for a StreamedTwoLayer, or give network.stored().")
    if not network.activation.piecewise_linear:
        raise UsageError(
            f"a StreamedTwoLayer needs a piecewise-linear activation to flip, got {network.activation.name!r}; "
            "use network.stored() where it fits in memory."
        )
    return refine(lambda rows, dtype: _flip(network, rows, dtype), x, network.dtype)


def _flip(network: StreamedTwoLayer, x: Tensor, dtype: torch.dtype) -> Flip:
    inputs = x.to(dtype)
    value, g, terms = _value_and_gradient(network, inputs)
    norm = torch.linalg.vector_norm(g, dim=1, dtype=torch.float64)
    input_norm = torch.linalg.vector_norm(x, dim=1, dtype=torch.float64)
    sign = torch.where(norm > 0, value.sign(), 0.0)
    direction = (g * sign[:, None]).to(dtype)
    guess = value.abs() / norm**2
    live = (sign != 0).nonzero()[:, 0]
    crossing = Crossing.not_found(len(x), x.device)
    passes = torch.ones(len(x), dtype=torch.int32)
    for reach in _REACHES:
        if not len(live):
            break
        at_once = rows_per_block(_SORT_BLOCK, network.width) if math.isinf(reach) else len(live)
        seen = Crossing.join([
            _crossings(network, inputs[rows], direction[rows], value[rows], reach * guess[rows], terms)
            for rows in torch.split(live, at_once)
        ])
        crossing.put(live, seen)
        passes[live] += 1
        live = live[seen.status != FlipStatus.FLIPPED]
        if dtype != torch.float64:
            break  # float64 decides the rest
    return Flip.assemble(
        crossing, value=value, gradient_norm=norm, input_norm=input_norm, passes=passes, finder="streamed"
    )


def _value_and_gradient(network: StreamedTwoLayer, x: Tensor) -> tuple[Tensor, Tensor, float]:
    # f, its gradient, and the scale of rounding: in float32, where each u_j is rounded independently, ten times the
    # root of the sum of squares
    root, rounding, sigma = math.sqrt(network.width), rounding_of(x.dtype), network.activation
    c = network.output_bias or 0.0
    value, sizes = x.new_full((len(x),), c, dtype=torch.float64), x.new_full((len(x),), abs(c), dtype=torch.float64)
    g, slopes = torch.zeros_like(x, dtype=torch.float64), x.new_zeros(len(x), dtype=torch.float64)
    lengths = 0.0
    for W, a, bias, u in _products(network, x):
        hidden, absolute = weighted_sum(sigma(u), a, 0.0)
        share = math.sqrt(len(a)) / root  # weighted_sum divides by the root of the block's width
        value += share * hidden
        sizes += share * absolute
        q = sigma.derivative(u).mul_(a)
        g += (q @ W).to(torch.float64) / root
        own = torch.linalg.vector_norm(W, dim=1)
        slopes += (q.abs() @ own).to(torch.float64) / root
        largest = own if bias is None else torch.maximum(own, bias.abs())
        lengths += float((a * largest).to(torch.float64).square().sum()) / network.width
    if not bool(value.isfinite().all() & g.isfinite().all()):
        raise UsageError(f"the network overflows {str(x.dtype)[6:]} on these inputs; rescale its weights or inputs.")
    terms = 10 * (sigma.lipschitz or 0.0) * math.sqrt(lengths)
    if x.dtype != torch.float64:
        sizes, slopes = terms * _size(network, x) + abs(c), torch.full_like(slopes, terms)
    norm = torch.linalg.vector_norm(g, dim=1)
    return snap(value, sizes, rounding), torch.where(norm[:, None] <= rounding * slopes[:, None], 0.0, g), terms


def _size(network: StreamedTwoLayer, x: Tensor) -> Tensor:
    """|x|, plus 1 for the input of the biases."""
    norm: Tensor = torch.linalg.vector_norm(x, dim=1, dtype=torch.float64)
    return norm + 1.0 if network.bias else norm


def _crossings(network: StreamedTwoLayer, x: Tensor, g: Tensor, value: Tensor, limit: Tensor, terms: float) -> Crossing:
    """The first crossings up to the limits."""
    n, one = len(x), torch.ones(len(x), dtype=torch.float64)
    start = Start(*(torch.zeros(n, dtype=torch.float64) for _ in range(3)))
    breakpoints: list[tuple[Tensor, Tensor, Tensor]] = []
    for W, a, _, u in _products(network, x):
        share = math.sqrt(len(a) / network.width)  # a ray divides by the root of its width
        ray = Ray(u, g @ W.mT, a, 0.0, network.activation, value, one, one)
        start = start.plus(Start.of(ray), share)
        row, at, gain = switches(ray, limit)
        breakpoints.append((row.to(torch.int32), at, (share * gain).to(x.dtype)))
    constant = torch.full_like(value, abs(network.output_bias or 0.0))
    height_scale, slope_scale = start.height_scale + constant, start.slope_scale
    if x.dtype != torch.float64:
        height_scale = terms * _size(network, x) + constant
        slope_scale = terms * torch.linalg.vector_norm(g, dim=1, dtype=torch.float64)
    start = Start(start.slope, height_scale, slope_scale)
    row, at, gain = (torch.cat(column) for column in zip(*breakpoints, strict=True))
    del breakpoints
    crossings = []
    for i in range(n):
        own, index = row == i, torch.tensor([i])
        breaks, gains = in_order(torch.zeros_like(row[own], dtype=torch.int64), at[own], gain[own], 1)
        height = value[index].abs()
        crossings.append(first_crossing(height, start.rows(index), breaks, gains, limit[index], x.dtype))
    return Crossing.join(crossings)


def _products(network: StreamedTwoLayer, x: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor | None, Tensor]]:
    """(W, a, bias, u) block by block."""
    for _, W, a, bias in network.blocks(x.dtype, rows=rows_per_block(_BLOCK, len(x))):
        yield W, a, bias, x @ W.mT if bias is None else torch.addmm(bias, x, W.mT)
