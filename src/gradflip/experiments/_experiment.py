"""What an experiment is, and what a user may choose about a run of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gradflip.claims import Claim
from gradflip.sweep import Cell

if TYPE_CHECKING:
    import polars as pl

Preset = Literal["quick", "standard", "paper"]
Data = Literal["digits", "mnist", "fashion-mnist", "sphere"]
Protocol = Literal["text", "published"]


class Settings(BaseModel):
    """What a user chooses about a run: it decides the rows, and is kept in `spec.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Preset = "quick"
    data: Data = "digits"
    classes: tuple[int, int] = (0, 1)
    protocol: Protocol = "text"
    seeds: int | None = Field(default=None, ge=1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    device: Literal["cpu", "cuda"] = "cpu"

    @field_validator("classes")
    @classmethod
    def _two_digits(cls, classes: tuple[int, int]) -> tuple[int, int]:
        if classes[0] == classes[1] or not all(0 <= c <= 9 for c in classes):
            raise ValueError("must be two different digits of 0..9")
        return classes


@dataclass(frozen=True)
class LazyGrid:
    """Which networks an experiment of lazy training trains.

    Attributes:
        sizes: Images of size x size pixels; the input dimension is size^2.
        widths: Numbers of hidden units m.
        C0s: Constants of the balls; one trajectory serves them all.
        seeds: How many initialisations.
        max_epochs: Passes over the data at most. A small data set passes as often as gives `min_steps`.
        min_steps: SGD steps that training may take at least, however few make an epoch.
    """

    sizes: tuple[int, ...]
    widths: tuple[int, ...]
    C0s: tuple[int, ...]
    seeds: int
    max_epochs: int
    min_steps: int = 0


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
        from gradflip.experiments._lazy_cells import lazy_cell

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
