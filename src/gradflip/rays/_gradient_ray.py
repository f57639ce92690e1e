"""Rays of a network in memory: three matrix products, block by block, in reused buffers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._checks import inputs
from gradflip._errors import UsageError
from gradflip._memory import rows_per_block
from gradflip.gaussian import RandomNetwork
from gradflip.networks import Network, TwoLayer
from gradflip.rays._kinds import rays
from gradflip.rays._numba import in_threads, kernels, serves
from gradflip.rays._ray import Ray, rounding_of, snap, weighted_sum

_BLOCK = 2**21  # weights converted to another type than the network's


def gradient_ray(network: TwoLayer | RandomNetwork, x: Float[Tensor, "n d"]) -> Ray:
    """The rays along which one gradient step moves the inputs.

    Three matrix products, in the type of the network (float32 for a float16 one).

    Args:
        network: A two-layer network in memory, or a `RandomNetwork` with one hidden layer.
        x: Inputs.

    Returns:
        A `Ray`, one row per input.

    Raises:
        UsageError: If x has the wrong shape, is not finite or is on another device, or a product overflows.

    Shape:
        x `(n, d)`. Memory O(n m): for many inputs, `flip` works in blocks.

    Source: Wang et al. (2022), Theorem 3.1 (the step); docs/mathematics/model.md, "The ray".
    """
    return cast(Ray, rays(network, x))


@rays.register
def _(network: TwoLayer, x: Tensor) -> Ray:
    x = inputs(x, network.dim, network.device)
    (ray,) = gradient_rays(network, x, product_type(network), max(1, len(x)))
    return ray


def product_type(network: TwoLayer) -> torch.dtype:
    """The type of products with the weights of a network.

    Args:
        network: A network.

    Returns:
        float64 for float64 weights, else float32.
    """
    return torch.float64 if network.W.dtype == torch.float64 else torch.float32


def checked_batch(network: Network, x: Tensor) -> Tensor:
    """At least one input of a network.

    Args:
        network: The network.
        x: The inputs.

    Returns:
        The inputs, `(n, d)`, in their own type.

    Raises:
        UsageError: If there is none, or x has the wrong shape, is not finite or is on another device.
    """
    x = inputs(x, network.dim, network.device)
    if not len(x):
        raise UsageError("x must hold at least one input, got none.")
    return x


def gradient_rays(network: TwoLayer, x: Float[Tensor, "n d"], dtype: torch.dtype, rows: int) -> Iterator[Ray]:
    """`gradient_ray` block by block.

    Args:
        network: A network.
        x: Checked inputs, in any type.
        dtype: Type of the products.
        rows: Inputs per block.

    Yields:
        Rays in shared buffers: each overwrites the previous one.

    Raises:
        UsageError: If a product overflows float64; rows that overflow float32 get value 0 and gradient 0.
    """
    a, c = network.a.to(dtype), network.output_bias or 0.0
    bias = None if network.bias is None else network.bias.to(dtype)
    bent_at_zero = network.activation.bends_at_zero
    compiled = kernels() if serves(network.activation, x.device) else None
    scale = _Scale.of(network, a, bias)
    rows = min(rows, len(x))
    buffers = [network.W.new_empty((rows, width), dtype=dtype) for width in (network.width, network.width, network.dim)]
    for part in torch.split(x, rows):
        u, v, g = (buffer[: len(part)] for buffer in buffers)
        block = part.to(dtype)
        _product(network, block, bias, u)
        # v holds a sigma'(u) until g is known
        if compiled is not None:
            _compiled_slopes(compiled, network, u, a, v)
        elif bent_at_zero:
            network.activation.left_slopes(u, v).mul_(a)
        else:
            torch.mul(network.activation.derivative(u), a, out=v)
        _transposed_product(network, v, g)
        if bent_at_zero:  # sigma(u) = u sigma'(u): f is g . x plus a term of the biases alone
            constant = u.new_full((len(block),), c) if bias is None else v @ bias / scale.root + c
            value = constant.to(torch.float64)
        else:
            value, _ = weighted_sum(network.activation(u), a, c)
        if compiled is not None:
            value, norm, input_norm, clear = _compiled_directions(compiled, g, block, value, scale)
        else:
            if bent_at_zero:
                value += torch.linalg.vecdot(g.to(torch.float64), block.to(torch.float64)) / scale.root
            norm, input_norm, clear = _directions(value, g, block, scale)
        if not clear:
            few = scale.doubtful(value, norm, input_norm).nonzero()[:, 0]
            snapped, norm[few] = _snapped(network, u[few], v[few], norm[few], input_norm[few], scale)
            turned = torch.where(norm[few] > 0, snapped.sign() * _turn(value[few]), 0.0).to(dtype)[:, None]
            g[few] = torch.where(turned == 0, 0.0, g[few] * turned)
            value[few] = snapped
        _product(network, g, None, v)
        slope = -torch.where(value == 0, 0.0, norm.square()) if bent_at_zero else None
        yield Ray(u, v, a, c, network.activation, value, norm, input_norm, slope)


@dataclass(frozen=True)
class _Scale:
    """The scale of rounding errors: `terms` for g, terms |x| + constant for f(x).

    In float64, bounds on the sums of absolute terms. In float32, where each u_j is rounded independently, ten times the
    root of the sum of squares, which errors of independent signs do not reach; rows below are computed in float64.
    """

    root: float
    rounding: float
    terms: float
    constant: float

    @staticmethod
    def of(network: TwoLayer, a: Tensor, bias: Tensor | None) -> _Scale:
        root, steepest = math.sqrt(network.width), network.activation.lipschitz or 0.0
        weights = a.abs().to(torch.float64) * (steepest / root)
        lengths = torch.linalg.vector_norm(network.W, dim=1, dtype=product_type(network)).to(torch.float64)
        at_zero = abs(float(network.activation(torch.zeros((), dtype=torch.float64))))
        constant = abs(network.output_bias or 0.0) + at_zero * float(a.abs().sum(dtype=torch.float64)) / root
        biases = lengths.new_zeros(1) if bias is None else weights * bias.abs().to(torch.float64)
        total = torch.sum if a.dtype == torch.float64 else _ten_roots
        return _Scale(root, rounding_of(a.dtype), float(total(weights * lengths)), constant + float(total(biases)))

    def doubtful(self, value: Tensor, norm: Tensor, input_norm: Tensor) -> Tensor:
        """Whether f or g may be zero up to rounding, or is not finite."""
        small = value.abs() <= self.rounding * (self.terms * input_norm + self.constant)
        small |= norm <= self.rounding * self.terms
        return small | ~(value.isfinite() & norm.isfinite())


def _ten_roots(terms: Tensor) -> Tensor:
    return 10 * terms.square().sum().sqrt()


def _weights(network: TwoLayer, dtype: torch.dtype) -> Iterator[tuple[slice, Tensor]]:
    """W in a type, block by block if that needs a copy."""
    if network.W.dtype == dtype:
        yield slice(0, network.width), network.W
        return
    step = rows_per_block(_BLOCK, network.dim)
    for start in range(0, network.width, step):
        part = slice(start, min(start + step, network.width))
        yield part, network.W[part].to(dtype)


def _product(network: TwoLayer, x: Tensor, bias: Tensor | None, out: Tensor) -> None:
    """Write x W^T + b."""
    for part, W in _weights(network, x.dtype):
        if bias is None:
            torch.mm(x, W.mT, out=out[:, part])
        else:
            torch.addmm(bias[part], x, W.mT, out=out[:, part])


def _transposed_product(network: TwoLayer, q: Tensor, out: Tensor) -> None:
    """Write q W."""
    for part, W in _weights(network, q.dtype):
        if part.start == 0:
            torch.mm(q[:, part], W, out=out)
        else:
            out.addmm_(q[:, part], W)


def _directions(value: Tensor, g: Tensor, x: Tensor, scale: _Scale) -> tuple[Tensor, Tensor, bool]:
    """|g|, |x|, and whether no row is doubtful; g becomes sign(f) g / sqrt(m), along which f falls."""
    g *= (_turn(value) / scale.root).to(g.dtype)[:, None]
    norm = torch.linalg.vector_norm(g, dim=1, dtype=torch.float64)
    input_norm = torch.linalg.vector_norm(x, dim=1, dtype=torch.float64)
    return norm, input_norm, not bool(scale.doubtful(value, norm, input_norm).any())


def _turn(value: Tensor) -> Tensor:
    """-1 where f < 0, else 1."""
    return torch.where(value < 0, -torch.ones_like(value), 1.0)


def _snapped(
    network: TwoLayer, u: Tensor, q: Tensor, norm: Tensor, input_norm: Tensor, scale: _Scale
) -> tuple[Tensor, Tensor]:
    """Both f and |g|, exactly 0 where they are zero up to rounding of their own terms."""
    value, sizes = weighted_sum(network.activation(u), network.a, network.output_bias or 0.0)
    if u.dtype != torch.float64:
        # each u_j carries the rounding of its products
        sizes = torch.maximum(sizes, scale.terms * input_norm + scale.constant)
    # the sum of |terms| of g, by its largest coordinate: at most a factor sqrt(d) below the exact scale of the norm
    largest = torch.maximum(network.W.amax(dim=1), -network.W.amin(dim=1)).to(torch.float64)
    slopes = q.to(torch.float64).abs() @ largest / scale.root
    finite = value.isfinite() & norm.isfinite()
    if not bool(finite.all()):
        if u.dtype == torch.float64:
            raise UsageError("the network overflows float64 on these inputs; rescale its weights.")
        value, norm = torch.where(finite, value, 0.0), torch.where(finite, norm, 0.0)
    return snap(value, sizes, scale.rounding), snap(norm, slopes, scale.rounding)


def _compiled_slopes(compiled: ModuleType, network: TwoLayer, u: Tensor, a: Tensor, q: Tensor) -> None:
    assert network.activation.slopes is not None
    left, right = map(u.numpy().dtype.type, network.activation.slopes)
    rows, into = u.numpy(), q.numpy()
    in_threads(lambda part: compiled.weighted_slopes(rows[part], a.numpy(), left, right - left, into[part]), *u.shape)


def _compiled_directions(
    compiled: ModuleType, g: Tensor, x: Tensor, value: Tensor, scale: _Scale
) -> tuple[Tensor, Tensor, Tensor, bool]:
    """`_directions`, and f = g . x + (a term of the biases alone), since sigma is homogeneous."""
    norm, input_norm = torch.empty_like(value), torch.empty_like(value)
    columns = (value.numpy(), norm.numpy(), input_norm.numpy())
    numbers = (scale.root, scale.terms, scale.constant, scale.rounding)
    clear: bool = compiled.directions(g.numpy(), x.numpy(), *numbers, *columns)
    return value, norm, input_norm, clear
