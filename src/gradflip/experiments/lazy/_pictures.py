"""Which test images are kept, and where on their rays."""

from __future__ import annotations

import torch
from torch import Tensor

from gradflip.experiments._picture import Picture
from gradflip.networks import TwoLayer
from gradflip.rays import Flip

BEYOND = 1.01
"""The flipped image shown is at this multiple of the flip step: at s* itself f is 0."""


def pictures(network: TwoLayer, x: Tensor, flips: Flip, counted: Tensor) -> list[str | None]:
    """Pictures of the images with the smallest, the median and the largest relative perturbation.

    Args:
        network: The network.
        x: Test images.
        flips: Their flips.
        counted: Which of them may be shown: correctly classified, with a flip.

    Returns:
        A text for each image, `None` for all but the three.
    """
    texts: list[str | None] = [None] * len(x)
    candidates = counted.nonzero()[:, 0]
    if not len(candidates):
        return texts
    by_size = candidates[flips.relative[candidates].argsort(stable=True)].tolist()
    exact = network.to(dtype=torch.float64)
    for i in {by_size[0], by_size[len(by_size) // 2], by_size[-1]}:
        image = x[i].to(torch.float64)
        away = -BEYOND * flips.step[i] * flips.value[i].sign() * exact.gradient(image)
        after = float(exact(image + away))
        texts[i] = Picture(image.cpu().numpy(), away.cpu().numpy(), after).to_text()
    return texts
