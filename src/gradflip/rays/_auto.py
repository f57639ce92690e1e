"""The flip of a network: the choice of finder and of precision, and the blocks that bound its memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.networks import TwoLayer
from gradflip.rays._bracketed import Bracketed
from gradflip.rays._compiled import kernels, serves
from gradflip.rays._flip import Flip, FlipStatus
from gradflip.rays._newton import CertifiedNewton
from gradflip.rays._piecewise import PiecewiseLinear
from gradflip.rays._products import checked_inputs, gradient_rays, product_type
from gradflip.rays._ray import Ray

Finder = Callable[[Ray], Flip]

_ROWS = 256  # of a block: products are as fast as with more, and a narrow network's block stays in the cache
_LARGEST = 2**25  # pre-activations of a block at most


def flip(network: TwoLayer, x: Float[Tensor, "n d"], *, finder: Finder | None = None) -> Flip:
    """The smallest single step along the input gradient that flips the prediction, for a batch of inputs.

    Exact for piecewise-linear activations, bracketed for others; `Flip.certainty` says which, `Flip.method` how and
    at what cost. The exact finder is `CertifiedNewton` where it can serve, else `PiecewiseLinear`; both find the
    same.

    Matrix products are taken in the type of the network, sums over neurons in float64. With a float32 network a step
    is that of float64 to about 1e-6; where float32 cannot settle what happens along a ray, because f(x) is too near 0
    or phi does not plainly fall through it, that row is done again in float64. For float64 throughout give
    `network.to(dtype=torch.float64)`. Smooth activations always are; float16 networks are computed in float32.

    Args:
        network: A two-layer network.
        x: Inputs.
        finder: `CertifiedNewton()`, `PiecewiseLinear()` or `Bracketed()`; another gets rays in float64.

    Returns:
        A `Flip`, one entry per input.

    Raises:
        UsageError: If x has the wrong shape, is not finite or is on another device.

    Shape:
        x `(n, d)`. Rows are worked off in blocks of at most 256: memory is at most 4 x 256 x m numbers beside the
        inputs, whatever n.

    Source: the single gradient step of Wang et al. (2022), Section 5.1, found exactly; spec 1.2.
    """
    x = checked_inputs(network, x)
    if not len(x):
        raise UsageError("x must hold at least one input, got none.")
    finder = finder or _best(network)
    dtype = product_type(network) if isinstance(finder, CertifiedNewton | PiecewiseLinear) else torch.float64
    found = _blocks(network, x, finder, dtype)
    method = f"{found.method}, {str(dtype)[6:]}"
    again = (found.status != FlipStatus.FLIPPED).nonzero()[:, 0]
    if dtype != torch.float64 and len(again):
        found = found.replaced(again, _blocks(network, x[again], finder, torch.float64))
        method += f", {len(again)} of {len(x)} rows again in float64"
    method += f": {float(found.passes.to(torch.float64).mean()):.2f} passes a row"
    return found.with_method(method)


def _best(network: TwoLayer) -> CertifiedNewton | PiecewiseLinear | Bracketed:
    if not network.activation.piecewise_linear:
        return Bracketed()
    compiled = serves(network.activation, network.W.device) and kernels() is not None
    return CertifiedNewton() if compiled else PiecewiseLinear()


def _blocks(network: TwoLayer, x: Tensor, finder: Finder, dtype: torch.dtype) -> Flip:
    rows = max(1, min(_ROWS, _LARGEST // network.width))
    return Flip.join([finder(ray) for ray in gradient_rays(network, x, dtype, rows)])
