"""Progress of a run, and the time left at the pace of this session."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gradflip.sweep._grid import Cell
from gradflip.sweep._result import CellResult


@dataclass(frozen=True)
class Progress:
    """State of a run at one moment.

    Args:
        done_cells: Finished: ok, now or in an earlier session, or failed now.
        total_cells: All cells of the run.
        failed: Those that failed in this session.
        fraction: Share of the work that is done, in [0, 1]: cells weighted by cost, those in flight by their own share.
        elapsed: Seconds since this session began.
        seconds_left: At the pace of this session; None until something is done.
        running: Labels of the cells in flight.
    """

    done_cells: int
    total_cells: int
    failed: int
    fraction: float
    elapsed: float
    seconds_left: float | None
    running: tuple[str, ...]


class Tally:
    """Counts cells and work, and reports them."""

    def __init__(self, skipped: Iterable[Cell], todo: Iterable[Cell], report: Callable[[Progress], None] | None):
        skipped, todo = list(skipped), list(todo)
        self._report = report
        self._done, self._failed, self._total = len(skipped), 0, len(skipped) + len(todo)
        self._work_before = sum(cell.cost for cell in skipped)
        self._work_todo = sum(cell.cost for cell in todo)
        self._work_done = 0.0
        self._running: dict[Cell, float] = {}
        self._start = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds since the session began."""
        return time.perf_counter() - self._start

    def running(self, shares: Mapping[Cell, float]) -> None:
        """Record the cells in flight, each with its completed share."""
        self._running = {cell: min(max(share, 0.0), 1.0) for cell, share in shares.items()}
        self._announce()

    def finished(self, result: CellResult) -> None:
        """Record a cell whose result is written."""
        self._running.pop(result.cell, None)
        self._done += 1
        self._failed += result.status == "failed"
        self._work_done += result.cell.cost
        self._announce()

    def now(self) -> Progress:
        """Return the state of the run."""
        work = self._work_done + sum(cell.cost * share for cell, share in self._running.items())
        work = min(work, self._work_todo)
        elapsed = self.elapsed
        fraction = (
            (self._work_before + work) / (self._work_before + self._work_todo) if self._done < self._total else 1.0
        )
        if self._done == self._total:
            left: float | None = 0.0
        else:
            left = elapsed * (self._work_todo - work) / work if work > 0 else None
        running = tuple(cell.label or cell.hash for cell in self._running)
        return Progress(self._done, self._total, self._failed, fraction, elapsed, left, running)

    def _announce(self) -> None:
        if self._report is not None:
            self._report(self.now())
