"""Arrays and named settings in safetensors and npz files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gradflip._errors import FileError


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """Write tensors to a safetensors file (no pickle).

    Args:
        path: The file.
        tensors: By name, on any device.
        about: The header.

    Raises:
        FileError: If the file cannot be written.
    """
    from safetensors.torch import save_file

    try:
        # safetensors accepts neither views nor two tensors that share memory
        own = {name: tensor.cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()}
        save_file(own, str(path), metadata=dict(about))
    except Exception as error:  # safetensors has an exception class of its own for a failed write
        raise FileError(f"{path} cannot be written: {error}.") from error


def read_arrays(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Arrays and named settings of a safetensors or npz file.

    Args:
        path: The file.

    Returns:
        Arrays by name, and settings by name.

    Raises:
        FileError: If the file is missing or damaged.
    """
    if not path.is_file():
        raise FileError(f"{path} does not exist; give a .safetensors or .npz file with arrays W and a.")
    try:
        if path.suffix == ".npz":
            # opened here, since numpy leaves a damaged file open
            with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                given = {key: file[key] for key in file.files}
            about = {key: str(given.pop(key)) for key in ("scaling", "activation") if key in given}
            return {key: torch.from_numpy(value) for key, value in given.items() if value.dtype.kind in "fiu"}, about
        from safetensors import safe_open

        with safe_open(str(path), framework="pt") as opened:
            return {key: opened.get_tensor(key) for key in opened.keys()}, dict(opened.metadata() or {})  # noqa: SIM118
    except Exception as error:  # zipfile, numpy and safetensors each have their own
        raise FileError(f"{path} is not a readable .safetensors or .npz file: {error}.") from error
