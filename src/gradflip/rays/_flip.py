"""The flip of a network: the choice of finder and of precision, and the blocks that bound its memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip._memory import free_memory
from gradflip.gaussian import RandomNetwork
from gradflip.networks import StreamedTwoLayer, TwoLayer
from gradflip.rays._bracketed import Bracketed
from gradflip.rays._gradient_ray import checked_inputs, gradient_rays, product_type
from gradflip.rays._newton import CertifiedNewton
from gradflip.rays._piecewise import PiecewiseLinear
from gradflip.rays._random_network import best_finder, flip_random
from gradflip.rays._ray import Ray
from gradflip.rays._result import Flip, FlipStatus
from gradflip.rays._streamed import streamed_flip

Finder = Callable[[Ray], Flip]

_ROWS = 512  # of a block at least: products of fewer are slower
_CACHED = 2**19  # pre-activations that stay in the cache: a narrow network's block has more rows
_OPERATIONS = 2  # times as many of these where each torch operation costs some microseconds, however few the rows
_LARGEST = 2**25  # pre-activations of a block at most


def flip(
    network: TwoLayer | StreamedTwoLayer | RandomNetwork,
    x: Float[Tensor, "*batch d"],
    *,
    finder: Finder | None = None,
    block: int | None = None,
) -> Flip:
    """The smallest single step along the input gradient that flips the prediction, for a batch of inputs.

    Exact for piecewise-linear activations, bracketed for others; `Flip.certainty` says which, `Flip.method` how and
    at what cost. The exact finder is `CertifiedNewton` where it can serve, else `PiecewiseLinear`; both find the
    same.

    Matrix products are taken in the type of the network, sums over neurons in float64. With a float32 network a step
    is that of float64 to about 1e-6 (1 + |x| / |f|) of it; where float32 cannot settle what happens along a ray,
    because f(x) is too near 0 or phi does not plainly fall through it, that row is done again in float64. For float64
    throughout give `network.to(dtype=torch.float64)`. Smooth activations always are; float16 networks are computed in
    float32.

    Args:
        network: A two-layer network, of which a `StreamedTwoLayer` is never held in memory; or a `RandomNetwork` of
            any depth. Deep ones are bracketed by forward passes.
        x: Inputs.
        finder: `CertifiedNewton()`, `PiecewiseLinear()` or `Bracketed()`; another gets rays in float64.
        block: Inputs worked off at once; by default 512, more for networks narrower than 1,024 (2,048 for
            `PiecewiseLinear`) and fewer for those wider than 65,536; 256 with a finder that is not exact.

    Returns:
        A `Flip`, one entry per input.

    Raises:
        UsageError: If x has the wrong shape, is not finite or is on another device, or a block does not fit in memory.

    Shape:
        x `(n, d)`, of a `RandomNetwork` of several draws `(draws, n, d)`.
        Memory: at most 4 x block x m numbers beside the inputs, whatever n.

    Source: the single gradient step of Wang et al. (2022), Section 5.1, found exactly; docs/mathematics/model.md,
        "Exact flips".
    """
    if isinstance(network, RandomNetwork):
        if block is not None or not isinstance(finder, CertifiedNewton | PiecewiseLinear | Bracketed | None):
            raise UsageError("block and finders of one's own are not for a RandomNetwork; leave them out.")
        return flip_random(network, x, finder)
    x = checked_inputs(network, x)
    if not len(x):
        raise UsageError("x must hold at least one input, got none.")
    if block is not None and (isinstance(block, bool) or not isinstance(block, int) or block < 1):
        raise UsageError(f"block must be a positive integer, got {block!r}.")
    if isinstance(network, StreamedTwoLayer):
        if finder is not None:
            raise UsageError("finder must be left out for a StreamedTwoLayer, or give network.stored().")
        return streamed_flip(network, x)
    finder = finder or best_finder(network.activation, network.W.device)
    dtype = product_type(network) if isinstance(finder, CertifiedNewton | PiecewiseLinear) else torch.float64
    rows = block or _rows(network.width, finder)
    with _saying_what_fits(network, rows):
        return _flip(network, x, finder, dtype, rows)


def _rows(width: int, finder: Finder) -> int:
    exact = isinstance(finder, CertifiedNewton | PiecewiseLinear)  # others hold many copies of a block
    cached = _CACHED * (_OPERATIONS if isinstance(finder, PiecewiseLinear) else 1)
    return max(1, min(max(_ROWS if exact else _ROWS // 2, cached // width), _LARGEST // width))


def _flip(network: TwoLayer, x: Tensor, finder: Finder, dtype: torch.dtype, rows: int) -> Flip:
    found = _blocks(network, x, finder, dtype, rows)
    method = f"{found.method}, {str(dtype)[6:]}"
    again = (found.status != FlipStatus.FLIPPED).nonzero()[:, 0]
    if dtype != torch.float64 and len(again):
        found = found.replaced(again, _blocks(network, x[again], finder, torch.float64, rows))
        method += f", {len(again)} of {len(x)} rows again in float64"
    method += f": {float(found.passes.to(torch.float64).mean()):.2f} passes a row"
    return found.with_method(method)


def _blocks(network: TwoLayer, x: Tensor, finder: Finder, dtype: torch.dtype, rows: int) -> Flip:
    return Flip.join([finder(ray) for ray in gradient_rays(network, x, dtype, rows)])


@contextmanager
def _saying_what_fits(network: TwoLayer, rows: int) -> Iterator[None]:
    """Tell what block would have fitted where memory runs out."""
    free = free_memory(network.W.device)  # now: when it has run out, the buffers of the block are still held
    try:
        yield
    except RuntimeError as error:  # torch has no class of its own for it on the CPU
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise UsageError(_too_large(network, rows, free)) from error


def _too_large(network: TwoLayer, rows: int, free: int | None) -> str:
    row = 4 * network.width * 8  # float32 rows may be done again in float64
    fits = rows // 2 if free is None else min(rows - 1, int(0.5 * free) // row)
    what = f"flip ran out of memory: a block of {rows} inputs takes about {rows * row / 1e9:.3g} GB"
    if fits < 1:
        return f"{what}, and not even one input fits; use a StreamedTwoLayer or fewer neurons."
    return f"{what}; try block={fits}."
