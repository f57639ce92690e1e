"""An experiment as a value: a question, what each preset computes, what is claimed, how it is drawn."""

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
        name: Named by its source, such as `wang2022-fig2`.
        title: One line.
        question: What it asks.
        source: The paper and figure.
        family: What its networks are, and what follows from that.
        measure: What computes its cells; its rows are known by the measure's name.
        figure: Where its figure is drawn, `"package.module:function"`, imported when it is drawn.
        curve: The column that tells the curves of its figure apart.
        groups: What each preset computes.
        claims: What the source says of it, as numbers.
        shown: The parameters by which a preset is described, and their headings; a family may need none.
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
        """Return the declaration as JSON values: what is asked, computed, claimed."""
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
        """List what a parameter is in the main part of a preset.

        Args:
            parameter: Its name in the groups.
            settings: Gives the preset.

        Returns:
            Each value once, in order of first appearance; the entries of lists.
        """
        own = [g.parameters[parameter] for g in self.groups[settings.preset] if g.part == MAIN]
        flat = [entry for value in own for entry in (value if isinstance(value, list | tuple) else [value])]
        return tuple(dict.fromkeys(flat))

    def held(self, settings: Settings) -> dict[str, float]:
        """Find what all networks of its figure have in common of what a reader may filter by.

        Args:
            settings: Gives the preset.

        Returns:
            The number by column.
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
        """Select the rows of a part of this experiment, cells being shared between experiments.

        Args:
            table: The table of a run, or its observations.
            settings: Those of the run.
            part: Of its groups.

        Returns:
            Its rows, in the order of the table.
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
        """Draw its figure.

        Args:
            table: The table of a run.
            observations: Its observations.
            settings: Its settings.

        Returns:
            A figure.

        Raises:
            ValueError: If nothing of the experiment was measured, or there is nothing to draw of it.
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
