"""Small measures that workers import by name."""

import contextlib
import contextvars
import os
import signal
import sys
import time
from pathlib import Path

from gradflip.sweep import Measured


def square(parameters, seed, progress):
    progress(0.5)
    return Measured([{"x": parameters["x"], "square": parameters["x"] ** 2}])


def draw(parameters, seed, progress):
    """Sums that depend on the number of threads, and a few draws."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(200_000, generator=generator, dtype=torch.float32)
    rows = [
        {"dim": parameters["dim"], "total": a.sum().item(), "norm": (a @ a).item(), "threads": torch.get_num_threads()}
    ]
    progress(1.0)
    return Measured(rows, {"draw": a[: parameters["dim"]].tolist(), "index": list(range(parameters["dim"]))})


def slow(parameters, seed, progress):
    """Says who computes it, then takes its time."""
    folder = Path(parameters["folder"])
    (folder / f"{os.getpid()}.pid").touch()
    steps = parameters["steps"]
    for i in range(steps):
        time.sleep(0.05)
        progress((i + 1) / steps)
    return Measured([{"x": seed, "value": seed / 3}])


def fails_until(parameters, seed, progress):
    if not Path(parameters["marker"]).exists():
        raise ValueError(f"no marker for cell {seed}\nsecond line")
    return Measured([{"x": seed}])


def kills_its_worker(parameters, seed, progress):
    """Dies as if out of memory, `times` times."""
    for i in range(parameters["times"]):
        marker = Path(parameters["folder"]) / f"{seed}-{i}"
        if not marker.exists():
            marker.touch()
            time.sleep(0.3)  # long enough for its neighbours to have begun
            os.kill(os.getpid(), signal.SIGKILL)
    return Measured([{"x": seed}])


def gives_nan(parameters, seed, progress):
    return Measured([{"value": float("nan")}])


def gives_a_list(parameters, seed, progress):
    return []


def leaves(parameters, seed, progress):
    sys.exit("measure left")


def holds_memory(parameters, seed, progress):
    held = bytearray(parameters["bytes"])
    held[::4096] = b"x" * len(held[::4096])
    return Measured([{"x": len(held)}])


def environment(parameters, seed, progress):
    ignores = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    return Measured([{"omp": os.environ.get("OMP_NUM_THREADS"), "ignores_sigint": ignores, "pid": os.getpid()}])


_place = contextvars.ContextVar("place", default="nowhere")


@contextlib.contextmanager
def placed(place):
    """A context: `where` measures inside it read `place`."""
    token = _place.set(place)
    try:
        yield
    finally:
        _place.reset(token)


def where(parameters, seed, progress):
    return Measured([{"place": _place.get()}])


def counts_images(parameters, seed, progress):
    from gradflip.data import load_data

    return Measured([{"images": len(load_data(parameters["data"]).y_test)}])
