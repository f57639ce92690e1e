"""Checkpoints of a training: one safetensors file with tensors, and JSON values in its header."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from torch import Tensor

from gradflip._errors import FileError, UsageError

_FORMAT = "gradflip.training/1"


def write_checkpoint(path: Path, settings: dict[str, Any], tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Write a checkpoint; an interruption leaves the previous one.

    Args:
        path: File to write.
        settings: Settings of the training.
        tensors: Tensors of its state.
        numbers: JSON values of its state.

    Raises:
        FileError: If the file cannot be written.
    """
    from safetensors.torch import save_file

    about = {"format": _FORMAT, "settings": json.dumps(settings), "numbers": json.dumps(numbers)}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, temporary, metadata=about)
        os.replace(temporary, path)
    except Exception as error:  # safetensors has an exception class of its own for a failed write
        temporary.unlink(missing_ok=True)
        raise FileError(f"{path} cannot be written: {error}.") from error


def read_checkpoint(path: Path, settings: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read a checkpoint.

    Args:
        path: File to read.
        settings: Settings of the training that resumes.

    Returns:
        Tensors and JSON values; `None` if there is no such file.

    Raises:
        FileError: If the file is damaged.
        UsageError: If it belongs to a training with other settings.
    """
    from safetensors import safe_open

    if not path.exists():
        return None
    try:
        with safe_open(str(path), framework="pt") as opened:
            about = opened.metadata() or {}
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        kept, numbers = json.loads(about["settings"]), json.loads(about["numbers"])
    except Exception as error:  # safetensors has an exception class of its own; other files lack the header
        raise FileError(f"{path} is no checkpoint of a training, or a damaged one: {error}; remove it.") from error
    different = [name for name in settings if kept.get(name) != settings[name]]
    if different:
        shown = ", ".join(f"{name} = {kept.get(name)} there and {settings[name]} here" for name in different)
        raise UsageError(f"checkpoint {path} is of another training: {shown}; name another file or remove it.")
    return tensors, numbers
