"""The 8 x 8 digits that come with the package."""

from __future__ import annotations

import functools
import importlib.resources
import io

import numpy as np
import torch

from gradflip.data._images import LabelledImages, two_classes
from gradflip.data._request import Request
from gradflip.data._split import Split

_EVERY = 5


def load(request: Request) -> Split:
    """Return two classes of the digits."""
    return two_classes(digits(), request)


@functools.cache
def digits() -> LabelledImages:
    """The 1,797 digits of the UCI data set, every fifth a test image.

    A test image is one whose index in the whole file, counted from 0 over all ten classes, is a multiple of five, 360
    images. Which images of a class are test images therefore does not depend on the other class.

    Returns:
        The images, 8 x 8 with values 0 to 16.

    Source: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI, DOI 10.24432/C50P49, CC BY 4.0.
    """
    raw = importlib.resources.files("gradflip.data").joinpath("digits.npz").read_bytes()
    with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
        images = torch.from_numpy(archive["images"]).view(-1, 8, 8)
        classes = torch.from_numpy(archive["labels"])
    test = torch.arange(len(classes)) % _EVERY == 0
    return LabelledImages("digits", images[~test], classes[~test], images[test], classes[test], white=16)
