"""Timing for the benchmarks: contenders in turn, so that a drift of the machine's speed meets them all alike."""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from gradflip.experiments import environment


def interleaved(work: dict[str, Callable[[], object]], repeats: int, threads: int = 1) -> dict[str, list[float]]:
    """Seconds of every contender in every round, after one round that does not count.

    CPU time of the process on one thread, which other processes disturb least; wall time on several.
    """
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(repeats + 1):
        for name, run in work.items():
            start = clock()
            run()
            if turn:
                seconds[name].append(clock() - start)
    torch.set_num_threads(1)
    return seconds


def against(seconds: dict[str, list[float]], name: str, baseline: str) -> dict[str, float]:
    """The ratio to a baseline, round by round: median and range."""
    ratios = [a / b for a, b in zip(seconds[name], seconds[baseline], strict=True)]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def write(results: dict[str, object], path: Path | None) -> None:
    """Keep results as JSON, with the environment."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(results | {"environment": environment()}, indent=1) + "\n")


def shown(ratio: dict[str, float]) -> str:
    """A ratio with its range."""
    return f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})"
