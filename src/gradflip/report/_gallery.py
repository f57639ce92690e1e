"""Test images and the perturbations that flip them, as PNG data embedded in a page."""

from __future__ import annotations

import base64
import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import polars as pl

from gradflip.experiments._picture import Picture


@dataclass(frozen=True)
class Exhibit:
    """One image of the gallery.

    Attributes:
        image: The test image, a `data:` URI.
        perturbation: The perturbation likewise, scaled to be visible; grey is 0.
        flipped: Their sum likewise.
        scale: The factor by which the perturbation is multiplied.
        before: f at the image.
        after: f at the flipped image.
        relative: Norm of the minimal perturbation relative to that of the image.
        what: The network and the image, in words.
    """

    image: str
    perturbation: str
    flipped: str
    scale: float
    before: float
    after: float
    relative: float
    what: str


def gallery(observations: pl.DataFrame, limit: int = 6) -> list[Exhibit]:
    """Collect the pictures of the largest image size that a run kept, in the order of its networks.

    Args:
        observations: A row per network and test image.
        limit: Largest number of pictures.

    Returns:
        Exhibits, sorted by the size of the perturbation for each network.
    """
    if "picture" not in observations.columns:
        return []
    kept = observations.drop_nulls("picture")
    if not len(kept):
        return []
    kept = kept.filter(pl.col("size") == pl.col("size").max()).sort("normalize", "width", "C0", "seed", "relative")
    return [_exhibit(row) for row in kept.head(limit).iter_rows(named=True)]


def png(pixels: np.ndarray) -> bytes:
    """Encode an 8-bit grey PNG.

    Args:
        pixels: Grey values in [0, 1]; values outside are clipped. Shape `(rows, columns)`.

    Returns:
        The file.

    Source: PNG specification, sections 5 and 11.
    """
    grey = np.round(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    rows, columns = grey.shape
    lines = b"".join(b"\x00" + line.tobytes() for line in grey)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines, 9)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _exhibit(row: dict[str, object]) -> Exhibit:
    picture = Picture.from_text(str(row["picture"]))
    size = math.isqrt(len(picture.image))
    image, added = picture.image.reshape(size, size), picture.perturbation.reshape(size, size)
    bright = max(float(image.max()), 1e-12)  # images of norm 1 are dark: shown relative to their brightest pixel
    scale = _round(0.5 * bright / max(float(np.abs(added).max()), 1e-12))
    return Exhibit(
        image=_uri(image / bright),
        perturbation=_uri(0.5 + scale * added / bright),
        flipped=_uri((image + added) / bright),
        scale=scale,
        before=float(str(row["value"])),
        after=picture.after,
        relative=float(str(row["relative"])),
        what=f"test image {row['image']}, m = {row['width']}, C0 = {float(str(row['C0'])):g}, seed {row['seed']}",
    )


def _round(scale: float) -> float:
    """The largest of 1, 2, 5, 10, ... that is at most the scale."""
    decade = 10.0 ** math.floor(math.log10(scale))
    return max(step * decade for step in (1, 2, 5) if step * decade <= scale * (1 + 1e-12))


def _uri(pixels: np.ndarray) -> str:
    return f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}"
