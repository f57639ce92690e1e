"""The two functions that a kind of network registers: its rays, and the search for its flips.

Each kind registers in a file of its own. A kind that registers `rays` alone is searched by `Bracketed`, in float64 and
block by block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import singledispatch

import torch
from torch import Tensor

from gradflip._checks import positive_int
from gradflip._errors import UsageError
from gradflip.rays._abstract import AbstractRay
from gradflip.rays._bracketed import Bracketed
from gradflip.rays._result import Flip, FlipStatus

Finder = Callable[..., Flip]

_BLOCK_ROWS = 256  # of a network of which nothing else is known


@singledispatch
def rays(network: object, x: Tensor) -> AbstractRay:
    """The rays along which one gradient step moves the inputs.

    Args:
        network: A network of a registered kind.
        x: Inputs, one per ray.

    Raises:
        UsageError: If no rays are registered for this kind of network, or x does not fit it.
    """
    raise UsageError(
        f"network must be a TwoLayer, a StreamedTwoLayer or a RandomNetwork, got {type(network).__name__}; "
        "TwoLayer.from_module takes a PyTorch module of two layers."
    )


@singledispatch
def flips(network: object, x: Tensor, finder: Finder | None, block: int | None) -> Flip:
    """The flips of a batch of inputs.

    Args:
        network: A network of a registered kind, or of one that registers `rays` alone.
        x: Inputs.
        finder: The search; `None` for the best one.
        block: Inputs per block; `None` for the best number.

    Returns:
        A `Flip`.

    Raises:
        UsageError: If x does not fit the network, or an option does not apply to it.
    """
    search = finder or Bracketed()
    blocks = torch.split(x, checked_block(block) or _BLOCK_ROWS)
    return replace(Flip.join([search(rays(network, part)) for part in blocks]), dtype=torch.float64)


def checked_block(block: int | None) -> int | None:
    """The number of inputs per block, if one is given.

    Args:
        block: The number, or `None`.

    Returns:
        The number as a Python integer, or `None`.

    Raises:
        UsageError: If it is not a positive integer.
    """
    return None if block is None else positive_int("block", block)


def refine(search: Callable[[Tensor, torch.dtype], Flip], x: Tensor, dtype: torch.dtype) -> Flip:
    """Search in one type, and again in float64 on the rows that this type cannot settle.

    Args:
        search: The search for the flips of some inputs, with products in a type.
        x: Inputs.
        dtype: The type to begin with.

    Returns:
        A `Flip` of all inputs.
    """
    result = search(x, dtype)
    again = (result.status != FlipStatus.FLIPPED).nonzero()[:, 0]
    if dtype != torch.float64 and len(again):
        result = replace(result.replaced(again, search(x[again], torch.float64)), refined=len(again))
    return replace(result, dtype=dtype)
