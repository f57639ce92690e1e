"""IDX files made by hand, for the tests of the readers."""

import numpy as np

NAMES = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}


def idx(values: np.ndarray) -> bytes:
    """The IDX format, written from its definition."""
    header = b"\x00\x00\x08" + bytes([values.ndim])
    for length in values.shape:
        header += length.to_bytes(4, "big")
    return header + values.astype(np.uint8).tobytes()
