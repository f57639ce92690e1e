"""Checks of training and test examples."""

from __future__ import annotations

import torch
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.networks import TwoLayer


def check_examples(network: TwoLayer, x: Tensor, y: Tensor, x_name: str, y_name: str) -> tuple[Tensor, Tensor]:
    """Check inputs and labels, and convert them to the type of the network.

    Args:
        network: Gives dimension, type and device.
        x: Inputs, `(n, d)`.
        y: Labels, -1 or +1, `(n,)`.
        x_name: Name of the inputs in error messages.
        y_name: Name of the labels in error messages.

    Returns:
        Inputs and labels.

    Raises:
        UsageError: If a shape, an entry, a device or a label is wrong.
    """
    if x.ndim != 2 or x.shape[1] != network.dim or not len(x):
        raise UsageError(f"{x_name} must have shape (n, {network.dim}) with n at least 1, got {tuple(x.shape)}.")
    if y.shape != x.shape[:1]:
        raise UsageError(f"{y_name} must have one label per row of {x_name}, {len(x)}, got shape {tuple(y.shape)}.")
    if x.device != network.W.device or y.device != network.W.device:
        raise UsageError(f"{x_name} and {y_name} must be on the device of the network, {network.W.device}.")
    if not bool(torch.isfinite(x).all()):
        raise UsageError(f"{x_name} must be finite, got {int((~torch.isfinite(x)).sum())} NaN or infinite entries.")
    wrong = y[(y != 1) & (y != -1)]
    if len(wrong):
        raise UsageError(f"{y_name} must hold only -1 and +1, got {float(wrong[0]):g}.")
    return x.detach().to(network.W.dtype), y.detach().to(network.W.dtype)
