"""What is to be computed: a cell, the product of axes that makes many, and what a measure gives back."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

from gradflip._errors import UsageError
from gradflip.sweep._json import canonical, frozen, plain

Scalar: TypeAlias = None | bool | int | float | str
REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True)
class Measured:
    """What a measure gives back for one cell.

    Args:
        rows: Rows of the table; each maps a column to None, a bool, an int, a finite float or a str.
        observations: Long columns of equal length, such as the draws behind a row. May be empty.
    """

    rows: Sequence[Mapping[str, Scalar]]
    observations: Mapping[str, Sequence[Scalar]] = field(default_factory=dict)


Measure: TypeAlias = Callable[[dict[str, Any], int, Callable[[float], None]], Measured]


@dataclass(frozen=True, eq=False)
class Cell:
    """One computation, known by its content: two cells are equal when measure, version, parameters and seed are.

    Args:
        measure: Where the function is, `"package.module:function"`. It is called as
            `measure(parameters, seed, progress)` and returns a `Measured`.
        version: Of the measure; raise it when its numbers change, and old results no longer count.
        parameters: JSON values by name. A read-only copy is kept, with tuples for lists.
        seed: At least 0, below 2^63.
        cost: How much work, relative to the other cells; for the order and the time left only.
        label: What a progress display calls the cell.
    """

    measure: str
    version: int
    parameters: Mapping[str, Any]
    seed: int
    cost: float = 1.0
    label: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.measure, str) or not REFERENCE.fullmatch(self.measure):
            raise UsageError(f"measure must read 'package.module:function', got {self.measure!r}.")
        for name, value in [("version", self.version), ("seed", self.seed)]:
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
                raise UsageError(f"{name} must be an integer in [0, 2^63), got {value!r}.")
        if not isinstance(self.parameters, Mapping):
            raise UsageError(f"parameters must be a mapping, got {type(self.parameters).__name__}.")
        if not isinstance(self.cost, int | float) or not 0 < self.cost < math.inf:
            raise UsageError(f"cost must be positive and finite, got {self.cost!r}.")
        object.__setattr__(self, "parameters", frozen(plain(self.parameters, "parameters")))

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits of the SHA-256 of (measure, version, parameters, seed) as canonical JSON."""
        identity = [self.measure, self.version, plain(self.parameters, "parameters"), self.seed]
        return hashlib.sha256(canonical(identity).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return the cell as a dict of plain JSON values."""
        return {
            "measure": self.measure,
            "version": self.version,
            "parameters": plain(self.parameters, "parameters"),
            "seed": self.seed,
            "cost": self.cost,
            "label": self.label,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """The cell that `to_json` wrote.

        Args:
            data: What `to_json` gave.

        Returns:
            An equal cell.

        Raises:
            UsageError: If `data` does not describe a cell.
        """
        try:
            return cls(**data)
        except TypeError as error:
            raise UsageError(f"not a cell: {error}.") from error

    def __eq__(self, other: object) -> bool:
        return self.hash == other.hash if isinstance(other, Cell) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.hash)

    def __reduce__(self) -> tuple[Any, ...]:
        return Cell.from_json, (self.to_json(),)  # a read-only mapping does not pickle


def grid(**axes: Iterable[Any]) -> list[dict[str, Any]]:
    """The product of the axes, the last one varying fastest.

    Args:
        **axes: The values of each parameter.

    Returns:
        One dict of parameters per combination; `[{}]` without axes.

    Raises:
        UsageError: If an axis is a string: its letters are hardly what was meant.
    """
    for name, axis in axes.items():
        if isinstance(axis, str):
            raise UsageError(f"{name} must be a list of values, got the string {axis!r}.")
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
