"""The form of a random two-layer network: its size, its scaling, and its random signs."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from gradflip._checks import positive_int
from gradflip._errors import UsageError
from gradflip._seeds import generator

Scaling = Literal["unit", "sqrt-d"]


def checked_form(dim: int, width: int, scaling: str) -> tuple[int, int]:
    """Check the size and scaling of a random network.

    Args:
        dim: Input dimension.
        width: Number of hidden units.
        scaling: Name of the scaling.

    Returns:
        dim and width, as Python integers.

    Raises:
        UsageError: If dim or width is not a positive integer, or there is no such scaling.
    """
    form = positive_int("dim", dim), positive_int("width", width)
    if scaling not in get_args(Scaling):
        raise UsageError(f"scaling must be 'unit' or 'sqrt-d', got {scaling!r}.")
    return form


def random_output_bias(width: int, seed: int) -> float:
    """The constant c = +-1/sqrt(m) of a random network.

    Args:
        width: Number m of hidden units.
        seed: Seed of the network.

    Returns:
        The constant.
    """
    return float(signs(1, seed, "output-bias")) / math.sqrt(width)


def signs(count: int, seed: int, purpose: str) -> Tensor:
    """Independent signs of a random network.

    Args:
        count: Number of signs.
        seed: Seed of the network.
        purpose: Name of the stream.

    Returns:
        +-1, `(count,)`, float64.
    """
    return torch.randint(0, 2, (count,), generator=generator(seed, purpose)).to(torch.float64) * 2 - 1


def one_number(value: float | Tensor) -> float:
    """The constant c as a finite float.

    Args:
        value: A number or a tensor of one entry.

    Returns:
        The number.

    Raises:
        UsageError: If it is not one finite number.
    """
    if isinstance(value, Tensor) and value.numel() != 1:
        raise UsageError(f"output_bias must be one number, got shape {tuple(value.shape)}.")
    number = float(value)
    if not math.isfinite(number):
        raise UsageError(f"output_bias must be finite, got {number}.")
    return number
