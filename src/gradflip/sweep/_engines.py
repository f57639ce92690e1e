"""Engines: where cells are computed. Each yields results in completion order; none reads or writes a run folder.

`ThisProcess` computes one cell after another, `SpawnPool` on worker processes of this machine, and `OnExecutor` on any
`concurrent.futures.Executor`. A cell and its context are small values that pickle, and `measure_cell` is the only
function a worker calls, so an engine for a cluster needs no more than this interface. Dask already fits `OnExecutor`
through `Client.get_executor()`. An engine of its own would call
`client.submit(measure_cell, cell, context=context, key=cell.hash, pure=False)`, yield what
`dask.distributed.as_completed` yields, and cancel the remaining futures when its generator is closed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import TypeAlias, final

from gradflip._errors import UsageError
from gradflip.sweep._context import Context
from gradflip.sweep._grid import Cell
from gradflip.sweep._pool import Pool
from gradflip.sweep._result import CellResult
from gradflip.sweep._worker import REPORT_EVERY, failed, measure_cell

Results: TypeAlias = Generator[CellResult, None, None]
Running: TypeAlias = Callable[[Mapping[Cell, float]], None]


class Engine(ABC):
    """Computes cells somewhere."""

    @abstractmethod
    def results(self, cells: Sequence[Cell], *, running: Running, context: Context | None = None) -> Results:
        """Compute cells, starting them in the given order.

        Closing the generator early ends or cancels what is in flight.

        Args:
            cells: Distinct cells.
            running: Called from time to time with the cells in flight and the completed share of each, in [0, 1].
                An error that it raises ends the run and is no failure of a cell.
            context: Entered around each measure.

        Yields:
            One result per cell, in completion order; a cell that cannot be computed yields a failed result.
        """


@final
@dataclass(frozen=True)
class ThisProcess(Engine):
    """Computes one cell after another in this process."""

    def results(self, cells: Sequence[Cell], *, running: Running, context: Context | None = None) -> Results:
        """Yield the results in the order of the cells; see `Engine.results`."""
        for cell in cells:
            raised: list[Exception] = []

            def progress(share: float, cell: Cell = cell, raised: list[Exception] = raised) -> None:
                try:
                    running({cell: share})
                except Exception as error:  # the report's fault, not the measure's: do not fail the cell for it
                    raised.append(error)

            running({cell: 0.0})
            result = measure_cell(cell, progress, context=context)
            if raised:
                raise raised[0]
            yield result


@final
@dataclass(frozen=True)
class OnExecutor(Engine):
    """Computes cells on an executor, which stays open; progress within a cell is not known.

    Args:
        executor: Threads, processes or a cluster; its workers must be able to import the measures.
    """

    executor: Executor

    def results(self, cells: Sequence[Cell], *, running: Running, context: Context | None = None) -> Results:
        """Yield the results in completion order; see `Engine.results`."""
        flying: dict[Future[CellResult], Cell] = {}
        try:
            for cell in cells:
                try:
                    flying[self.executor.submit(measure_cell, cell, context=context)] = cell
                except BrokenExecutor as error:
                    yield failed(cell, error)
            while flying:
                done, _ = wait(flying, timeout=REPORT_EVERY, return_when=FIRST_COMPLETED)
                running({cell: 0.0 for future, cell in flying.items() if future.running()})
                for future in done:
                    yield _outcome(flying.pop(future), future)
        finally:
            for future in flying:
                future.cancel()


@final
@dataclass(frozen=True)
class SpawnPool(Engine):
    """Computes cells on worker processes of this machine, and replaces workers that die.

    Args:
        workers: Number of processes; no more are started than there are cells.

    Raises:
        UsageError: If `workers` is not positive; in `results`, if the workers cannot start.
    """

    workers: int

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise UsageError(f"workers must be at least 1, got {self.workers}.")

    def results(self, cells: Sequence[Cell], *, running: Running, context: Context | None = None) -> Results:
        """Yield the results in completion order; see `Engine.results`."""
        workers = min(self.workers, max(len(cells), 1))
        waiting = deque(cells)
        suspects: deque[Cell] = deque()  # in flight when a worker died: retried alone, to identify the one that kills
        retried: set[Cell] = set()
        false_starts = 0
        while waiting or suspects:
            pool = Pool(workers, context)
            try:
                lost = yield from _until_broken(pool, suspects, running, at_once=1)
                if not lost:
                    lost = yield from _until_broken(pool, waiting, running, at_once=workers)
                pool.close()
            except BaseException:  # Ctrl-C, a full disk, or a consumer that left
                pool.kill()
                raise
            false_starts = 0 if any(begun for _, begun in lost) else false_starts + 1
            if lost and false_starts == 3:
                raise UsageError(
                    "the worker processes die before they begin: if this is a script of yours, "
                    "put what it runs under `if __name__ == '__main__':`; or choose workers=1."
                )
            for cell, begun in reversed(lost):
                if not begun:
                    (suspects if cell in retried else waiting).appendleft(cell)
                elif cell not in retried:
                    retried.add(cell)
                    suspects.appendleft(cell)
                else:
                    yield failed(cell, BrokenProcessPool("its worker process was killed twice; out of memory, perhaps"))


def _until_broken(
    pool: Pool, queue: deque[Cell], running: Running, *, at_once: int
) -> Generator[CellResult, None, list[tuple[Cell, bool]]]:
    """Yield results until the queue is empty or a worker dies.

    Returns:
        The cells in flight when a worker died, each with whether it had begun; empty if the queue is done.

    Yields:
        Results in completion order.
    """
    while True:
        healthy = _fill(pool, queue, at_once)
        if not pool.busy:
            return [] if healthy else [(queue.popleft(), False)]
        finished = pool.collect()
        broken = any(_killed(future) for _, _, future in finished)
        if broken:
            finished += pool.collect(everything=True)  # a pool breaks as a whole
        else:
            _fill(pool, queue, at_once)  # before the results are written: no worker waits for the disk
        complete = {cell: 1.0 for cell, _, future in finished if not _killed(future)}
        running({**pool.running(), **complete})
        for cell, _, future in finished:
            if cell in complete:
                yield _outcome(cell, future)
        if broken:
            return [(cell, begun) for cell, begun, future in finished if cell not in complete]


def _fill(pool: Pool, queue: deque[Cell], at_once: int) -> bool:
    """Submit cells until `at_once` are in flight; False if the pool is broken, with the cell still in the queue."""
    while queue and pool.busy < at_once:
        try:
            pool.submit(queue[0])
        except BrokenProcessPool:
            return False
        queue.popleft()
    return True


def _outcome(cell: Cell, future: Future[CellResult]) -> CellResult:
    if future.cancelled():
        return failed(cell, CancelledError("the executor cancelled it"))
    error = future.exception()
    return future.result() if error is None else failed(cell, error)


def _killed(future: Future[CellResult]) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)
