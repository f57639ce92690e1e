"""How much the gradient can change within reach of an input: Lemma 4.4, from below by search."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip.networks import TwoLayer

_SOFTNESS = (2.0, 0.5)  # of the reach, at the first step and at the last: in how wide a band neurons are switching
_BLOCK = 2**24  # pre-activations held at once


def largest_difference(
    network: TwoLayer, x: Float[Tensor, "n d"], reach: float, *, starts: int, steps: int, draw: torch.Generator
) -> Float[Tensor, " n"]:
    """The largest |grad f(x + delta) - grad f(x)| found over |delta| <= reach: a lower estimate of the supremum.

    The difference is constant between switches of neurons, so the ascent follows a slope in which neurons switch
    softly; what is reported is the difference itself, the largest over all iterates. Starts: along the gradient,
    against it, and in random directions.

    Args:
        network: A relu network without biases.
        x: Inputs.
        reach: How far.
        starts: How many random directions.
        steps: From each start.
        draw: Of the random directions.

    Returns:
        One number per input.
    """
    network = network.to(dtype=torch.float64)
    x = x.to(torch.float64)
    inputs = max(1, _BLOCK // (network.width * (starts + 2)))
    random = torch.randn(len(x), starts, network.dim, generator=draw, dtype=torch.float64)
    blocks = [slice(i, i + inputs) for i in range(0, len(x), inputs)]
    return torch.cat([_climb(network, x[block], random[block], reach, steps) for block in blocks])


def _climb(network: TwoLayer, x: Tensor, random: Tensor, reach: float, steps: int) -> Tensor:
    W, a = network.W, network.a / math.sqrt(network.width)
    u = (x @ W.mT)[:, None]  # (n, 1, m)
    on = (u > 0).to(torch.float64)
    g = network.gradient(x)[:, None]
    delta = _of_length(torch.cat([g, -g, random], dim=1), reach)  # (n, starts, d)
    best = x.new_zeros(len(x))
    first, last = _SOFTNESS
    for step in range(steps):
        softness = first * (last / first) ** (step / max(1, steps - 1))
        v = u + delta @ W.mT
        changed = (((v > 0).to(torch.float64) - on) * a) @ W
        best = best.maximum(torch.linalg.vector_norm(changed, dim=-1).amax(dim=1))
        soft = torch.sigmoid(v / (softness * reach))
        slope = (soft * (1 - soft) * a * (changed @ W.mT)) @ W
        delta = torch.where((slope != 0).any(dim=-1, keepdim=True), _of_length(slope, reach), delta)
    return best


def _of_length(vectors: Tensor, length: float) -> Tensor:
    sizes = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    scaled: Tensor = length * vectors / sizes.clamp(min=1e-300)
    return scaled
