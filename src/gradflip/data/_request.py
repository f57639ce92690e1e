"""What a caller of `load_data` asks for, checked, as its loader receives it."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Request:
    """The arguments of `load_data` after its checks.

    Attributes:
        classes: The classes that become -1 and +1.
        size: Side of the inputs wanted; None keeps the native one.
        normalize: Whether each input is scaled to norm 1.
        antialias: Whether shrinking averages over the pixels that it merges, instead of sampling some.
        data_dir: Folder with the data files, if the caller names one.
        dtype: Precision of the result.
        seed: Decides inputs that are drawn.
    """

    classes: tuple[int, int]
    size: int | None
    normalize: bool
    antialias: bool
    data_dir: str | os.PathLike[str] | None
    dtype: torch.dtype
    seed: int
