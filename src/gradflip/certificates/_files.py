"""Checksummed files of certificates: a ball and tensors about it, with the SHA-256 digest of the content.

The digest detects damage and careless edits. It is no signature: there is no key, and whoever alters a file can
compute it again. What a certificate claims is checked by `verify`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from gradflip._errors import FileError, UsageError
from gradflip.lazy._ball import LazyBall
from gradflip.networks import ACTIVATIONS, TwoLayer, activation

_Read = TypeVar("_Read")


def write_checksummed(path: str | Path, file_format: str, ball: LazyBall, parts: Mapping[str, Tensor]) -> None:
    """Write a ball and tensors about it to a safetensors file whose header holds the digest of its content.

    Args:
        path: The file.
        file_format: Name of the format, such as `"gradflip.Certificate/1"`.
        ball: The ball; `TwoLayer.load` reads its centre from the file.
        parts: The tensors, by name.

    Raises:
        UsageError: If the activation is not a built-in one: its code cannot be saved.
        FileError: If the file cannot be written.
    """
    from safetensors.torch import save_file

    network = ball.network0
    if not (network.activation.name in ACTIVATIONS or network.activation.name.startswith("leaky_relu(")) or (
        activation(network.activation.name) is not network.activation
    ):
        raise UsageError(f"only built-in activations can be saved, got {network.activation.name!r}.")
    tensors = {**parts, "W": network.W, "a": network.a}
    if network.bias is not None:
        tensors["bias"] = network.bias
    if network.output_bias is not None:
        tensors["output_bias"] = torch.tensor(network.output_bias, dtype=torch.float64)
    tensors["radius"] = torch.tensor(ball.radius, dtype=torch.float64)
    # safetensors accepts neither views nor two tensors that share memory
    tensors = {name: part.cpu().clone(memory_format=torch.contiguous_format) for name, part in tensors.items()}
    header = {"format": file_format, "activation": network.activation.name, "scaling": "unit"}
    header["sha256"] = _digest(tensors, header)
    try:
        save_file(tensors, str(path), metadata=header)
    except Exception as error:  # safetensors has an exception class of its own for a failed write
        raise FileError(f"{path} cannot be written: {error}.") from error


def read_checksummed(
    path: str | Path, formats: Mapping[str, Callable[[LazyBall, Mapping[str, Tensor]], _Read]]
) -> _Read:
    """Read a file of `write_checksummed` and check its digest.

    Args:
        path: The file.
        formats: Accepted formats, each with the function that builds the value from the ball and the tensors.

    Returns:
        The value.

    Raises:
        FileError: If the file is missing, has another format, is damaged or was altered.
    """
    from safetensors import safe_open

    if not Path(path).is_file():
        raise FileError(f"{path} does not exist; give a file that Certificate.save wrote.")
    try:
        with safe_open(str(path), framework="pt") as opened:
            header = dict(opened.metadata() or {})
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors has its own
        raise FileError(f"{path} is not a readable certificate: {error}; make it again.") from error
    if header.get("format") not in formats:
        wanted = " or ".join(map(repr, formats))
        raise FileError(f"{path} is no certificate, its format is {header.get('format')!r}; give one of {wanted}.")
    stated = header.pop("sha256", None)
    if stated != _digest(tensors, header):
        raise FileError(f"{path} was altered: its content has another SHA-256 digest than it states; make it again.")
    try:
        network = TwoLayer(
            tensors["W"], tensors["a"], tensors.get("bias"), tensors.get("output_bias"), header["activation"]
        )
        return formats[header["format"]](LazyBall(network, radius=float(tensors["radius"])), tensors)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:  # a file may hold anything
        raise FileError(f"{path} is no whole certificate: {error}; make it again.") from error


def _digest(tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> str:
    """SHA-256 over names, types, shapes and bytes."""
    digest = hashlib.sha256(json.dumps(dict(header), sort_keys=True).encode())
    for name in sorted(tensors):
        part = tensors[name].contiguous()
        digest.update(f"{name} {part.dtype} {tuple(part.shape)}".encode())
        digest.update(part.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
