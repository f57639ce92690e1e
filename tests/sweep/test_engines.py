import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from gradflip._errors import UsageError
from gradflip.sweep import (
    Cell,
    Context,
    Engine,
    Measure,
    OnExecutor,
    RunFolder,
    SpawnPool,
    ThisProcess,
    measure_cell,
    run_cells,
)

WHERE = [Cell(Measure("sweep_measures:where"), {}, seed) for seed in range(3)]
ENGINES = {"here": ThisProcess, "pool": lambda: SpawnPool(2), "threads": lambda: OnExecutor(ThreadPoolExecutor(2))}


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run", {"test": True})


@pytest.fixture(params=ENGINES)
def engine(request) -> Iterator[Engine]:
    made = ENGINES[request.param]()
    yield made
    if isinstance(made, OnExecutor):
        made.executor.shutdown()


@dataclass(frozen=True)
class Backwards(Engine):
    """An engine from outside the package: the last cell first, nothing in flight twice."""

    def results(self, cells, *, running, context=None):
        for cell in reversed(cells):
            running({cell: 0.5})
            yield measure_cell(cell, context=context)


def places(results):
    return [row["place"] for result in results for row in result.rows]


def test_an_engine_yields_every_cell_and_reports_those_in_flight(engine):
    seen = []
    results = list(engine.results(WHERE, running=seen.append))
    assert {result.cell for result in results} == set(WHERE) and len(results) == 3
    assert places(results) == ["nowhere"] * 3
    assert all(0 <= share <= 1 for shares in seen for share in shares.values())


def test_each_engine_enters_the_context_around_each_measure(engine, folder):
    summary = run_cells(WHERE, folder, engine=engine, context=Context("sweep_measures:placed", ("here",)))
    assert summary.done == 3
    assert places(folder.results()) == ["here"] * 3
    assert places([measure_cell(WHERE[0])]) == ["nowhere"]  # and left afterwards


@pytest.mark.parametrize("workers", [1, 2])
def test_the_context_reaches_one_worker_and_two(workers, folder):
    run_cells(WHERE, folder, workers=workers, context=Context("sweep_measures:placed", ("there",)))
    assert places(folder.results()) == ["there"] * 3


def test_any_engine_serves_a_run(folder):
    seen = []
    summary = run_cells(WHERE, folder, engine=Backwards(), report=seen.append)
    assert (summary.done, summary.failed) == (3, ())
    assert seen[-1].fraction == 1.0 and any(0 < progress.fraction < 1 for progress in seen)


def test_a_context_that_cannot_be_entered_fails_the_cell():
    result = measure_cell(WHERE[0], context=Context("sweep_measures:no_such_context"))
    assert result.status == "failed" and result.reason.startswith("AttributeError: module 'sweep_measures'")


def test_closing_an_engine_cancels_what_has_not_begun(tmp_path):
    slow = [Cell(Measure("sweep_measures:slow"), {"folder": str(tmp_path), "steps": 4}, seed) for seed in range(4)]
    futures = []
    with ThreadPoolExecutor(1) as threads:
        submit = threads.submit
        threads.submit = lambda *args, **kwargs: futures.append(submit(*args, **kwargs)) or futures[-1]
        with contextlib.closing(OnExecutor(threads).results(slow, running=lambda _: None)) as results:
            assert next(results).cell == slow[0]
    assert len(futures) == 4 and futures[-1].cancelled()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpawnPool(0), r"workers must be at least 1, got 0\."),
        (lambda: Context("placed"), r"context must read 'package\.module:function', got 'placed'\."),
        (lambda: Context("a:b", (object(),)), r"argument 0 of a:b must be None, a bool, an int, a float or a str"),
    ],
)
def test_bad_engines_and_contexts_are_named(make, message):
    with pytest.raises(UsageError, match=f"^{message}"):
        make()


def test_an_executor_and_an_engine_exclude_each_other(folder):
    with ThreadPoolExecutor(1) as threads, pytest.raises(UsageError, match="either an executor or an engine, got both"):
        run_cells([], folder, executor=threads, engine=ThisProcess())
