"""Compute the cells that are not done on an engine, and keep each result as soon as it is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass

from gradflip._errors import UsageError
from gradflip.sweep._context import Context
from gradflip.sweep._engines import Engine, OnExecutor, SpawnPool, ThisProcess
from gradflip.sweep._grid import Cell
from gradflip.sweep._progress import Progress, Tally
from gradflip.sweep._result import CellResult
from gradflip.sweep._store import RunFolder


@dataclass(frozen=True)
class RunSummary:
    """What one session of a run did.

    Args:
        done: Number of cells computed in this session.
        skipped: Number of cells computed before.
        failed: Results of the cells that failed in this session.
        seconds: Duration of the session.
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
    engine: Engine | None = None,
    context: Context | None = None,
) -> RunSummary:
    """Compute the cells that the folder does not hold yet, the most costly first; failed cells are retried.

    A cell whose measure raises is kept as failed, and the others continue. When a worker process dies, the cells in
    flight are retried one at a time, and a cell that kills its worker twice is kept as failed. Ctrl-C, or a result
    that cannot be written (`FileError`), ends the workers and the run; what is written stays, and the same call
    resumes from there.

    Args:
        cells: What to compute; duplicates are computed once.
        folder: Where results are read and written, by this process alone.
        workers: Number of processes. With 1, cells run in this process. Each cell has one torch thread either way.
        report: Called with the state of the run, about five times a second.
        executor: Short for `engine=OnExecutor(executor)`.
        engine: Computes the cells in place of `workers`.
        context: Entered around each measure, wherever it runs. Rows must not depend on it.

    Returns:
        Counts of computed and skipped cells, and the failures.

    Raises:
        UsageError: If `workers` is not positive, or both `executor` and `engine` are given.
    """
    if workers < 1:
        raise UsageError(f"workers must be at least 1, got {workers}.")
    engine = _engine(workers, executor, engine)
    every = list(dict.fromkeys(cells))
    skipped = [cell for cell in every if (known := folder.read(cell)) is not None and known.status == "ok"]
    done_before = set(skipped)
    todo = sorted((cell for cell in every if cell not in done_before), key=lambda cell: -cell.cost)
    tally = Tally(skipped, todo, report)
    failures = []
    tally.running({})  # reports what is skipped, before the first worker is up
    with closing(engine.results(todo, running=tally.running, context=context)) as results:
        for result in results:
            folder.write(result)
            tally.finished(result)
            if result.status == "failed":
                failures.append(result)
    return RunSummary(len(todo) - len(failures), len(skipped), tuple(failures), tally.elapsed)


def _engine(workers: int, executor: Executor | None, engine: Engine | None) -> Engine:
    if engine is not None:
        if executor is not None:
            raise UsageError("give either an executor or an engine, got both.")
        return engine
    if executor is not None:
        return OnExecutor(executor)
    return ThisProcess() if workers == 1 else SpawnPool(workers)
