"""An experiment on networks at random initialisation: ensembles drawn, and the law of their flips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

from gradflip.experiments._experiment import Experiment
from gradflip.experiments._family import Family
from gradflip.experiments._settings import Preset, Settings
from gradflip.experiments.random._cells import RANDOM, Ensemble, random_cells
from gradflip.sweep import Cell

if TYPE_CHECKING:
    import polars as pl

Kind = Literal["flip-probability", "any-width", "joint-law", "depth"]


@final
@dataclass(frozen=True)
class RandomExperiment(Experiment):
    """A declared experiment on random networks.

    Attributes:
        kind: Which measure its ensembles are given to, and which figure is drawn; also a column of its rows.
        curves: The column that tells the curves of its figure apart.
        ensembles: What each preset draws.
    """

    kind: Kind
    curves: str
    ensembles: Mapping[Preset, tuple[Ensemble, ...]]

    @property
    def family(self) -> Family:
        """Networks at random initialisation."""
        return RANDOM

    @property
    def curve(self) -> str:
        """A column of its rows."""
        return self.curves

    def presets(self) -> list[dict[str, str]]:
        """What each preset draws: the values that each parameter takes."""
        names = dict.fromkeys(name for group in self.ensembles.values() for e in group for name in e.parameters)
        return [
            {"preset": preset, "ensembles": str(len(group))}
            | {name: _listed([_tuple(e.parameters.get(name)) for e in group]) for name in names}
            for preset, group in self.ensembles.items()
        ]

    def cells(self, settings: Settings) -> list[Cell]:
        """The cells of a run of this experiment.

        Args:
            settings: The user's choice; only preset and seeds matter.

        Returns:
            One cell per ensemble and seed.
        """
        return random_cells(self.kind, self.ensembles[settings.preset], settings)

    def select(self, table: pl.DataFrame, settings: Settings) -> pl.DataFrame:
        """The rows of a run's table that belong to this experiment.

        Args:
            table: The table of the run, or its observations.
            settings: Those of the run.

        Returns:
            Its rows, in the order of the table; columns of other experiments are null.
        """
        return table.filter(table["measure"] == f"random-{self.kind}") if len(table) else table


def _listed(values: list[Any]) -> str:
    """The values of a parameter, each once; where there are many, where they begin and end."""
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
