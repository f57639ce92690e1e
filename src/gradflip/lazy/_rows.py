"""The trained weights of a two-layer network as the rows of one matrix, [W, b]."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.networks import TwoLayer


def rows(network: TwoLayer) -> Float[Tensor, "m k"]:
    """The trained weights in float64, one row per neuron: W, or [W, b] if there are biases.

    Args:
        network: A network.

    Returns:
        The rows; biases are the last column.

    Shape:
        `(m, d)` or `(m, d + 1)`.
    """
    W = network.W.to(torch.float64)
    return W if network.bias is None else torch.cat([W, network.bias.to(torch.float64)[:, None]], dim=1)


def with_rows(network: TwoLayer, trained: Float[Tensor, "m k"]) -> TwoLayer:
    """Replace the trained weights of a network, rounded to its type.

    Args:
        network: Gives everything else.
        trained: Rows as `rows` returns them.

    Returns:
        The new network.

    Shape:
        trained `(m, d)` or `(m, d + 1)`.
    """
    trained = trained.to(network.W.dtype)
    bias = None if network.bias is None else trained[:, -1].contiguous()
    W = trained if bias is None else trained[:, :-1].contiguous()
    return TwoLayer(W, network.a, bias, network.output_bias, network.activation, network.scaling)


def comparable(network: TwoLayer, network0: TwoLayer, *, reference: str = "the ball's centre") -> TwoLayer:
    """Convert a network to `unit` scaling and check that it differs from a reference in W and b only.

    Args:
        network: A network.
        network0: The reference, in `unit` scaling.
        reference: Name of the reference in error messages.

    Returns:
        The network in `unit` scaling.

    Raises:
        UsageError: If shape, top weights or output bias differ, or only one of the networks has biases.
    """
    unit = network.rescale("unit")
    if unit.W.shape != network0.W.shape:
        raise UsageError(
            f"the network must have the shape of {reference}, {tuple(network0.W.shape)}, got {tuple(unit.W.shape)}."
        )
    if (unit.bias is None) != (network0.bias is None):
        raise UsageError(f"the network and {reference} must both have biases or both have none.")
    coarser = min(unit.a.dtype, network0.a.dtype, key=lambda dtype: torch.finfo(dtype).bits)
    if not torch.equal(unit.a.to(coarser), network0.a.to(coarser)):
        raise UsageError(f"the network must have the top weights of {reference}: they are not trained.")
    if (unit.output_bias or 0.0) != (network0.output_bias or 0.0):
        raise UsageError(
            f"the network must have the output bias of {reference}, {network0.output_bias}, "
            f"got {unit.output_bias}: it is not trained."
        )
    return unit


def check_relu_without_biases(network: TwoLayer, what: str) -> None:
    """Check that a network is one of the theory's.

    Args:
        network: A network.
        what: What needs it, for the error.

    Raises:
        UsageError: If its activation is not relu, or it has biases.
    """
    if network.activation.name != "relu":
        raise UsageError(f"{what} needs activation 'relu', got {network.activation.name!r}.")
    if network.bias is not None:
        raise UsageError(f"{what} needs a network without biases.")
