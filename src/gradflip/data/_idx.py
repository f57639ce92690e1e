"""The IDX format of MNIST: an array of unsigned bytes after a header with its shape."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import hashlib
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from gradflip._errors import FileError

_GZIP = b"\x1f\x8b"  # an IDX file begins with two zero bytes, so that the content tells them apart
_UNSIGNED_BYTE = 0x08
REMEDY = "Delete it and put a fresh copy in its place."


@dataclasses.dataclass(frozen=True, eq=False)
class Idx:
    """Content of an IDX file.

    Attributes:
        values: The array. Shared by all callers that read the same file: do not modify it.
        sha256: Hash of the uncompressed file, header included, in hexadecimal.
    """

    values: UInt8[Tensor, "*shape"]
    sha256: str


def read_idx(path: Path, *, ndim: int, sha256: str | None = None) -> Idx:
    """Read an IDX file of unsigned bytes, gzip or plain, whatever its name says.

    A process reads a file once, unless it changes.

    Args:
        path: Where it is.
        ndim: Number of dimensions it must have: 1 for labels, 3 for images.
        sha256: Hash that the uncompressed content must have, if it is known.

    Returns:
        The values and the hash.

    Raises:
        FileError: If the file cannot be read, is no such IDX file, is cut short or too long, or has another hash.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error
    return _read(path.resolve(), stat.st_mtime_ns, stat.st_size, ndim=ndim, sha256=sha256)


@functools.lru_cache(maxsize=8)  # the four files of two data sets
def _read(path: Path, _mtime: int, _bytes: int, *, ndim: int, sha256: str | None) -> Idx:
    content = _content(path, sha256)
    digest = hashlib.sha256(content).hexdigest()
    if sha256 not in (None, digest):
        raise FileError(
            f"{path} is damaged, or another file than its name says: the SHA-256 of its uncompressed content must be "
            f"{sha256}, got {digest}. {REMEDY}"
        )
    return Idx(_parse(path, content, ndim), digest)


def _content(path: Path, sha256: str | None) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}.") from error
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        wanted = f" The SHA-256 of its uncompressed content must be {sha256}, got none." if sha256 else ""
        raise FileError(f"{path} is damaged: gzip cannot decompress it ({error}).{wanted} {REMEDY}") from error


def _parse(path: Path, content: bytes, ndim: int) -> UInt8[Tensor, "*shape"]:
    header = 4 + 4 * ndim
    magic = bytes([0, 0, _UNSIGNED_BYTE, ndim])
    if not content.startswith(magic):
        raise FileError(
            f"{path} is no IDX file of unsigned bytes with {ndim} dimension{'s' if ndim > 1 else ''}: it must begin "
            f"with {magic.hex()}, got {content[:4].hex() or 'an empty file'}. {REMEDY}"
        )
    if len(content) < header:
        raise FileError(f"{path} is cut short: its header must have {header} bytes, got {len(content)}. {REMEDY}")
    shape = struct.unpack(f">{ndim}I", content[4:header])
    if len(content) != header + math.prod(shape):
        raise FileError(
            f"{path} has the wrong length: a header for {' x '.join(map(str, shape))} bytes must be followed by "
            f"{math.prod(shape)}, got {len(content) - header}. {REMEDY}"
        )
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=header).reshape(shape).copy())
