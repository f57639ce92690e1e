"""The one entry point: the name of a data set -> a `Split`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence

import torch

from gradflip._errors import UsageError, unknown
from gradflip.data._registry import DATA_SETS
from gradflip.data._request import Request
from gradflip.data._split import Split

_MAX_SIZE = 128  # 12,665 images of that size take 0.8 GB in float32
_DEFAULT_CLASSES = (0, 1)


def load_data(
    name: str = "digits",
    classes: Sequence[int] = _DEFAULT_CLASSES,
    size: int | None = None,
    normalize: bool = False,
    antialias: bool = True,
    data_dir: str | os.PathLike[str] | None = None,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> Split:
    """Two classes of a data set, with labels -1 (the first class) and +1 (the second).

    * `digits`: 8 x 8 digits that come with the package (UCI, CC BY 4.0). Test images are those whose index in the
      whole file of 1,797, all classes counted, is a multiple of five.
    * `mnist`: 28 x 28 digits, from `data_dir`, else the surrounding `data_folder`, else the folder `$GRADFLIP_DATA`,
      else the user's cache folder, else downloaded into it. The content is checked by its SHA-256.
    * `fashion-mnist`: 28 x 28 pieces of clothing in classes 0 to 9, from `data_dir`, `data_folder` or
      `$GRADFLIP_DATA`.
    * `sphere`: 2,000 training and 1,000 test inputs, uniform on the unit sphere in `size**2` dimensions, labelled by
      the sign of their first entry.

    Images are rows of pixels in [0, 1], in the order of the files.

    Args:
        name: One of `DATA_NAMES`.
        classes: The two classes, different digits of 0..9. Not for `sphere`.
        size: Images are resized to `size` x `size`, bilinearly; None keeps their size (8 or 28). For `sphere`, None
            is 10.
        normalize: Whether each image is scaled to Euclidean norm 1. Inputs of `sphere` always have it.
        antialias: Whether shrinking an image averages over the pixels that it merges. False samples few of them, as
            the published runs do.
        data_dir: Folder with the files of `mnist` or `fashion-mnist`, or with a subfolder of that name, which takes
            precedence. Nothing is downloaded then. The other data sets do not read it.
        dtype: torch.float32 or torch.float64. Images are resized and normalized in float64 first.
        seed: Decides the inputs of `sphere`; the images do not depend on it.

    Shape:
        `x_train` is `(n, d)` and `y_train` is `(n,)` with `d = size**2`; likewise `x_test` and `y_test`.

    Returns:
        The `Split`, on the CPU, with tensors of its own.

    Raises:
        UsageError: If an argument is not as described, or `normalize` meets an image that is black all over. It is a
            `ValueError`.
        FileError: If a file is missing, damaged, or cannot be downloaded. It is an `OSError`.

    Source: the experiments of Wang et al. (2022): MNIST's 0 and 1, downsampled.
    """  # noqa: DOC502
    _check(name, size, dtype, seed)
    pair = _checked_classes(classes)
    data_set = DATA_SETS[name]
    if data_set.planted and pair != _DEFAULT_CLASSES:
        raise UsageError(f"classes must be left at {_DEFAULT_CLASSES} for {name}, got {pair}.")
    module, _, function = data_set.loader.partition(":")
    loader: Callable[[Request], Split] = getattr(importlib.import_module(module), function)
    return loader(Request(pair, size, normalize, antialias, data_dir, dtype, seed))


def _check(name: str, size: int | None, dtype: torch.dtype, seed: int) -> None:
    if name not in DATA_SETS:
        raise UsageError(unknown("data set", str(name), DATA_SETS))
    if size is not None and not (_is_int(size) and 1 <= size <= _MAX_SIZE):
        raise UsageError(f"size must be an integer from 1 to {_MAX_SIZE}, or None, got {size!r}.")
    if dtype not in (torch.float32, torch.float64):
        raise UsageError(f"dtype must be torch.float32 or torch.float64, got {dtype}.")
    if not _is_int(seed):
        raise UsageError(f"seed must be an integer, got {seed!r}.")


def _checked_classes(classes: Sequence[int]) -> tuple[int, int]:
    match classes:
        case (first, second) if all(_is_int(c) and 0 <= c <= 9 for c in (first, second)) and first != second:
            return first, second
    shown = tuple(classes) if isinstance(classes, list) else classes
    raise UsageError(f"classes must be two different digits of 0..9, got {shown!r}.")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
