"""What a preset of an experiment computes: groups of cells that differ by their seed only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

MAIN = "main"
COMPARED = "compared"


@final
@dataclass(frozen=True)
class Group:
    """Cells that differ by their seed only, and by what the user's settings add to all cells.

    Attributes:
        label: The words for it in a progress display.
        parameters: What the experiment's family needs to make a cell: JSON values.
        seeds: How many seeds, unless the user says how many.
        seconds: Rough cost of one cell on one core, for the order and the time left only.
        data: Whether the cells of a family that mostly needs none read the data set.
        part: `"main"`, or `"compared"` for a slice that is drawn beside the main part.
    """

    label: str
    parameters: Mapping[str, Any]
    seeds: int = 1
    seconds: float = 1.0
    data: bool = False
    part: str = MAIN
