"""An experiment as a value: its question, what each preset computes, its claims and its figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, final

from gradflip.claims import Claim
from gradflip.experiments._family import Family, load
from gradflip.experiments._group import COMPARED, MAIN, Group
from gradflip.experiments._settings import Preset, Settings
from gradflip.sweep import Cell, Measure

if TYPE_CHECKING:
    import polars as pl

    from gradflip.drawing import Figure


@final
@dataclass(frozen=True)
class Experiment:
    """A declared experiment.

    Attributes:
        name: A name after its source, such as `wang2022-fig2`.
        title: One line.
        question: What it asks.
        source: The paper and figure.
        family: The family of its networks.
        measure: The measure that computes its cells; the measure's name marks its rows.
        figure: The function that draws its figure, `"package.module:function"`, imported only then.
        curve: The column that distinguishes the curves of its figure.
        groups: What each preset computes.
        claims: What the source claims, as numbers.
        shown: The parameters that describe a preset, with their headings; some families need none.
    """

    name: str
    title: str
    question: str
    source: str
    family: Family
    measure: Measure
    figure: str
    curve: str
    groups: Mapping[Preset, tuple[Group, ...]]
    claims: tuple[Claim, ...] = ()
    shown: Mapping[str, str] = field(default_factory=dict)

    def presets(self) -> list[dict[str, str]]:
        """Describe each preset, in words by heading."""
        return [
            {"preset": preset} | self.family.describe([group for group in groups if group.part == MAIN], self.shown)
            for preset, groups in self.groups.items()
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the declaration as JSON values: question, groups, claims."""
        words = {name: getattr(self, name) for name in ("name", "title", "question", "source")}
        return words | {
            "family": self.family.name,
            "measure": self.measure.name,
            "version": self.measure.version,
            "curve": self.curve,
            "claims": [{"quantity": claim.quantity, "claimed": claim.words, "why": claim.why} for claim in self.claims],
            "presets": self.presets(),
            "groups": {preset: [asdict(group) for group in groups] for preset, groups in self.groups.items()},
        }

    def values(self, parameter: str, settings: Settings) -> tuple[Any, ...]:
        """List the values of a parameter in the main part of a preset.

        Args:
            parameter: Its name in the groups.
            settings: Gives the preset.

        Returns:
            Each value once, in order of first appearance; for lists, their entries.
        """
        own = [g.parameters[parameter] for g in self.groups[settings.preset] if g.part == MAIN]
        flat = [entry for value in own for entry in (value if isinstance(value, list | tuple) else [value])]
        return tuple(dict.fromkeys(flat))

    def held(self, settings: Settings) -> dict[str, float]:
        """Collect the filter columns that have a single value, a number, in the whole figure.

        Args:
            settings: Gives the preset.

        Returns:
            The values by column.
        """
        values = {column: self.values(column, settings) for column in self.family.choices}
        return {
            column: float(own[0]) for column, own in values.items() if len(own) == 1 and not isinstance(own[0], str)
        }

    def cells(self, settings: Settings) -> list[Cell]:
        """List the cells of a run of this experiment.

        Args:
            settings: The user's choice.

        Returns:
            One cell per group and seed.
        """
        return [
            self.family.cell(self.measure, group, settings, seed)
            for group in self.groups[settings.preset]
            for seed in range(settings.seed, settings.seed + (settings.seeds or group.seeds))
        ]

    def select(self, table: pl.DataFrame, settings: Settings, part: str = MAIN) -> pl.DataFrame:
        """Select the rows of one part of this experiment; experiments may share cells.

        Args:
            table: The table of a run, or its observations.
            settings: The settings of the run.
            part: The part of its groups.

        Returns:
            The rows, in the order of the table.
        """
        if not len(table):
            return table
        own = table.filter(table["measure"] == self.measure.name)
        groups = [group for group in self.groups[settings.preset] if group.part == part]
        if self.family.rows_of is None or not len(own):
            return own
        import polars as pl

        return own.filter(pl.any_horizontal([pl.lit(False), *(self.family.rows_of(g, settings) for g in groups)]))

    def draw(self, table: pl.DataFrame, observations: pl.DataFrame, settings: Settings) -> Figure:
        """Draw the figure of this experiment.

        Args:
            table: The table of a run.
            observations: Its observations.
            settings: Its settings.

        Returns:
            A figure.

        Raises:
            ValueError: If nothing was measured for this experiment, or nothing of it can be drawn.
        """
        rows = self.select(table, settings)
        if not len(rows):
            raise ValueError(self.family.nothing.format(name=self.name))
        import polars as pl

        slices = self.select(table, settings, COMPARED)
        if any(group.part == COMPARED for group in self.groups[settings.preset]):
            rows = pl.concat([rows.with_columns(part=pl.lit(MAIN)), slices.with_columns(part=pl.lit(COMPARED))])
        figure: Callable[[Experiment, pl.DataFrame, pl.DataFrame, Settings], Figure] = load(self.figure)
        return figure(self, rows, self.select(observations, settings), settings)
