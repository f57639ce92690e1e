"""The flip of a network: the choice of the finder, and the blocks that bound its memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.networks import TwoLayer
from gradflip.rays._bracketed import Bracketed
from gradflip.rays._flip import Flip
from gradflip.rays._piecewise import PiecewiseLinear
from gradflip.rays._ray import Ray, checked_inputs, gradient_ray_block, largest_weights

Finder = Callable[[Ray], Flip]

_BLOCK = 2**23  # pre-activations of a block: smaller arrays come from a heap that fragments, larger cost memory


def flip(network: TwoLayer, x: Float[Tensor, "n d"], *, finder: Finder | None = None) -> Flip:
    """The smallest single step along the input gradient that flips the prediction, for a batch of inputs.

    Exact for piecewise-linear activations, bracketed for others; `Flip.certainty` says which. Computed in float64
    whatever the type of the network.

    Args:
        network: A two-layer network.
        x: Inputs.
        finder: `PiecewiseLinear()` or `Bracketed()`; by default the exact one wherever it applies.

    Returns:
        A `Flip`, one entry per input.

    Raises:
        UsageError: If x has the wrong shape, is not finite or is on another device.

    Shape:
        x `(n, d)`. Rows are worked off in blocks: memory is W in float64 and about 1.5 GB at most, whatever n.

    Source: the single gradient step of Wang et al. (2022), Section 5.1, found exactly; spec 1.2.
    """
    x = checked_inputs(network, x)
    if not len(x):
        raise UsageError("x must hold at least one input, got none.")
    if finder is None:
        finder = PiecewiseLinear() if network.activation.piecewise_linear else Bracketed()
    network = network.to(dtype=torch.float64)
    largest = largest_weights(network)
    blocks = torch.split(x, max(1, _BLOCK // network.width))
    return Flip.join([finder(gradient_ray_block(network, block, largest)) for block in blocks])
