"""Groups of cells that differ only in their seed: what a preset of an experiment computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

MAIN = "main"
COMPARED = "compared"


@final
@dataclass(frozen=True)
class Group:
    """Cells that differ only in their seed; the user's settings apply to all of them.

    Attributes:
        label: Its name in a progress display.
        parameters: JSON values from which the experiment's family makes a cell.
        seeds: Number of seeds, unless the user sets it.
        seconds: Rough cost of one cell on one core, used only for the order and the time left.
        data: Whether the cells read the data set, in a family that mostly needs none.
        part: `"main"`, or `"compared"` for a slice that is drawn beside the main part.
    """

    label: str
    parameters: Mapping[str, Any]
    seeds: int = 1
    seconds: float = 1.0
    data: bool = False
    part: str = MAIN
