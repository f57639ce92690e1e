"""What runs in a worker: one cell, on one thread, with a failure kept as a value."""

from __future__ import annotations

import ctypes
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

from gradflip.sweep._context import Context
from gradflip.sweep._grid import Cell
from gradflip.sweep._json import plain
from gradflip.sweep._measure import Measured, MeasureFunction
from gradflip.sweep._reference import resolve
from gradflip.sweep._result import CellResult

ONE_THREAD = {  # for the environment of a worker, read when these libraries load
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
}
REPORT_EVERY = 0.2  # seconds


def measure_cell(
    cell: Cell, progress: Callable[[float], None] | None = None, *, context: Context | None = None
) -> CellResult:
    """Compute one cell in this thread, on one torch thread.

    Args:
        cell: What to compute.
        progress: Receives the completed share, in [0, 1], at most five times a second.
        context: Entered around the measure.

    Returns:
        The result; if the measure raises, a failed one that holds the traceback.
    """
    start = time.perf_counter()
    _reset_peak_memory()
    try:
        measure: MeasureFunction = resolve(cell.measure.reference)
        with nullcontext() if context is None else context.open(), _one_torch_thread():
            start = time.perf_counter()  # loading torch and the measure is not the cell's work
            measured = measure(plain(cell.parameters, "parameters"), cell.seed, _throttled(progress))
        seconds = time.perf_counter() - start
        rows, observations = _checked(measured, cell)
        return CellResult(cell, "ok", rows, observations, seconds=seconds, peak_memory_bytes=_peak_memory())
    except (Exception, SystemExit) as error:
        return failed(cell, error, seconds=time.perf_counter() - start, peak_memory_bytes=_peak_memory())


def failed(cell: Cell, error: BaseException, *, seconds: float = 0.0, peak_memory_bytes: int = 0) -> CellResult:
    """Return the result of a cell that raised `error`."""
    reason = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
    text = f"{reason}\n\n{''.join(traceback.format_exception(error))}"
    text = text.encode(errors="backslashreplace").decode()
    return CellResult(cell, "failed", seconds=seconds, peak_memory_bytes=peak_memory_bytes, error=text)


def _checked(measured: Any, cell: Cell) -> tuple[Any, Any]:
    if not isinstance(measured, Measured):
        raise TypeError(f"{cell.measure.name} must return a Measured, got {type(measured).__name__}.")
    return measured.rows, measured.observations


_shares: Any = None  # shared with the parent, one double per cell in flight


def begin_worker(shares: Any) -> None:
    """Prepare a spawned worker: it leaves Ctrl-C to its parent, and does not outlive it."""
    global _shares
    _shares = shares
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()


def measure_in_slot(cell: Cell, slot: int, context: Context | None) -> CellResult:
    """Return `measure_cell` of a cell in a worker prepared by `begin_worker`, with progress in `shares[slot]`."""
    _shares[slot] = 0.0  # tells the parent that the cell has begun

    def progress(share: float) -> None:
        _shares[slot] = share

    return measure_cell(cell, progress, context=context)


def _throttled(progress: Callable[[float], None] | None) -> Callable[[float], None]:
    last = -math.inf

    def report(share: float) -> None:
        nonlocal last
        now = time.monotonic()
        if progress is not None and now - last >= REPORT_EVERY and not math.isnan(share):
            last = now
            progress(min(max(float(share), 0.0), 1.0))

    return report


_threads_lock = threading.Lock()
_threads_users = 0
_threads_before = 1


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """One torch thread inside; the number from before once the last of several cells in this process is done."""
    global _threads_users, _threads_before
    if "torch" not in sys.modules and all(
        os.environ.get(name) == "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    ):
        yield  # a spawned worker: torch, if the measure loads it, starts with one thread
        return
    import torch

    with _threads_lock:
        if _threads_users == 0:
            _threads_before = torch.get_num_threads()
        _threads_users += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _threads_lock:
            _threads_users -= 1
            if _threads_users == 0:
                torch.set_num_threads(_threads_before)


def _reset_peak_memory() -> None:
    with (
        suppress(OSError),
        open("/proc/self/clear_refs", "w") as file,
    ):  # Linux only; elsewhere the peak is the process's
        file.write("5")


def _peak_memory() -> int:
    with suppress(OSError, ValueError, IndexError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: holds even while C code runs
        if os.getppid() != parent.pid:  # it died before we asked
            os._exit(1)

    def watch() -> None:  # wherever there is no prctl
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="gradflip-parent-watch", daemon=True).start()
