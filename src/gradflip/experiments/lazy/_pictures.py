"""The test images that a run keeps for its report."""

from __future__ import annotations

import torch
from torch import Tensor

from gradflip.experiments._picture import Picture
from gradflip.networks import TwoLayer
from gradflip.rays import Flip

BEYOND = 1.01
"""The flipped image is shown at this multiple of the flip step, since f is 0 at s* itself."""


def pictures(network: TwoLayer, x: Tensor, flips: Flip, counted: Tensor) -> list[str | None]:
    """Keep the images with the smallest, the median and the largest relative perturbation.

    Args:
        network: The network.
        x: Test images.
        flips: Their flips.
        counted: Which of them may be kept: correctly classified, with a flip.

    Returns:
        A `Picture` as text for each of the three, `None` for all others.
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
