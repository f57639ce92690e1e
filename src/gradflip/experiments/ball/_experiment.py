"""An experiment on the lazy ball: what is true of all of its networks, trained or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

from gradflip.experiments._experiment import Experiment
from gradflip.experiments._family import Family
from gradflip.experiments._settings import Preset, Settings
from gradflip.experiments.ball._cells import BALL, Part, ball_cells
from gradflip.sweep import Cell

if TYPE_CHECKING:
    import polars as pl

BallKind = Literal["lemmas", "cone", "certified"]


@final
@dataclass(frozen=True)
class BallExperiment(Experiment):
    """A declared experiment on the lazy ball.

    Attributes:
        kind: Which measure its parts are given to, and which figure is drawn.
        parts: What each preset measures.
        shown: The parameters by which a preset is described, and what they are called.
    """

    kind: BallKind
    parts: Mapping[Preset, tuple[Part, ...]]
    shown: Mapping[str, str]

    @property
    def family(self) -> Family:
        """The lazy ball."""
        return BALL

    @property
    def curve(self) -> str:
        """What is held along a line of rows."""
        return "line"

    def presets(self) -> list[dict[str, str]]:
        """What each preset measures: the values that each parameter takes, and how many seeds the most."""
        return [
            {"preset": preset, "measurements": str(sum(part.seeds for part in parts))}
            | {title: _listed([part.parameters.get(name) for part in parts]) for name, title in self.shown.items()}
            | {"seeds": str(max(part.seeds for part in parts))}
            for preset, parts in self.parts.items()
        ]

    def cells(self, settings: Settings) -> list[Cell]:
        """The cells of a run of this experiment.

        Args:
            settings: The user's choice; preset, data and seeds matter.

        Returns:
            One cell per part and seed.
        """
        return ball_cells(self.kind, self.parts[settings.preset], settings)

    def select(self, table: pl.DataFrame, settings: Settings) -> pl.DataFrame:
        """The rows of a run's table that belong to this experiment.

        Args:
            table: The table of the run, or its observations.
            settings: Those of the run.

        Returns:
            Its rows, in the order of the table; columns of other experiments are null.
        """
        return table.filter(table["measure"] == f"ball-{self.kind}") if len(table) else table


def _listed(values: list[Any]) -> str:
    """The values of a parameter, each once and in order."""
    flat = [entry for value in values for entry in (value if isinstance(value, list | tuple) else [value])]
    return ", ".join(f"{entry:,}" for entry in sorted({entry for entry in flat if entry is not None}))
