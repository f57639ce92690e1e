"""An experiment on adversarial training within the ball: what survives which attack, over two axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

from gradflip.experiments._experiment import Experiment
from gradflip.experiments._family import Family
from gradflip.experiments._settings import Preset, Settings
from gradflip.experiments.adversarial._cells import ADVERSARIAL, ADVERSARIAL_ATTACKS, Effort, Run, adversarial_cell
from gradflip.sweep import Cell

if TYPE_CHECKING:
    import polars as pl

Drawn = Literal["dim-budget", "width-radius", "attacks"]


@dataclass(frozen=True)
class Trainings:
    """Networks of one shape, trained several times.

    Attributes:
        size: Images of size x size pixels.
        width: Hidden units m.
        runs: What is trained: (epsilon, C0), epsilon `None` for standard training.
        budgets: At which all are attacked; each at its own if not given.
        ways: Names of `WAYS`; the protocol of the run if not given.
    """

    size: int
    width: int
    runs: tuple[Run, ...]
    budgets: tuple[float, ...] | None = None
    ways: tuple[str, ...] | None = None


@dataclass(frozen=True)
class AdversarialGrid:
    """What a preset trains.

    Attributes:
        trainings: What is drawn over the axes.
        effort: How much of it.
        compared: The slice on which the protocols are compared.
        compared_effort: How much of that; as much if not given.
    """

    trainings: tuple[Trainings, ...]
    effort: Effort
    compared: Trainings | None = None
    compared_effort: Effort | None = None

    @property
    def parts(self) -> list[tuple[Trainings, Effort]]:
        """All that is trained, with how much of it."""
        own = [(trainings, self.effort) for trainings in self.trainings]
        return own if self.compared is None else [*own, (self.compared, self.compared_effort or self.effort)]


@final
@dataclass(frozen=True)
class AdversarialExperiment(Experiment):
    """A declared experiment on adversarial training.

    Attributes:
        drawn: Robust accuracy over dimension and budget, over width and radius, or of several attacks.
        grids: What each preset trains.
    """

    drawn: Drawn
    grids: Mapping[Preset, AdversarialGrid]

    @property
    def family(self) -> Family:
        """Adversarial training."""
        return ADVERSARIAL

    @property
    def curve(self) -> str:
        """How they were trained: by which protocol, or to what and within what."""
        return "network" if self.drawn == "attacks" else "protocol"

    def presets(self) -> list[dict[str, str]]:
        """What each preset trains."""
        return [
            {
                "preset": preset,
                "image sizes": _listed(sorted({t.size for t in grid.trainings})),
                "widths m": _listed(sorted({t.width for t in grid.trainings})),
                "epsilon": _range([e for t in grid.trainings for e in _budgets(t)]),
                "C0": _range([C0 for t in grid.trainings for _, C0 in t.runs]),
                "trainings": str(sum(len(t.runs) for t in grid.trainings)),
                "seeds": str(grid.effort.seeds),
                "training images at most": str(grid.effort.images),
            }
            for preset, grid in self.grids.items()
        ]

    def cells(self, settings: Settings) -> list[Cell]:
        """The cells of a run of this experiment.

        Args:
            settings: The user's choice.

        Returns:
            One cell per network, protocol and seed.
        """
        return [
            adversarial_cell(settings, effort, way, t.size, t.width, seed, t.runs, t.budgets)
            for t, effort in self.grids[settings.preset].parts
            for way in t.ways or (settings.protocol,)
            for seed in range(settings.seed, settings.seed + (settings.seeds or effort.seeds))
        ]

    def select(self, table: pl.DataFrame, settings: Settings) -> pl.DataFrame:
        """The rows of a run's table over the axes of this experiment, cells being shared between experiments.

        Args:
            table: The table of the run, or its observations.
            settings: Those of the run.

        Returns:
            Its rows, in the order of the table.
        """
        grid = self.grids[settings.preset]
        return _rows(table, grid.trainings, grid.effort, settings)

    def compared(self, table: pl.DataFrame, settings: Settings) -> pl.DataFrame:
        """The rows of a run's table on the slice on which the protocols are compared.

        Args:
            table: The table of the run.
            settings: Those of the run.

        Returns:
            Rows of both protocols and of what lies between them; none if nothing is compared.
        """
        grid = self.grids[settings.preset]
        slices = () if grid.compared is None else (grid.compared,)
        return _rows(table, slices, grid.compared_effort or grid.effort, settings)


def _rows(table: pl.DataFrame, trainings: tuple[Trainings, ...], effort: Effort, settings: Settings) -> pl.DataFrame:
    """The rows of these trainings."""
    import polars as pl

    table = table.filter(table["measure"] == ADVERSARIAL_ATTACKS.name) if len(table) else table
    if not len(table):
        return table
    own = [pl.lit(False)]
    for t in trainings:
        shape = (pl.col("size") == t.size) & (pl.col("width") == t.width) & (pl.col("train_images") == effort.images)
        attacked = pl.col("budgets") == ("own" if t.budgets is None else "many")
        way = pl.col("protocol").is_in(list(t.ways or (settings.protocol,)))
        for epsilon, C0 in t.runs:
            against = pl.col("trained_epsilon")
            trained = against.is_null() if epsilon is None else against == epsilon
            own.append(shape & attacked & way & trained & ((pl.col("C0") / C0 - 1).abs() < 1e-9))
    return table.filter(pl.any_horizontal(own))


def _budgets(trainings: Trainings) -> list[float]:
    return list(trainings.budgets or [epsilon for epsilon, _ in trainings.runs if epsilon is not None])


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values))


def _range(values: list[float]) -> str:
    found = sorted(set(values))
    return f"{found[0]:g}" if len(found) == 1 else f"{found[0]:g} to {found[-1]:g}"
