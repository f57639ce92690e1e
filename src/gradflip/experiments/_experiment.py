"""What every experiment is: a question, what each preset computes, what it claims."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradflip.claims import Claim
from gradflip.experiments._family import Family
from gradflip.experiments._settings import Settings
from gradflip.sweep import Cell

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Experiment(ABC):
    """A declared experiment; `LazyExperiment` and `RandomExperiment` are the two that there are.

    Attributes:
        name: Named by its source, such as `wang2022-fig2`.
        title: One line.
        question: What it asks.
        source: The paper and figure.
        claims: What the paper says of it, as numbers.
    """

    name: str
    title: str
    question: str
    source: str
    claims: tuple[Claim, ...] = field(default=(), kw_only=True)

    @property
    @abstractmethod
    def family(self) -> Family:
        """What its networks are."""

    @property
    @abstractmethod
    def curve(self) -> str:
        """The column that tells the curves of its figure apart."""

    @abstractmethod
    def presets(self) -> list[dict[str, str]]:
        """What each preset computes, in words by heading."""

    @abstractmethod
    def cells(self, settings: Settings) -> list[Cell]:
        """The cells of a run of this experiment."""

    @abstractmethod
    def select(self, table: pl.DataFrame, settings: Settings) -> pl.DataFrame:
        """The rows of a run's table, or of its observations, that belong to this experiment, in the same order."""
