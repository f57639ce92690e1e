"""Training and test examples of a two-class problem."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Training and test examples of a two-class problem, with labels in {-1, +1}.

    Attributes:
        x_train: Training inputs, one in each row.
        y_train: Their labels, -1 for the first class and +1 for the second, in the dtype of the inputs.
        x_test: Test inputs.
        y_test: Their labels.
        name: Name of the data set.
        classes: The two classes, the one with label -1 first.
        size: Side of an image; `dim` is the number of entries of an input.

    Raises:
        UsageError: If a tensor has the wrong shape, dtype or device, is empty, is not finite, or if a label is not
            -1 or +1.
    """

    x_train: Float[Tensor, "n_train d"]
    y_train: Float[Tensor, " n_train"]
    x_test: Float[Tensor, "n_test d"]
    y_test: Float[Tensor, " n_test"]
    name: str
    classes: tuple[int, int]
    size: int

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            _check(part, getattr(self, f"x_{part}"), getattr(self, f"y_{part}"), like=self.x_train)
        if self.x_test.shape[1] != self.dim:
            raise UsageError(f"x_test must have the {self.dim} columns of x_train, got {self.x_test.shape[1]}.")

    @property
    def dim(self) -> int:
        """Number of entries of one input, d."""
        return self.x_train.shape[1]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Split:
        """The same examples on another device or in another floating-point dtype.

        Args:
            device: Where to; None keeps the device.
            dtype: In which precision; None keeps the dtype.

        Returns:
            A new `Split`. Tensors that need no change are shared with this one.
        """
        names = ("x_train", "y_train", "x_test", "y_test")
        return dataclasses.replace(self, **{name: getattr(self, name).to(device=device, dtype=dtype) for name in names})


def _check(part: str, x: Tensor, y: Tensor, *, like: Tensor) -> None:
    for name, tensor in ((f"x_{part}", x), (f"y_{part}", y)):
        if not isinstance(tensor, Tensor):
            raise UsageError(f"{name} must be a torch.Tensor, got {type(tensor).__name__}.")
        if not tensor.is_floating_point():
            raise UsageError(f"{name} must have a floating-point dtype, got {tensor.dtype}.")
        if tensor.dtype != like.dtype:
            raise UsageError(f"{name} must have the dtype of x_train, {like.dtype}, got {tensor.dtype}.")
        if tensor.device != like.device:
            raise UsageError(f"{name} must be on the device of x_train, {like.device}, got {tensor.device}.")
    if x.ndim != 2 or 0 in x.shape:
        raise UsageError(f"x_{part} must have shape (n, d) with n, d >= 1, got {tuple(x.shape)}.")
    if y.shape != (len(x),):
        raise UsageError(f"y_{part} must have shape ({len(x)},), a label for each input, got {tuple(y.shape)}.")
    if not (finite := x.isfinite()).all():
        raise UsageError(f"x_{part} must be finite, got {x[~finite][0].item()}.")
    if not (signs := y.abs() == 1).all():
        raise UsageError(f"y_{part} must hold only -1 and +1, got {y[~signs][0].item()}.")
