"""Flips of a network in memory: the finder, the type of the products, and blocks that bound the memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gradflip._errors import UsageError
from gradflip._memory import free_memory, rows_per_block
from gradflip.networks import TwoLayer
from gradflip.rays._gradient_ray import checked_batch, gradient_rays, product_type
from gradflip.rays._kinds import Finder, checked_block, flips, refine
from gradflip.rays._newton import CertifiedNewton
from gradflip.rays._piecewise import PiecewiseLinear
from gradflip.rays._random_network import best_finder
from gradflip.rays._result import Flip

_BLOCK = 2**19  # pre-activations that fit into the cache: narrow networks have more rows per block
_BLOCK_ROWS = 512  # at least, since products of fewer rows are slower
_LARGEST_BLOCK = 2**25  # pre-activations at most
_OPERATIONS = 2  # blocks are that much larger where every torch operation costs microseconds, however few the rows


@flips.register
def _(network: TwoLayer, x: Tensor, finder: Finder | None, block: int | None) -> Flip:
    """Search block by block, in the type of the network if the finder supports it."""
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
    exact = isinstance(finder, CertifiedNewton | PiecewiseLinear)  # other finders hold several copies of a block
    least = _BLOCK_ROWS if exact else _BLOCK_ROWS // 2
    block = _BLOCK * (_OPERATIONS if isinstance(finder, PiecewiseLinear) else 1)
    return rows_per_block(_LARGEST_BLOCK, width, most=rows_per_block(block, width, least=least))


@contextmanager
def _saying_what_fits(network: TwoLayer, rows: int) -> Iterator[None]:
    """If memory runs out, say which block fits."""
    free = free_memory(network.W.device)  # before the search: afterwards, the buffers of the block are still held
    try:
        yield
    except RuntimeError as error:  # on the CPU, torch has no class for it
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise UsageError(_too_large(network, rows, free)) from error


def _too_large(network: TwoLayer, rows: int, free: int | None) -> str:
    row = 4 * network.width * 8  # float32 rows may be computed again in float64
    fits = rows // 2 if free is None else min(rows - 1, int(0.5 * free) // row)
    what = f"flip ran out of memory: a block of {rows} inputs takes about {rows * row / 1e9:.3g} GB"
    if fits < 1:
        return f"{what}, and not even one input fits; use a StreamedTwoLayer or fewer neurons."
    return f"{what}; try block={fits}."
