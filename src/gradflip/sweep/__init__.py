"""Grid -> rows: run many cells of a computation on many workers, keep each as soon as it is done, go on after a stop.

Knows no science: a cell names its measure, and only the worker imports the function behind the name.
"""

from gradflip._atomic import atomic_write
from gradflip.sweep._grid import Cell, grid
from gradflip.sweep._local import RunSummary, run_cells
from gradflip.sweep._measure import Measure, Measured
from gradflip.sweep._progress import Progress
from gradflip.sweep._result import CellResult
from gradflip.sweep._store import RunFolder
from gradflip.sweep._worker import measure_cell

__all__ = [
    "Cell",
    "CellResult",
    "Measure",
    "Measured",
    "Progress",
    "RunFolder",
    "RunSummary",
    "atomic_write",
    "grid",
    "measure_cell",
    "run_cells",
]
