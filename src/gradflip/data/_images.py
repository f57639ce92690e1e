"""Grey images of ten classes -> a two-class `Split` as requested."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from gradflip._errors import UsageError
from gradflip.data._request import Request
from gradflip.data._split import Split

_CHUNK = 1024  # images resized together: bounds the memory beside the result


@dataclasses.dataclass(frozen=True, eq=False)
class LabelledImages:
    """Square grey images with their classes, as they come from the files.

    Attributes:
        name: Name of the data set.
        train: Training images.
        train_classes: Their classes, 0 to 9.
        test: Test images.
        test_classes: Their classes.
        white: The value that becomes 1.
    """

    name: str
    train: UInt8[Tensor, "n_train side side"]
    train_classes: UInt8[Tensor, " n_train"]
    test: UInt8[Tensor, "n_test side side"]
    test_classes: UInt8[Tensor, " n_test"]
    white: int


def two_classes(images: LabelledImages, request: Request) -> Split:
    """The images of two classes, in the order of the files, as rows of pixels in [0, 1].

    Args:
        images: Images of all classes.
        request: Classes, size and precision; pixels are resized and normalized in float64 first.

    Returns:
        The `Split`.
    """
    classes, dtype = request.classes, request.dtype
    size = images.train.shape[-1] if request.size is None else request.size
    parts: dict[str, Tensor] = {}
    for part, pixels, labels in (
        ("train", images.train, images.train_classes),
        ("test", images.test, images.test_classes),
    ):
        index = ((labels == classes[0]) | (labels == classes[1])).nonzero()[:, 0]
        x = torch.empty(len(index), size * size, dtype=dtype)
        for rows, chosen in zip(torch.split(x, _CHUNK), torch.split(index, _CHUNK), strict=True):
            resized = _resize(pixels[chosen].double() / images.white, size, request.antialias).flatten(1)
            rows.copy_(_unit(resized, chosen, f"{part} image", images.name) if request.normalize else resized)
        parts[f"x_{part}"] = x
        parts[f"y_{part}"] = torch.where(labels[index] == classes[1], 1.0, -1.0).to(dtype)
    return Split(**parts, name=images.name, classes=classes, size=size)


def _resize(pixels: Float[Tensor, "n side side"], size: int, antialias: bool) -> Float[Tensor, "n size size"]:
    if pixels.shape[-1] == size:
        return pixels
    resized = interpolate(pixels[:, None], size=(size, size), mode="bilinear", antialias=antialias, align_corners=False)
    return resized[:, 0]


def _unit(x: Float[Tensor, "n d"], index: Tensor, kind: str, name: str) -> Float[Tensor, "n d"]:
    norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    if (black := (norm[:, 0] == 0).nonzero()[:, 0]).numel():
        raise UsageError(
            f"normalize needs images that are not black all over, got {kind} {index[black[0]].item()} of {name}; "
            "take a larger size, or antialias=True."
        )
    return x.div(norm)
