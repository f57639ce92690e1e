"""Checks of arguments: each returns the plain value, or refuses what came in one sentence.

numpy scalars and tensors or arrays without dimensions count as the numbers they hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gradflip._errors import UsageError


def positive_int(name: str, value: object, *, expected: str = "a positive integer", hint: str = "") -> int:
    """A positive integer.

    Args:
        name: The argument.
        value: What came.
        expected: What the sentence says it must be.
        hint: What the sentence ends with.

    Returns:
        The number.

    Raises:
        UsageError: If it is anything else; `True` and `2.0` are no integers.
    """
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, int):
        raise UsageError(f"{name} must be {expected}, got {_said(value)}{hint}.")
    if number < 1:
        raise UsageError(f"{name} must be {expected}, got {number!r}{hint}.")
    return number


def positive(name: str, value: object, *, hint: str = "") -> float:
    """A positive, finite number.

    Args:
        name: The argument.
        value: What came.
        hint: What the sentence ends with.

    Returns:
        The number, an int if that is what came.

    Raises:
        UsageError: If it is anything else; `True` is no number.
    """
    number = plain(value)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise UsageError(f"{name} must be positive and finite, got {_said(value)}{hint}.")
    if not 0 < number < math.inf:
        raise UsageError(f"{name} must be positive and finite, got {number!r}{hint}.")
    return number


def one_of(name: str, value: object, names: Sequence[str]) -> None:
    """Check that a name is one of a few.

    Args:
        name: The argument.
        value: What came.
        names: The names there are.

    Raises:
        UsageError: If it is none of them.
    """
    if not isinstance(value, str) or value not in names:
        known = " or ".join([", ".join(map(repr, names[:-1])), repr(names[-1])])
        raise UsageError(f"{name} must be {known}, got {value!r}.")


def finite(name: str, x: Tensor) -> None:
    """Check that all entries of a tensor are finite.

    Args:
        name: The argument.
        x: A tensor.

    Raises:
        UsageError: If one is NaN or infinite; it says how many.
    """
    if x.numel() and not all(math.isfinite(float(end)) for end in torch.aminmax(x.detach())):  # no mask
        bad = int((~torch.isfinite(x)).sum())
        raise UsageError(f"{name} must be finite, got {bad} entries that are NaN or infinite.")


def plain(value: object) -> object:
    """The Python number in a numpy scalar, or in an array or tensor without dimensions; all else as it is.

    Args:
        value: Anything.

    Returns:
        A Python number, or the value.
    """
    return value.item() if isinstance(value, np.generic | np.ndarray | Tensor) and value.ndim == 0 else value


def _said(value: object) -> str:
    """A value, and its type where that cannot be seen from it."""
    return repr(value) if isinstance(value, bool | int | float) else f"{value!r} of type {type(value).__name__}"
