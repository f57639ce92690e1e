"""The family of networks at random initialisation: a cell is an ensemble of networks of one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradflip.experiments._family import Family
from gradflip.experiments._group import Group


def _described(groups: Sequence[Group], _: Mapping[str, str]) -> dict[str, str]:
    """The number of ensembles, and the values that each parameter takes."""
    names = dict.fromkeys(name for group in groups for name in group.parameters)
    values = {name: [_tuple(group.parameters.get(name)) for group in groups] for name in names}
    return {"ensembles": str(len(groups))} | {name: _listed(own) for name, own in values.items()}


def _listed(values: list[Any]) -> str:
    """The values of a parameter, each once; where there are many, their range."""
    present = list(dict.fromkeys(value for value in values if value is not None))
    if len(present) == 1 and isinstance(present[0], tuple):
        present = list(present[0])
    if any(isinstance(value, tuple) for value in present):
        lengths, entries = sorted({len(value) for value in present}), [entry for value in present for entry in value]
        if all(isinstance(entry, int | float) for entry in entries):
            return f"{len(present)} lists of {lengths[0]} to {lengths[-1]}, from {min(entries)} to {max(entries):,}"
        return ", ".join(dict.fromkeys(str(entry[0]) for entry in entries))
    if len(present) > 12 and all(isinstance(value, int | float) for value in present):
        return f"{min(present)} to {max(present):,} ({len(present)} values)"
    return ", ".join(map(str, present))


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


RANDOM = Family(
    name="random",
    networks="random networks",
    subject="a random network",
    nothing="no ensemble of {name} was drawn; see the cells that failed for what happened.",
    settings=("preset", "seeds", "seed"),
    columns={"random networks": lambda cell: cell.label},
    describe=_described,
    chapter="gradflip.experiments.random._chapter:CHAPTER",
    choices={"activation": "activation"},
)
"""Networks at random initialisation (Montanari & Wu 2022): no data, no training."""
