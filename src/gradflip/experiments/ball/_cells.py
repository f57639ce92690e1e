"""The family of the lazy ball: statements about every network in it, however trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gradflip.experiments._family import Family
from gradflip.experiments._group import Group


def _described(groups: Sequence[Group], shown: Mapping[str, str]) -> dict[str, str]:
    """The number of measurements, the values that each parameter takes, and the largest number of seeds."""
    values = {title: _listed([group.parameters.get(name) for group in groups]) for name, title in shown.items()}
    seeds = [group.seeds for group in groups]
    return {"measurements": str(sum(seeds))} | values | {"seeds": str(max(seeds))}


def _listed(values: list[Any]) -> str:
    """The values of a parameter, each once and in order."""
    flat = [entry for value in values for entry in (value if isinstance(value, list | tuple) else [value])]
    return ", ".join(f"{entry:,}" for entry in sorted({entry for entry in flat if entry is not None}))


BALL = Family(
    name="ball",
    networks="networks of lazy balls",
    subject="any network of a lazy ball",
    nothing="nothing of {name} was measured; see the cells that failed for what happened.",
    settings=("preset", "data", "classes", "seeds", "seed"),
    columns={"of the lazy ball": lambda cell: cell.label},
    describe=_described,
    chapter="gradflip.experiments.ball._chapter:CHAPTER",
)
"""Statements about every network within C0 / sqrt m of its initialisation (Wang et al. 2022, Sections 3 and 4)."""
