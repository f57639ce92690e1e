import json
import logging
import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import polars
import pytest

from gradflip._errors import FileError, UsageError
from gradflip.sweep import Cell, Measure, RunFolder, measure_cell, run_cells
from gradflip.sweep._pool import Pool

HERE = Path(__file__).parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}


def cells(measure, count=3, **parameters):
    return [Cell(Measure(f"sweep_measures:{measure}"), parameters, seed=i, label=f"cell {i}") for i in range(count)]


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run", {"test": True})


def table(folder):
    return polars.read_parquet(folder.path / "table.parquet")


def start(path, workers, measure, count, **parameters):
    command = [sys.executable, "sweep_driver.py", path, workers, measure, count, json.dumps(parameters)]
    return subprocess.Popen(
        [str(word) for word in command],
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
        start_new_session=True,
    )


def finish(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.splitlines()[-1]


def until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def alive(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"  # a zombie is dead, whoever reaps it


def pids(folder):
    return [int(file.stem) for file in folder.glob("*.pid")]


def done_cells(path):
    return list((path / "cells").glob("*.json"))


# --- the same rows, however they were computed


def test_rows_are_the_same_on_one_worker_two_workers_and_another_executor(tmp_path):
    todo = cells("draw", 4, dim=3)
    tables, observations = [], []
    for name, how in [("one", {}), ("two", {"workers": 2}), ("threads", {"executor": ThreadPoolExecutor(2)})]:
        folder = RunFolder.create(tmp_path / name, {"a": 1})
        summary = run_cells(todo, folder, **how)
        assert (summary.done, summary.skipped, summary.failed) == (4, 0, ())
        folder.write_tables(todo)
        tables.append(table(folder))
        observations.append(polars.read_parquet(folder.path / "observations.parquet"))
        if "executor" in how:
            how["executor"].shutdown()
    assert tables[0]["threads"].to_list() == [1] * 4
    assert len(observations[0]) == 12
    for other in (1, 2):
        assert tables[other].equals(tables[0]) and observations[other].equals(observations[0])
    assert (tmp_path / "one" / "table.parquet").read_bytes() == (tmp_path / "two" / "table.parquet").read_bytes()
    assert (tmp_path / "one" / "table.csv").read_bytes() == (tmp_path / "two" / "table.csv").read_bytes()


def test_the_callers_number_of_torch_threads_comes_back():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert measure_cell(cells("draw", 1, dim=1)[0]).rows[0]["threads"] == 1
        assert measure_cell(cells("fails_until", 1, marker="/nowhere")[0]).status == "failed"
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_workers_have_one_thread_ignore_ctrl_c_and_leave_the_callers_environment_alone(folder):
    before = dict(os.environ)
    run_cells(cells("environment", 2), folder, workers=2)
    assert dict(os.environ) == before
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    for result in folder.results():
        assert result.rows[0]["omp"] == "1" and result.rows[0]["ignores_sigint"]
        assert result.rows[0]["pid"] != os.getpid() and not alive(result.rows[0]["pid"])


@pytest.mark.parametrize("workers", [1, 2])
def test_after_sigkill_workers_are_gone_and_resuming_gives_the_same_table(tmp_path, workers):
    run, twin = tmp_path / "run", tmp_path / "twin"
    parameters = {"folder": str(tmp_path), "steps": 8}
    process = start(run, workers, "slow", 6, **parameters)
    until(lambda: len(done_cells(run)) >= 2)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    until(lambda: not any(alive(pid) for pid in pids(tmp_path)), seconds=5)
    kept = len(done_cells(run))
    assert 2 <= kept < 6
    assert finish(start(run, 3 - workers, "slow", 6, **parameters)) == f"summary {6 - kept} {kept} 0"
    todo = cells("slow", 6, **parameters)
    other = RunFolder.create(twin, {"a": 1})
    run_cells(todo, other, executor=ThreadPoolExecutor(6))
    other.write_tables(todo)
    assert table(RunFolder.open(run)).equals(table(other))


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_leaves_a_resumable_folder_and_no_workers(tmp_path, workers):
    run = tmp_path / "run"
    parameters = {"folder": str(tmp_path), "steps": 8}
    process = start(run, workers, "slow", 6, **parameters)
    until(lambda: len(done_cells(run)) >= 2)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the workers too
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert err.count("Traceback") == 1 and "KeyboardInterrupt" in err  # the parent's own, none of the workers'
    assert not any(alive(pid) for pid in pids(tmp_path))
    kept = len(done_cells(run))
    assert 2 <= kept < 6 and not list(run.rglob("*gradflip-tmp"))
    assert finish(start(run, 2, "slow", 6, **parameters)) == f"summary {6 - kept} {kept} 0"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_their_parent_in_the_middle_of_a_long_cell(tmp_path, number):
    process = start(tmp_path / "run", 2, "slow", 2, folder=str(tmp_path), steps=1200)  # one minute
    until(lambda: len(pids(tmp_path)) == 2)
    os.kill(process.pid, number)  # to the parent alone
    process.communicate(timeout=10)
    assert process.returncode == -number
    until(lambda: not any(alive(pid) for pid in pids(tmp_path)), seconds=5)


# --- what goes wrong in a cell


@pytest.mark.parametrize("how", ["here", "pool", "threads"])
def test_a_measure_that_raises_fails_alone_and_is_tried_again(folder, tmp_path, how):
    marker = tmp_path / "marker"
    todo = [*cells("square", 2, x=3), *cells("fails_until", 1, marker=str(marker))]
    threads = ThreadPoolExecutor(1)
    options = {"here": {}, "pool": {"workers": 2}, "threads": {"executor": threads}}[how]
    summary = run_cells(todo, folder, **options)
    assert (summary.done, summary.skipped, len(summary.failed)) == (2, 0, 1)
    failure = summary.failed[0]
    assert failure.cell == todo[2] and failure.status == "failed" and failure.rows == []
    assert failure.reason == "ValueError: no marker for cell 0"
    assert "Traceback" in failure.error and "in fails_until" in failure.error
    assert folder.read(todo[2]) == failure
    marker.touch()
    summary = run_cells(todo, folder, **options)
    assert (summary.done, summary.skipped, summary.failed) == (1, 2, ())
    assert folder.read(todo[2]).status == "ok"
    threads.shutdown()


@pytest.mark.parametrize(
    ("measure", "reason"),
    [
        ("sweep_measures:gives_nan", "UsageError: row 0, column 'value', must be finite, got nan; give None"),
        ("sweep_measures:gives_a_list", "TypeError: sweep_measures:gives_a_list must return a Measured, got list."),
        ("sweep_measures:leaves", "SystemExit: measure left"),
        ("sweep_measures:missing", "AttributeError: module 'sweep_measures' has no attribute 'missing'"),
        ("no_such_module:missing", "ModuleNotFoundError: No module named 'no_such_module'"),
    ],
)
def test_a_bad_measure_is_a_failed_cell(measure, reason):
    result = measure_cell(Cell(Measure(measure), {}, 0))
    assert result.status == "failed" and result.reason.startswith(reason)


def test_a_killed_worker_is_retried_and_only_the_guilty_cell_fails(folder, tmp_path):
    def killer(seed, times):
        return Cell(Measure("sweep_measures:kills_its_worker"), {"folder": str(tmp_path), "times": times}, seed)

    innocent = cells("slow", 3, folder=str(tmp_path), steps=16)
    once, always = killer(0, 1), killer(1, 5)
    summary = run_cells([always, innocent[0], once, *innocent[1:]], folder, workers=2)
    assert (summary.done, [result.cell for result in summary.failed]) == (4, [always])
    assert "killed twice" in summary.failed[0].reason
    assert folder.read(once).status == "ok"
    assert not any(alive(pid) for pid in pids(tmp_path))
    summary = run_cells([always], folder, workers=2)  # dies twice more: a session tries it twice
    assert len(summary.failed) == 1


def test_the_death_of_a_worker_is_seen_while_another_is_in_the_middle_of_a_long_cell(tmp_path):
    pool = Pool(2)
    try:
        pool.submit(cells("slow", 1, folder=str(tmp_path), steps=1200)[0])
        until(lambda: pids(tmp_path))  # the second worker is the last to start, and nothing happens after it
        pool.submit(cells("kills_its_worker", 1, folder=str(tmp_path), times=1)[0])
        collected = []
        until(lambda: collected.extend(pool.collect()) or len(collected) == 2, seconds=10)
        assert all(isinstance(future.exception(), BrokenProcessPool) for _, _, future in collected)
    finally:
        pool.kill()


UNGUARDED = """
import sys
from gradflip.sweep import Cell, Measure, RunFolder, run_cells
folder = RunFolder.create(sys.argv[1], {"a": 1})
run_cells([Cell(Measure("sweep_measures:square"), {"x": i}, 0) for i in range(20)], folder, workers=2)
"""


def test_workers_that_cannot_start_end_the_run_with_advice(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    done = subprocess.run(
        [sys.executable, script, tmp_path / "run"],
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRONMENT,
    )
    assert done.returncode == 1
    assert "UsageError: the worker processes die before they begin" in done.stderr
    assert done_cells(tmp_path / "run") == []


# --- what goes wrong around the cells


@pytest.mark.parametrize("workers", [1, 2])
def test_a_result_that_cannot_be_written_stops_the_run_and_its_workers(tmp_path, workers):
    folder = RunFolder.create(tmp_path / "run", {"a": 1})
    folder.cells_dir.rmdir()
    folder.cells_dir.touch()  # a file where the folder should be: not even root can write there
    with pytest.raises(FileError, match="could not (write|read) .*a part of this path is a file"):
        run_cells(cells("slow", 4, folder=str(tmp_path), steps=4), folder, workers=workers)


def test_a_full_disk_ends_the_workers(folder, tmp_path, monkeypatch):
    def refuse(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(FileError, match="No space left on device"):
        run_cells([*cells("square", 1, x=1), *cells("slow", 2, folder=str(tmp_path), steps=1200)], folder, workers=2)
    assert not any(alive(pid) for pid in pids(tmp_path))
    assert not list(folder.path.rglob("*gradflip-tmp"))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_the_report_ends_the_run_and_fails_no_cell(folder, tmp_path, workers):
    def report(progress):
        if progress.fraction > 0.3:
            raise BrokenPipeError("the display is gone")

    with pytest.raises(BrokenPipeError, match="the display is gone"):
        run_cells(cells("slow", 3, folder=str(tmp_path), steps=8), folder, workers=workers, report=report)
    assert all(result.status == "ok" for result in folder.results())
    assert not any(alive(pid) for pid in pids(tmp_path) if pid != os.getpid())


def test_a_damaged_cell_is_computed_again(folder, caplog):
    todo = cells("square", 3, x=2)
    run_cells(todo, folder)
    damaged = folder.cells_dir / f"{todo[1].hash}.json"
    whole = json.loads(damaged.read_text())
    damaged.write_text(damaged.read_text()[:-20])
    with caplog.at_level(logging.WARNING):
        summary = run_cells(todo, folder)
    assert (summary.done, summary.skipped) == (1, 2) and "is damaged" in caplog.text
    assert json.loads(damaged.read_text())["rows"] == whole["rows"]


def test_another_version_is_computed_anew(folder):
    old = Cell(Measure("sweep_measures:square"), {"x": 2}, 0)
    new = Cell(Measure("sweep_measures:square", 2), {"x": 2}, 0)
    run_cells([old], folder)
    assert run_cells([new], folder).skipped == 0
    assert folder.write_tables([new]) == 1


def test_the_most_costly_goes_first_and_twins_once(folder):
    todo = [Cell(Measure("sweep_measures:square"), {"x": x}, 0, cost=x + 1.0, label=str(x)) for x in (0, 2, 1, 2)]
    seen = []
    summary = run_cells(todo, folder, report=lambda progress: seen.append(progress.running))
    assert summary.done == 3
    assert list(dict.fromkeys(label for running in seen for label in running)) == ["2", "1", "0"]


def test_no_cells_and_no_workers(folder):
    assert run_cells([], folder, workers=4).done == 0
    with pytest.raises(UsageError, match="workers must be at least 1, got 0"):
        run_cells([], folder, workers=0)


class Broken(Executor):
    """An executor whose jobs are lost in two ways."""

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        if args[0].seed == 0:
            future.cancel()
            future.set_running_or_notify_cancel()
        else:
            future.set_exception(RuntimeError("the machine is gone"))
        return future


def test_jobs_that_an_executor_loses_are_failed_cells(folder):
    summary = run_cells(cells("square", 2, x=1), folder, executor=Broken())
    reasons = {result.cell.seed: result.reason for result in summary.failed}
    assert reasons == {0: "CancelledError: the executor cancelled it", 1: "RuntimeError: the machine is gone"}


# --- progress


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_counts_cells_work_and_the_shares_under_way(folder, tmp_path, workers):
    seen = []
    before = cells("square", 1, x=2)
    run_cells(before, folder)
    todo = [*before, *cells("slow", 2, folder=str(tmp_path), steps=12)]
    run_cells(todo, folder, workers=workers, report=seen.append)
    assert seen[0].fraction >= 1 / 3 and seen[0].done_cells == 1 and seen[0].total_cells == 3
    assert seen[0].seconds_left is None
    assert seen[-1].fraction == 1.0 and seen[-1].done_cells == 3 and seen[-1].seconds_left == 0.0
    fractions = [progress.fraction for progress in seen]
    assert fractions == sorted(fractions)
    assert any(1 / 3 < f < 1 and not math.isclose(f, 2 / 3) for f in fractions)  # within a cell
    assert {label for progress in seen for label in progress.running} == {"cell 0", "cell 1"}
    assert any(progress.seconds_left for progress in seen)
    assert all(a.elapsed <= b.elapsed for a, b in zip(seen, seen[1:], strict=False))


def test_a_measure_may_report_often_but_is_heard_five_times_a_second(tmp_path):
    heard = []
    result = measure_cell(cells("slow", 1, folder=str(tmp_path), steps=12)[0], heard.append)
    assert result.status == "ok" and 0.6 <= result.seconds < 10
    assert 2 <= len(heard) <= result.seconds / 0.2 + 1


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of one cell is known on Linux only")
def test_the_peak_memory_is_that_of_the_cell():
    big, small = (measure_cell(cells("holds_memory", 1, bytes=size)[0]) for size in (200_000_000, 1_000))
    assert big.status == small.status == "ok"
    assert big.peak_memory_bytes - small.peak_memory_bytes > 150_000_000
