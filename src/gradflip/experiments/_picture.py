"""A test image with the perturbation that flips it, kept for the report."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Picture:
    """An image and its perturbation.

    Attributes:
        image: Pixels, `(d,)`.
        perturbation: x(s) - x at s = 1.01 s*, `(d,)`.
        after: f at x(s).
    """

    image: np.ndarray
    perturbation: np.ndarray
    after: float

    def to_text(self) -> str:
        """Return the picture as a string that a table can hold: float32, base64, JSON."""
        arrays = {"image": self.image, "perturbation": self.perturbation}
        coded = {name: base64.b64encode(array.astype("<f4").tobytes()).decode() for name, array in arrays.items()}
        return json.dumps(coded | {"after": self.after})

    @staticmethod
    def from_text(text: str) -> Picture:
        """Return the picture that `to_text` wrote."""
        coded = json.loads(text)
        image, added = (np.frombuffer(base64.b64decode(coded[name]), dtype="<f4") for name in ("image", "perturbation"))
        return Picture(image, added, coded["after"])
