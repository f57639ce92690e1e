"""The cells of networks at random initialisation: an ensemble each, described by everything its numbers depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gradflip.experiments._family import Family
from gradflip.experiments._settings import Settings
from gradflip.sweep import Cell, Measure


def random_measure(kind: str, *, version: int = 1) -> Measure:
    """The measure of an experiment on random networks; all four there are were hashed by their module in 0.1.

    Args:
        kind: Of the experiment; its measure is in `_<kind>_measure.py`.
        version: Of the numbers.

    Returns:
        The measure `random-<kind>`.
    """
    module = kind.replace("-", "_")
    reference = f"gradflip.experiments.random._{module}_measure:measure"
    return Measure(
        f"random-{kind}",
        version,
        reference,
        hashed_as=f"gradflip.experiments._random_{module}:measure",
        renamed=(("kind", None),),
    )


@dataclass(frozen=True)
class Ensemble:
    """Networks of one form, drawn anew each time.

    Attributes:
        label: What a reader calls them.
        parameters: What the measure needs to draw and ask them: JSON values.
        seconds: What they take, roughly, on one core; for the order and the time left only.
    """

    label: str
    parameters: Mapping[str, Any]
    seconds: float = 1.0


def random_cells(kind: str, ensembles: tuple[Ensemble, ...], settings: Settings) -> list[Cell]:
    """The cells of some ensembles: one a seed.

    Args:
        kind: Of the experiment; its measure is in `_<kind>_measure.py`.
        ensembles: What a preset draws.
        settings: Gives the first seed and how many; one if not said.

    Returns:
        Cells.
    """
    measure = random_measure(kind)
    return [
        Cell(measure, ensemble.parameters, seed, cost=ensemble.seconds, label=_label(ensemble, seed))
        for ensemble in ensembles
        for seed in range(settings.seed, settings.seed + (settings.seeds or 1))
    ]


def _label(ensemble: Ensemble, seed: int) -> str:
    return f"{ensemble.label}, seed {seed}"


def _each_once(cells: list[Cell]) -> list[Cell]:
    return list(dict.fromkeys(cells))


RANDOM = Family(
    name="random",
    settings=("preset", "seeds", "seed"),
    merge=_each_once,
    columns={"random networks": lambda cell: cell.label},
)
"""Networks at random initialisation (Montanari & Wu 2022): no data, no training."""
