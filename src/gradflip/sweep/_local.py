"""Run the cells that are not done, on this machine or on any executor, and keep each as it completes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from typing import TypeAlias

from gradflip._errors import UsageError
from gradflip.sweep._grid import Cell
from gradflip.sweep._pool import Pool
from gradflip.sweep._progress import Progress, Tally
from gradflip.sweep._result import CellResult
from gradflip.sweep._store import RunFolder
from gradflip.sweep._worker import REPORT_EVERY, failed, measure_cell

Results: TypeAlias = Generator[CellResult, None, None]


@dataclass(frozen=True)
class RunSummary:
    """What a session of a run did.

    Args:
        done: Cells computed now.
        skipped: Cells that were done before.
        failed: The results of the cells that failed now.
        seconds: How long the session took.
    """

    done: int
    skipped: int
    failed: tuple[CellResult, ...]
    seconds: float


def run_cells(
    cells: Iterable[Cell],
    folder: RunFolder,
    *,
    workers: int = 1,
    report: Callable[[Progress], None] | None = None,
    executor: Executor | None = None,
) -> RunSummary:
    """Compute the cells that the folder does not hold yet, most costly first; failed ones are tried again.

    A cell whose measure raises is kept as failed and the others go on. When workers die, the cells they had begun go
    again, one at a time, and one that kills its worker twice is kept as failed. Ctrl-C, and a result that cannot be
    written (`FileError`), end the workers and the run; what was written stays, and the same call goes on from there.

    Args:
        cells: What to compute; a cell that comes twice is computed once.
        folder: Where results are read and written, by this process alone.
        workers: How many processes. With 1, the cells run in this process. Each cell has one torch thread either way.
        report: Called with the state of the run, about five times a second.
        executor: Runs the cells in place of `workers`. It is not shut down, and tells no progress within a cell.

    Returns:
        What was done, skipped, and what failed.

    Raises:
        UsageError: If `workers` is not positive.
    """
    if workers < 1:
        raise UsageError(f"workers must be at least 1, got {workers}.")
    every = list(dict.fromkeys(cells))
    skipped = [cell for cell in every if (known := folder.read(cell)) is not None and known.status == "ok"]
    done_before = set(skipped)
    todo = sorted((cell for cell in every if cell not in done_before), key=lambda cell: -cell.cost)
    tally = Tally(skipped, todo, report)
    failures = []
    tally.running({})  # says what was skipped, before the first worker is up
    with closing(_engine(todo, tally, workers, executor)) as results:
        for result in results:
            folder.write(result)
            tally.finished(result)
            if result.status == "failed":
                failures.append(result)
    return RunSummary(len(todo) - len(failures), len(skipped), tuple(failures), tally.elapsed)


def _engine(cells: Sequence[Cell], tally: Tally, workers: int, executor: Executor | None) -> Results:
    if executor is not None:
        return _on_executor(cells, tally, executor)
    return _here(cells, tally) if workers == 1 else _in_pool(cells, tally, min(workers, max(len(cells), 1)))


def _here(cells: Iterable[Cell], tally: Tally) -> Results:
    for cell in cells:
        raised: list[Exception] = []

        def progress(share: float, cell: Cell = cell, raised: list[Exception] = raised) -> None:
            try:
                tally.running({cell: share})
            except Exception as error:  # the report's fault, not the measure's: do not fail the cell for it
                raised.append(error)

        tally.running({cell: 0.0})
        result = measure_cell(cell, progress)
        if raised:
            raise raised[0]
        yield result


def _on_executor(cells: Iterable[Cell], tally: Tally, executor: Executor) -> Results:
    flying: dict[Future[CellResult], Cell] = {}
    try:
        for cell in cells:
            try:
                flying[executor.submit(measure_cell, cell)] = cell
            except BrokenExecutor as error:
                yield failed(cell, error)
        while flying:
            done, _ = wait(flying, timeout=REPORT_EVERY, return_when=FIRST_COMPLETED)
            tally.running({cell: 0.0 for future, cell in flying.items() if future.running()})
            for future in done:
                yield _outcome(flying.pop(future), future)
    finally:
        for future in flying:
            future.cancel()


def _outcome(cell: Cell, future: Future[CellResult]) -> CellResult:
    if future.cancelled():
        return failed(cell, CancelledError("the executor cancelled it"))
    error = future.exception()
    return future.result() if error is None else failed(cell, error)


def _in_pool(cells: Iterable[Cell], tally: Tally, workers: int) -> Results:
    waiting = deque(cells)
    suspects: deque[Cell] = deque()  # begun when a worker died: again, each alone, so that the guilty one is known
    retried: set[Cell] = set()
    false_starts = 0
    while waiting or suspects:
        pool = Pool(workers)
        try:
            lost = yield from _until_broken(pool, suspects, tally, at_once=1)
            if not lost:
                lost = yield from _until_broken(pool, waiting, tally, at_once=workers)
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
    pool: Pool, queue: deque[Cell], tally: Tally, *, at_once: int
) -> Generator[CellResult, None, list[tuple[Cell, bool]]]:
    """Yield results until the queue is done or a worker dies.

    Returns:
        The cells that were in flight when a worker died, each with whether it had begun; none if the queue is done.

    Yields:
        Results in the order in which they come.
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
        tally.running({**pool.running(), **complete})
        for cell, _, future in finished:
            if cell in complete:
                yield _outcome(cell, future)
        if broken:
            return [(cell, begun) for cell, begun, future in finished if cell not in complete]


def _fill(pool: Pool, queue: deque[Cell], at_once: int) -> bool:
    """Return False if the pool is broken; the cell that could not be put in flight is then still in the queue."""
    while queue and pool.busy < at_once:
        try:
            pool.submit(queue[0])
        except BrokenProcessPool:
            return False
        queue.popleft()
    return True


def _killed(future: Future[CellResult]) -> bool:
    return isinstance(future.exception(), BrokenProcessPool)
