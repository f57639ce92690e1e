"""What an experiment is: a question, what each preset computes, what it claims, how it is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gradflip.claims import Claim
from gradflip.experiments._lazy_cells import lazy_cell
from gradflip.experiments._settings import LazyGrid, Preset, Settings
from gradflip.sweep import Cell

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Experiment:
    """A declared experiment.

    Attributes:
        name: Named by its source, such as `wang2022-fig2`.
        title: One line.
        question: What it asks.
        source: The paper and figure.
        curves: The column that tells the curves of its figure apart, `"width"` or `"C0"`.
        normalize: Whether inputs are scaled to norm 1.
        bias: Whether the networks have trained hidden biases.
        grids: What each preset computes.
        claims: What the paper says of it, as numbers.
        drawn: As curves against the input dimension, or as histograms over the test images.
    """

    name: str
    title: str
    question: str
    source: str
    curves: Literal["width", "C0"]
    normalize: bool
    bias: bool
    grids: Mapping[Preset, LazyGrid]
    claims: tuple[Claim, ...] = ()
    drawn: Literal["against-dim", "histograms"] = "against-dim"

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

        chosen = self.grid(settings)
        wanted: dict[str, Any] = {"size": chosen.sizes, "width": chosen.widths, "C0": [float(C0) for C0 in chosen.C0s]}
        fixed = {"normalize": self.normalize, "bias": self.bias}
        keep = [pl.col(name).is_in(list(values)) for name, values in wanted.items()]
        return table.filter(*keep, *[pl.col(name) == value for name, value in fixed.items()])
