"""Shapes of deep networks, and the theorems that cover them."""

from __future__ import annotations

import math

GROWING = ("equal widths", "decreasing", "polynomial", "bottleneck")
NARROW = ("width 2", "width 5")
SHAPES = GROWING + NARROW
PAPERS = ("Daniely & Shacham 2020", "Bubeck et al. 2021", "Bartlett et al. 2021", "Montanari & Wu 2022")


def hidden_widths(shape: str, dim: int, depth: int) -> list[int]:
    """Widths of the hidden layers.

    Args:
        shape: One of `SHAPES`. Decreasing widths are halved from layer to layer; polynomial ones alternate between
            d^(3/2) and d; a bottleneck has one layer of √d in the middle.
        dim: Input dimension d.
        depth: Number of hidden layers.

    Returns:
        n_1, ..., n_L.
    """
    layers = range(1, depth + 1)
    match shape:
        case "equal widths":
            return [dim] * depth
        case "decreasing":
            return [max(2, dim // 2**layer) for layer in layers]
        case "polynomial":
            return [round(dim**1.5) if layer % 2 else dim for layer in layers]
        case "bottleneck":
            return [math.isqrt(dim) if layer == (depth + 1) // 2 else dim for layer in layers]
        case _:
            return [int(shape.removeprefix("width "))] * depth


def covered(paper: str, activation: str, shape: str) -> str:
    """The depths at which a theorem covers networks of this shape, whatever its constants.

    Args:
        paper: One of `PAPERS`.
        activation: `"relu"` or a smooth one.
        shape: One of `SHAPES`.

    Returns:
        `"all L"` (constant depth), `"L = 1"`, or nothing.
    """
    relu, grows = activation == "relu", shape in GROWING
    match paper:
        case "Daniely & Shacham 2020":  # each width vanishing against the one before; several steps
            return "all L" if relu and shape == "decreasing" else ""
        case "Bubeck et al. 2021":  # two layers; relu wider than d, smooth activations at any sub-exponential width
            return "L = 1" if (shape == "polynomial" if relu else grows) else ""
        case "Bartlett et al. 2021":  # relu, each width polynomial in the others
            return "all L" if relu and grows else ""
        case _:  # any activation, any widths that grow
            return "all L" if grows else ""
