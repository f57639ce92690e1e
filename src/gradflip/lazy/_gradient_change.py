"""How much the input gradient changes near an input (Lemma 4.4): lower estimates of the supremum, by ascent.

The change grad f(x + delta) - grad f(x) of a ReLU network is constant between the hyperplanes where neurons switch, so
its slope in delta vanishes. The ascent follows the slope of a version in which neurons switch softly, 1[v > 0] replaced
by a sigmoid that sharpens from step to step; the result is the true change, the largest over all iterates.

Source: Wang et al. (2022), Lemma 4.4; docs/mathematics/lazy-training.md, "Lemma 4.4, the change of the gradient".
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip.lazy._rows import check_relu_without_biases
from gradflip.lazy._settings import check_count
from gradflip.networks import TwoLayer

_SOFTNESS = (2.0, 0.5)  # width of the sigmoid in units of the radius, at the first step and at the last
_BLOCK = 2**24  # pre-activations held at once


def largest_gradient_change(
    network: TwoLayer,
    x: Float[Tensor, "n d"],
    radius: float,
    *,
    starts: int,
    steps: int,
    generator: torch.Generator,
) -> Float[Tensor, " n"]:
    """A lower estimate of sup { |grad f(x + delta) - grad f(x)| : |delta| <= radius }.

    The ascent starts along the gradient, against it, and in random directions.

    Args:
        network: A relu network without biases.
        x: Inputs.
        radius: Largest norm of delta.
        starts: Number of random directions.
        steps: Steps from each start.
        generator: Source of the random directions.

    Returns:
        One number per input, attained by some delta, in float64.

    Raises:
        UsageError: If the network is not relu or has biases, or a number of steps or starts is too small.

    Shape:
        x `(n, d)`, result `(n,)`. Time of three matrix products per step and start, memory for a block of inputs.

    Source: docs/mathematics/lazy-training.md, "Lemma 4.4, the change of the gradient".
    """
    check_relu_without_biases(network, "largest_gradient_change")
    check_count("starts", starts, least=0)
    check_count("steps", steps)
    network = network.to(dtype=torch.float64)
    x = x.to(torch.float64)
    inputs = max(1, _BLOCK // (network.width * (starts + 2)))
    random = torch.randn(len(x), starts, network.dim, generator=generator, dtype=torch.float64)
    blocks = [slice(i, i + inputs) for i in range(0, len(x), inputs)]
    return torch.cat([_ascend(network, x[block], random[block], radius, steps) for block in blocks])


def _ascend(network: TwoLayer, x: Tensor, random: Tensor, radius: float, steps: int) -> Tensor:
    W, a = network.W, network.a / math.sqrt(network.width)
    u = (x @ W.mT)[:, None]  # (n, 1, m)
    on = (u > 0).to(torch.float64)
    g = network.gradient(x)[:, None]
    delta = _of_length(torch.cat([g, -g, random], dim=1), radius)  # (n, starts, d)
    best = x.new_zeros(len(x))
    first, last = _SOFTNESS
    for step in range(steps):
        softness = first * (last / first) ** (step / max(1, steps - 1))
        v = u + delta @ W.mT
        change = (((v > 0).to(torch.float64) - on) * a) @ W
        best = best.maximum(torch.linalg.vector_norm(change, dim=-1).amax(dim=1))
        soft = torch.sigmoid(v / (softness * radius))
        slope = (soft * (1 - soft) * a * (change @ W.mT)) @ W
        delta = torch.where((slope != 0).any(dim=-1, keepdim=True), _of_length(slope, radius), delta)
    return best


def _of_length(vectors: Tensor, length: float) -> Tensor:
    sizes = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    scaled: Tensor = length * vectors / sizes.clamp(min=1e-300)
    return scaled
