"""Flips of a user's own weights and inputs, from files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gradflip._errors import FileError, UsageError
from gradflip.networks import TwoLayer
from gradflip.rays._flip import flip
from gradflip.rays._result import Flip


def flip_files(weights: Path, inputs: Path, *, key: str = "x", activation: str | None = None) -> Flip:
    """The flips of a two-layer network at inputs, both read from files.

    Args:
        weights: `.npz` or `.safetensors` with W `(m, d)` and a `(m,)` of +-1; optionally bias, output_bias, scaling,
            activation.
        inputs: `.npy`, `.npz` or `.safetensors` with an array `(n, d)`.
        key: Name of that array if the file has several.
        activation: The activation if the file does not name it.

    Returns:
        A `Flip`.

    Raises:
        FileError: If a file is missing or damaged, or its content does not fit.
    """
    network = TwoLayer.load(weights, activation=activation)
    if not bool((network.a.abs() == 1).all()):
        at = network.a[network.a.abs() != 1][0]
        root = math.sqrt(network.width)
        divided = bool(torch.allclose(network.a.abs() * root, torch.ones_like(network.a), rtol=1e-4))
        hint = (
            f"it looks divided by sqrt(m) already: multiply it by {root:.6g}"
            if divided
            else "divide by |a_j| where W allows"
        )
        raise FileError(f"{weights}: a must hold +-1 (f carries the factor m^(-1/2)), got {float(at):.6g}; {hint}.")
    x = _load_inputs(inputs, key)
    try:
        return flip(network, x)
    except UsageError as error:
        raise FileError(f"{inputs}: {error}") from error


def _load_inputs(path: Path, key: str) -> Tensor:
    """The matrix of inputs in a file."""
    if not path.is_file():
        raise FileError(f"{path} does not exist; give a .npy, .npz or .safetensors file with an array of shape (n, d).")
    try:
        if path.suffix == ".npy":
            arrays = {key: np.load(path, allow_pickle=False)}
        elif path.suffix == ".npz":
            # opened here: numpy leaves a damaged file open
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        else:
            from safetensors.numpy import load_file

            arrays = load_file(str(path))
    except Exception as error:  # zipfile, numpy and safetensors each raise their own
        raise FileError(f"{path} is not a readable .npy, .npz or .safetensors file: {error}.") from error
    if key not in arrays and len(arrays) != 1:
        raise FileError(f"{path} has no array {key!r}; name one of {', '.join(sorted(arrays))} with --key.")
    array = arrays.get(key, next(iter(arrays.values())))
    if array.dtype.kind not in "fiu":
        raise FileError(f"{path}: the inputs must be numbers, got {array.dtype}.")
    return torch.from_numpy(np.atleast_2d(array).astype(np.float64))
