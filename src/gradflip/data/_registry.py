"""The data sets by name, described without loading them. A new data set is a loader file and an entry here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class DataSet:
    """A data set of which `load_data` takes two classes.

    Attributes:
        name: What the user calls it.
        loader: A function from a `Request` to a `Split`, `"package.module:function"`, imported on first use.
        train_count: Number of training inputs of the classes 0 and 1. It decides which cells a run computes.
        test_count: Number of test inputs of the classes 0 and 1.
        classes: Names of the classes, in the order of their numbers.
        shape: Shape of an input at its native size, (side, side) or (side, side, channels).
        planted: Whether labels follow a planted rule, so that the classes cannot be chosen.
    """

    name: str
    loader: str
    train_count: int
    test_count: int
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    planted: bool = False

    def dim(self, size: int | None = None) -> int:
        """Number of entries of an input, d.

        Args:
            size: Side to which inputs are resized; None is the native one.

        Returns:
            `size**2` times the number of channels.
        """
        side = self.shape[0] if size is None else size
        return side * side * math.prod(self.shape[2:])


_DIGITS = tuple("0123456789")
_CLOTHES = (
    "t-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip

DATA_SETS: Mapping[str, DataSet] = MappingProxyType({
    data_set.name: data_set
    for data_set in (
        DataSet("digits", "gradflip.data._digits:load", 290, 70, _DIGITS, (8, 8)),
        DataSet("mnist", "gradflip.data._mnist:load", 12_665, 2_115, _DIGITS, (28, 28)),
        DataSet("fashion-mnist", "gradflip.data._mnist:load_fashion", 12_000, 2_000, _CLOTHES, (28, 28)),
        DataSet(
            "sphere", "gradflip.data._sphere:load", 2_000, 1_000,
            ("first entry negative", "first entry positive"), (10, 10), planted=True,
        ),
    )
})  # fmt: skip
"""All data sets by name."""

DATA_NAMES = tuple(DATA_SETS)
