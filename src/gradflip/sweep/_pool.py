"""A spawn pool of worker processes: one cell in flight per worker, its progress in shared memory, no orphans."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import get_context

from gradflip.sweep._context import Context
from gradflip.sweep._grid import Cell
from gradflip.sweep._result import CellResult
from gradflip.sweep._worker import ONE_THREAD, REPORT_EVERY, begin_worker, measure_in_slot

NOT_BEGUN = -1.0


class Pool:
    """Worker processes that each compute one cell at a time.

    Args:
        workers: Number of processes.
        context: Entered around each measure.
    """

    def __init__(self, workers: int, context: Context | None = None):
        spawn = get_context("spawn")
        # Without a lock: a double is written whole, and a worker that is killed can leave nothing locked.
        self._shares = spawn.RawArray("d", workers)
        self._free = set(range(workers))
        self._flying: dict[Future[CellResult], tuple[Cell, int]] = {}
        self._context = context
        self._executor = ProcessPoolExecutor(
            workers, mp_context=spawn, initializer=begin_worker, initargs=(self._shares,)
        )

    @property
    def busy(self) -> int:
        """Number of cells in flight."""
        return len(self._flying)

    def submit(self, cell: Cell) -> None:
        """Give a cell to a worker; `BrokenProcessPool` if one has died meanwhile."""
        slot = min(self._free)
        self._shares[slot] = NOT_BEGUN
        with _spawning():
            future = self._executor.submit(measure_in_slot, cell, slot, self._context)
            self._free.remove(slot)
            self._flying[future] = (cell, slot)
            # A submit wakes the executor's watch first and starts a worker second, so the death of that worker goes
            # unseen until the next event, which may never come. Another submit is that event.
            with suppress(BrokenProcessPool):
                self._executor.submit(_nothing)

    def running(self) -> dict[Cell, float]:
        """Return the cells that workers have begun, with the completed share of each."""
        shares = {cell: self._shares[slot] for cell, slot in self._flying.values()}
        return {cell: share for cell, share in shares.items() if share != NOT_BEGUN}

    def collect(self, *, everything: bool = False) -> list[tuple[Cell, bool, Future[CellResult]]]:
        """Wait a moment, and remove what has finished.

        Args:
            everything: Wait until all that is in flight has finished.

        Returns:
            Each cell, whether a worker had begun it, and its future.
        """
        if everything:
            wait(self._flying)
        done, _ = wait(self._flying, timeout=REPORT_EVERY, return_when=FIRST_COMPLETED)
        finished = []
        for future in [future for future in self._flying if future in done]:
            cell, slot = self._flying.pop(future)
            self._free.add(slot)
            finished.append((cell, self._shares[slot] != NOT_BEGUN, future))
        return finished

    def close(self) -> None:
        """Wait for the workers to exit; nothing is in flight."""
        self._executor.shutdown(wait=True)

    def kill(self) -> None:
        """End the workers of this pool, and no other process, now."""
        if sys.version_info >= (3, 14):
            self._executor.kill_workers()
        else:
            for process in list((self._executor._processes or {}).values()):
                process.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)


def _nothing() -> None:
    pass


@contextmanager
def _spawning() -> Iterator[None]:
    """Workers started inside inherit one thread per library, and a blocked SIGINT until they ignore it themselves."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    if sys.platform != "win32":
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
