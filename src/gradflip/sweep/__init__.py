"""Grid -> rows: computes cells on many workers, keeps each result as soon as it is complete, resumes interrupted runs.

Knows no science: a cell names its measure, and only the worker imports the function behind the name.
"""

from gradflip._atomic import atomic_write
from gradflip.sweep._context import Context
from gradflip.sweep._engines import Engine, OnExecutor, SpawnPool, ThisProcess
from gradflip.sweep._grid import Cell, grid
from gradflip.sweep._measure import Measure, Measured
from gradflip.sweep._progress import Progress
from gradflip.sweep._result import CellResult
from gradflip.sweep._run_cells import RunSummary, run_cells
from gradflip.sweep._store import RunFolder
from gradflip.sweep._worker import measure_cell

__all__ = [
    "Cell",
    "CellResult",
    "Context",
    "Engine",
    "Measure",
    "Measured",
    "OnExecutor",
    "Progress",
    "RunFolder",
    "RunSummary",
    "SpawnPool",
    "ThisProcess",
    "atomic_write",
    "grid",
    "measure_cell",
    "run_cells",
]
