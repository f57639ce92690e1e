"""Checks of arguments: each returns the plain value, or refuses what came in one sentence.

numpy scalars and tensors or arrays without dimensions count as the numbers they hold, numpy arrays as tensors.
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
    if not is_finite(x):
        raise UsageError(f"{name} must be finite, got {_not_finite(x)} entries that are NaN or infinite.")


def is_finite(x: Tensor) -> bool:
    """Whether all entries are finite, without memory proportional to x.

    Args:
        x: Any tensor.

    Returns:
        True if there is no NaN and no infinity.
    """
    return not x.numel() or all(math.isfinite(float(end)) for end in torch.aminmax(x.detach()))


def array(name: str, value: object) -> Tensor:
    """A tensor of numbers, without its graph.

    Args:
        name: The argument.
        value: A tensor, or a numpy array, which is copied.

    Returns:
        The tensor.

    Raises:
        UsageError: If it is anything else.
    """
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        return torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder("="), order="C"))
    what = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    raise UsageError(f"{name} must be a tensor or a numpy array of numbers, got {what}.")


def inputs(x: object, dim: int, device: torch.device, *, name: str = "x") -> Tensor:
    """Inputs of a network, one per row.

    Args:
        x: The inputs.
        dim: Input dimension of the network.
        device: Device of the network.
        name: The argument.

    Returns:
        The inputs, `(n, dim)`, in their own type.

    Raises:
        UsageError: If the shape, the device or an entry is wrong.
    """
    points = array(name, x)
    if points.ndim != 2 or points.shape[1] != dim:
        raise UsageError(f"{name} must have shape (n, {dim}), one input a row, got {tuple(points.shape)}.")
    _check_device(name, points, device)
    finite(name, points)
    return points


def matrix(x: object, dim: int | None, *, name: str = "x") -> Tensor:
    """At least one input of a network, one per row, whatever its entries.

    Args:
        x: The inputs.
        dim: Input dimension of the network, `None` for any.
        name: The argument.

    Returns:
        The inputs, `(n, dim)`, in their own type.

    Raises:
        UsageError: If the shape is wrong.
    """
    points = array(name, x)
    if points.ndim != 2 or not len(points) or (dim is not None and points.shape[1] != dim):
        raise UsageError(f"{name} must have shape (n, {dim or 'd'}) with n at least 1, got {tuple(points.shape)}.")
    return points


def examples(
    x: object,
    y: object,
    dim: int | None,
    device: torch.device | None,
    *,
    names: tuple[str, str] = ("x", "y"),
    shape: str = "shape ",
) -> tuple[Tensor, Tensor]:
    """At least one input of a network, and a label for each.

    Args:
        x: The inputs.
        y: The labels, -1 or +1.
        dim: Input dimension of the network, `None` for any.
        device: Device of the network, `None` for any.
        names: The arguments.
        shape: What a wrong shape of the labels is called in the sentence.

    Returns:
        Inputs `(n, dim)` and labels `(n,)` in their own types, the labels on the device of the inputs.

    Raises:
        UsageError: If a shape, the device, an entry or a label is wrong.
    """
    x_name, y_name = names
    points, labels = matrix(x, dim, name=x_name), array(y_name, y)
    if labels.shape != points.shape[:1]:
        raise UsageError(
            f"{y_name} must have one label per row of {x_name}, {len(points)}, got {shape}{tuple(labels.shape)}."
        )
    if device is not None:
        _check_device(x_name, points, device)
    if not is_finite(points):
        raise UsageError(f"{x_name} must be finite, got {_not_finite(points)} NaN or infinite entries.")
    wrong = labels[(labels != 1) & (labels != -1)]
    if len(wrong):
        raise UsageError(f"{y_name} must hold only -1 and +1, got {float(wrong[0]):g}.")
    return points, labels.to(points.device)


def plain(value: object) -> object:
    """The Python number in a numpy scalar, or in an array or tensor without dimensions; all else as it is.

    Args:
        value: Anything.

    Returns:
        A Python number, or the value.
    """
    return value.item() if isinstance(value, np.generic | np.ndarray | Tensor) and value.ndim == 0 else value


def _check_device(name: str, x: Tensor, device: torch.device) -> None:
    if x.device != device:
        raise UsageError(f"{name} must be on the device of the network, {device}, got {x.device}.")


def _not_finite(x: Tensor) -> int:
    return int((~torch.isfinite(x)).sum())


def _said(value: object) -> str:
    """A value, and its type where that cannot be seen from it."""
    return repr(value) if isinstance(value, bool | int | float) else f"{value!r} of type {type(value).__name__}"
