"""Inputs uniform on the unit sphere, labelled by a planted rule."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._seeds import generator
from gradflip.data._registry import DATA_SETS
from gradflip.data._request import Request
from gradflip.data._split import Split

_SPHERE = DATA_SETS["sphere"]
_COUNTS = {"train": _SPHERE.train_count, "test": _SPHERE.test_count}


def load(request: Request) -> Split:
    """Return the sphere in the dimension of the requested size; inputs have norm 1 in any case."""
    size = _SPHERE.shape[0] if request.size is None else request.size
    return sphere(size, seed=request.seed, dtype=request.dtype)


def sphere(size: int, *, seed: int, dtype: torch.dtype) -> Split:
    """2,000 training and 1,000 test inputs, uniform on the unit sphere, with the sign of the first entry as label.

    Args:
        size: Square root of the dimension, so that the inputs fit where images of that size do.
        seed: Decides the inputs. Drawn in float64, they are the same for every dtype up to rounding.
        dtype: Precision of the result.

    Returns:
        The `Split`. Its classes are (0, 1): the halves of the sphere with a negative and a positive first entry.
    """
    parts: dict[str, Tensor] = {}
    for part, count in _COUNTS.items():
        x = _uniform(count, size * size, generator(seed, f"data/sphere/{part}"))
        parts[f"x_{part}"] = x.to(dtype)
        parts[f"y_{part}"] = torch.where(x[:, 0] < 0, -1.0, 1.0).to(dtype)
    return Split(**parts, name="sphere", classes=(0, 1), size=size)


def _uniform(count: int, dim: int, source: torch.Generator) -> Float[Tensor, "count dim"]:
    normal = torch.randn(count, dim, generator=source, dtype=torch.float64)
    return normal.div(torch.linalg.vector_norm(normal, dim=1, keepdim=True))
