"""What the experiments of one kind of network have in common: lazy training, or networks at random initialisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gradflip.sweep import Cell


@dataclass(frozen=True)
class Family:
    """A family of experiments.

    Attributes:
        name: What its networks are, in a word: `"lazy"` or `"random"`.
        settings: Which of the user's choices its cells depend on; the others do not matter to it.
        merge: Turns the cells of several experiments into those to compute: nothing is computed twice.
        columns: What a plan says of each cell, by heading.
    """

    name: str
    settings: tuple[str, ...]
    merge: Callable[[list[Cell]], list[Cell]]
    columns: Mapping[str, Callable[[Cell], object]]

    @property
    def uses_data(self) -> bool:
        """Whether its cells read a data set."""
        return "data" in self.settings


def alike(cells: Sequence[Cell], *, but: tuple[str, ...]) -> list[list[Cell]]:
    """Cells that differ at most in some of their parameters, in groups.

    Args:
        cells: Of several experiments.
        but: Those parameters.

    Returns:
        Groups in the order of their first cells.
    """
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        shared = {name: value for name, value in cell.parameters.items() if name not in but}
        groups.setdefault(Cell(cell.measure, shared, cell.seed).hash, []).append(cell)
    return list(groups.values())
