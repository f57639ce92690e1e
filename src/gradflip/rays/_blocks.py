"""The flips of a network in memory: the finder, the type of the products, and the blocks that bound the memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gradflip._errors import UsageError
from gradflip._memory import free_memory
from gradflip.networks import TwoLayer
from gradflip.rays._gradient_ray import checked_batch, gradient_rays, product_type
from gradflip.rays._kinds import Finder, checked_block, flips, refine
from gradflip.rays._newton import CertifiedNewton
from gradflip.rays._piecewise import PiecewiseLinear
from gradflip.rays._random_network import best_finder
from gradflip.rays._result import Flip

_ROWS = 512  # of a block at least: products of fewer are slower
_CACHED = 2**19  # pre-activations that stay in the cache: a narrow network's block has more rows
_OPERATIONS = 2  # times as many of these where each torch operation costs some microseconds, however few the rows
_LARGEST = 2**25  # pre-activations of a block at most


@flips.register
def _(network: TwoLayer, x: Tensor, finder: Finder | None, block: int | None) -> Flip:
    """Rays of a block at a time, in the network's type where the finder can take them."""
    x = checked_batch(network, x)
    block = checked_block(block)
    finder = finder or best_finder(network.activation, network.W.device)
    dtype = product_type(network) if isinstance(finder, CertifiedNewton | PiecewiseLinear) else torch.float64
    rows = block or _rows(network.width, finder)

    def search(part: Tensor, dtype: torch.dtype) -> Flip:
        return Flip.join([finder(ray) for ray in gradient_rays(network, part, dtype, rows)])

    with _saying_what_fits(network, rows):
        return refine(search, x, dtype)


def _rows(width: int, finder: Finder) -> int:
    exact = isinstance(finder, CertifiedNewton | PiecewiseLinear)  # others hold many copies of a block
    cached = _CACHED * (_OPERATIONS if isinstance(finder, PiecewiseLinear) else 1)
    return max(1, min(max(_ROWS if exact else _ROWS // 2, cached // width), _LARGEST // width))


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
