"""A family of experiments: the settings that matter, how groups become cells, and its chapter of the report."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any, final

from gradflip.experiments._group import Group
from gradflip.experiments._settings import Settings
from gradflip.sweep import Cell, Measure

if TYPE_CHECKING:
    import polars as pl

    from gradflip.drawing import Table
    from gradflip.experiments._experiment import Experiment


@final
@dataclass(frozen=True)
class Chapter:
    """The chapter of a report on a family; its module is imported only when a page is written.

    Attributes:
        summary: The numbers of the first paragraph, from the family's rows.
        theory: The values for the paragraph on the theory, from the family's rows of each run.
        tables: The tables of a run, from the family's experiments in it, its settings, and its whole table.
    """

    summary: Callable[[pl.DataFrame], dict[str, Any]]
    theory: Callable[[list[pl.DataFrame]], dict[str, Any]]
    tables: Callable[[Sequence[Experiment], Settings, pl.DataFrame], list[Table]]


def cell_of(measure: Measure, group: Group, settings: Settings, seed: int) -> Cell:
    """Make a cell with the parameters of its group, and the data set where the group reads one.

    Args:
        measure: The measure that computes it.
        group: Gives parameters, cost and label.
        settings: The user's choice; data and classes matter.
        seed: The seed of the cell.

    Returns:
        A cell.
    """
    images = {"data": settings.data, "classes": list(settings.classes)} if group.data else {}
    parameters = dict(group.parameters) | images
    return Cell(measure, parameters, seed, cost=group.seconds, label=f"{group.label}, seed {seed}")


def each_once(cells: list[Cell]) -> list[Cell]:
    """Drop repeated cells.

    Args:
        cells: Of several experiments.

    Returns:
        Each cell once, at its first position.
    """
    return list(dict.fromkeys(cells))


@final
@dataclass(frozen=True)
class Family:
    """A family of experiments. The names of its measures begin with its own, `"lazy-"`.

    Attributes:
        name: Such as `"lazy"`.
        networks: What is flipped, in the plural, for the name of a run.
        subject: What is flipped, for the heading of a page.
        nothing: The message where nothing was measured for an experiment, with `{name}` for its name.
        settings: The user's settings that its cells depend on.
        columns: The columns in which a plan lists its cells, by heading.
        describe: Describes a preset, in words by heading, from its groups and the experiment's `shown`.
        chapter: The reference of its `Chapter`, `"package.module:NAME"`; the template `chapter.html.j2` lies beside it.
        cell: Makes a cell from a group.
        merge: Merges the cells of several experiments so that nothing is computed twice.
        rows_of: Selects the rows of a group among those of its measure; all of them if not given.
        choices: The columns by which the reader of a page may filter, and their titles.
    """

    name: str
    networks: str
    subject: str
    nothing: str
    settings: tuple[str, ...]
    columns: Mapping[str, Callable[[Cell], object]]
    describe: Callable[[Sequence[Group], Mapping[str, str]], dict[str, str]]
    chapter: str
    cell: Callable[[Measure, Group, Settings, int], Cell] = cell_of
    merge: Callable[[list[Cell]], list[Cell]] = each_once
    rows_of: Callable[[Group, Settings], pl.Expr] | None = None
    choices: Mapping[str, str] = field(default_factory=dict)

    @property
    def uses_data(self) -> bool:
        """Whether its cells read a data set."""
        return "data" in self.settings

    @property
    def template(self) -> str:
        """The text of the page's template: macros `opening`, `formulas` and `reach`."""
        package = self.chapter.partition(":")[0].rpartition(".")[0]
        return resources.files(package).joinpath("chapter.html.j2").read_text()

    def rows(self, table: pl.DataFrame) -> pl.DataFrame:
        """Select the rows of this family.

        Args:
            table: The table of a run, or its observations.

        Returns:
            Its rows, in order.
        """
        return table.filter(table["measure"].str.starts_with(f"{self.name}-")) if len(table) else table

    def load_chapter(self) -> Chapter:
        """Import the chapter of this family.

        Returns:
            The chapter.
        """
        chapter: Chapter = load(self.chapter)
        return chapter


def load(reference: str) -> Any:
    """Import a value.

    Args:
        reference: Module and name, `"package.module:name"`.

    Returns:
        The value.
    """
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def group_by(cells: Sequence[Cell], *, but: tuple[str, ...]) -> list[list[Cell]]:
    """Group cells that differ at most in some of their parameters.

    Args:
        cells: Of several experiments.
        but: The parameters in which they may differ.

    Returns:
        Groups in the order of their first cells.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        shared = {name: value for name, value in cell.parameters.items() if name not in but}
        groups.setdefault(Cell(cell.measure, shared, cell.seed).hash, []).append(cell)
    return list(groups.values())
