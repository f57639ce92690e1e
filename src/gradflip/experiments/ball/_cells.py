"""The cells of what is true of every network in the lazy ball: a measurement each, with all that it depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gradflip.experiments._family import Family
from gradflip.experiments._settings import Settings
from gradflip.sweep import Cell, Measure


def ball_measure(kind: str, *, version: int = 1) -> Measure:
    """The measure of an experiment on the ball; all three there are were hashed by their module in 0.1.

    Args:
        kind: Of the experiment; its measure is in `_<kind>_measure.py`.
        version: Of the numbers.

    Returns:
        The measure `ball-<kind>`.
    """
    module = kind.replace("-", "_")
    reference = f"gradflip.experiments.ball._{module}_measure:measure"
    renamed = (("ball_kind", None), ("deviation", "scaled_deviation"))
    return Measure(
        f"ball-{kind}", version, reference, hashed_as=f"gradflip.experiments._ball_{module}:measure", renamed=renamed
    )


@dataclass(frozen=True)
class Part:
    """Something measured of the ball, for several initialisations.

    Attributes:
        label: What a reader calls it.
        parameters: What the measure needs besides the data: JSON values.
        seeds: How many initialisations, if the user does not say.
        data: Whether images enter.
        seconds: What one of them takes, roughly, on one core; for the order and the time left only.
    """

    label: str
    parameters: Mapping[str, Any]
    seeds: int = 1
    data: bool = False
    seconds: float = 1.0


def ball_cells(kind: str, parts: tuple[Part, ...], settings: Settings) -> list[Cell]:
    """The cells of some parts: one a seed.

    Args:
        kind: Of the experiment; its measure is in `_<kind>_measure.py`.
        parts: What a preset measures.
        settings: Gives the first seed, how many, and the data.

    Returns:
        Cells.
    """
    measure = ball_measure(kind)
    images = {"data": settings.data, "classes": list(settings.classes)}
    return [
        Cell(
            measure, dict(part.parameters) | (images if part.data else {}), seed, cost=part.seconds,
            label=f"{part.label}, seed {seed}",
        )
        for part in parts
        for seed in range(settings.seed, settings.seed + (settings.seeds or part.seeds))
    ]  # fmt: skip


def _each_once(cells: list[Cell]) -> list[Cell]:
    return list(dict.fromkeys(cells))


BALL = Family(
    name="ball",
    settings=("preset", "data", "classes", "seeds", "seed"),
    merge=_each_once,
    columns={"of the lazy ball": lambda cell: cell.label},
)
"""What is true of every network within C0 / sqrt m of its initialisation (Wang et al. 2022, Sections 3 and 4)."""
