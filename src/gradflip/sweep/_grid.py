"""A cell, the unit of computation, and the product of axes that makes many."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gradflip._errors import UsageError
from gradflip.sweep._json import canonical, frozen, plain
from gradflip.sweep._measure import Measure, check_integer


@dataclass(frozen=True, eq=False)
class Cell:
    """One computation, known by its content: two cells are equal when measure, version, parameters and seed are.

    Args:
        measure: The function that computes it.
        parameters: JSON values by name. A read-only copy is kept, with tuples for lists.
        seed: At least 0, below 2^63.
        cost: Work relative to the other cells; used for the order and the time left only.
        label: What a progress display calls the cell.
    """

    measure: Measure
    parameters: Mapping[str, Any]
    seed: int
    cost: float = 1.0
    label: str = ""

    def __post_init__(self) -> None:
        check_integer("seed", self.seed)
        if not isinstance(self.parameters, Mapping):
            raise UsageError(f"parameters must be a mapping, got {type(self.parameters).__name__}.")
        if not isinstance(self.cost, int | float) or not 0 < self.cost < math.inf:
            raise UsageError(f"cost must be positive and finite, got {self.cost!r}.")
        object.__setattr__(self, "parameters", frozen(plain(self.parameters, "parameters")))

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits of the SHA-256 of (measure, version, parameters, seed) as canonical JSON."""
        known = plain(self.parameters, "parameters")
        identity = [self.measure.hashed_as, self.measure.version, known, self.seed]
        return hashlib.sha256(canonical(identity).encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return the cell as a dict of plain JSON values."""
        return {
            "measure": self.measure.hashed_as,
            "version": self.measure.version,
            "name": self.measure.name,
            "reference": self.measure.reference,
            "parameters": plain(self.parameters, "parameters"),
            "seed": self.seed,
            "cost": self.cost,
            "label": self.label,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Cell:
        """Read a cell that `to_json` wrote, in this version or in 0.1, which had no `name` and no `reference`.

        Args:
            data: What `to_json` returned.

        Returns:
            An equal cell.

        Raises:
            UsageError: If `data` does not describe a cell.
        """
        try:
            fields = dict(data)
            hashed_as, version = fields.pop("measure"), fields.pop("version")
            name, reference = fields.pop("name", hashed_as), fields.pop("reference", hashed_as)
            return cls(Measure(name, version, reference, hashed_as), **fields)
        except (TypeError, KeyError, ValueError) as error:
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
