"""An experiment of lazy training: networks trained inside a ball around their start, then flipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

from gradflip.experiments._experiment import Experiment
from gradflip.experiments._family import Family
from gradflip.experiments._settings import LazyGrid, Preset, Settings
from gradflip.experiments.lazy._cells import LAZY, LAZY_FLIP, lazy_cell
from gradflip.sweep import Cell

if TYPE_CHECKING:
    import polars as pl


@final
@dataclass(frozen=True)
class LazyExperiment(Experiment):
    """A declared experiment of lazy training.

    Attributes:
        curves: The column that tells the curves of its figure apart, `"width"` or `"C0"`.
        normalize: Whether inputs are scaled to norm 1.
        bias: Whether the networks have trained hidden biases.
        grids: What each preset computes.
        drawn: As curves against the input dimension, or as histograms over the test images.
    """

    curves: Literal["width", "C0"]
    normalize: bool
    bias: bool
    grids: Mapping[Preset, LazyGrid]
    drawn: Literal["against-dim", "histograms"] = "against-dim"

    @property
    def family(self) -> Family:
        """Lazy training."""
        return LAZY

    @property
    def curve(self) -> str:
        """Width or C0."""
        return self.curves

    def presets(self) -> list[dict[str, str]]:
        """What each preset trains."""
        return [
            {
                "preset": preset,
                "image sizes": _listed(grid.sizes),
                "widths m": _listed(grid.widths),
                "C0": _listed(grid.C0s),
                "seeds": str(grid.seeds),
                "epochs at most": str(grid.max_epochs),
            }
            for preset, grid in self.grids.items()
        ]

    def grid(self, settings: Settings) -> LazyGrid:
        """What these settings compute.

        Args:
            settings: The user's choice.

        Returns:
            The preset's grid, with the number of seeds replaced if one was given.
        """
        chosen = self.grids[settings.preset]
        count = settings.seeds or chosen.seeds
        return LazyGrid(chosen.sizes, chosen.widths, chosen.C0s, count, chosen.max_epochs, chosen.min_steps)

    def cells(self, settings: Settings) -> list[Cell]:
        """The cells of a run of this experiment.

        Args:
            settings: The user's choice.

        Returns:
            One cell per trajectory: every C0 is read off the same one.
        """
        chosen = self.grid(settings)
        return [
            lazy_cell(settings, chosen, size, width, seed, normalize=self.normalize, bias=self.bias)
            for size in chosen.sizes
            for width in chosen.widths
            for seed in range(settings.seed, settings.seed + chosen.seeds)
        ]

    def select(self, table: pl.DataFrame, settings: Settings) -> pl.DataFrame:
        """The rows of a run's table that belong to this experiment, cells being shared between experiments.

        Args:
            table: The table of the run, or its observations.
            settings: Those of the run.

        Returns:
            Its rows, in the order of the table.
        """
        import polars as pl

        table = table.filter(table["measure"] == LAZY_FLIP.name) if len(table) else table
        if not len(table):
            return table
        chosen = self.grid(settings)
        wanted: dict[str, Any] = {"size": chosen.sizes, "width": chosen.widths, "C0": [float(C0) for C0 in chosen.C0s]}
        fixed = {"normalize": self.normalize, "bias": self.bias}
        keep = [pl.col(name).is_in(list(values)) for name, values in wanted.items()]
        return table.filter(*keep, *[pl.col(name) == value for name, value in fixed.items()])


def _listed(values: tuple[int, ...]) -> str:
    return ", ".join(map(str, values))
