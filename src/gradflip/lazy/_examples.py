"""Checks of training and test examples."""

from __future__ import annotations

from torch import Tensor

from gradflip._checks import examples
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
    points, labels = examples(x, y, network.dim, network.device, names=(x_name, y_name))
    return points.to(network.dtype), labels.to(network.dtype)
