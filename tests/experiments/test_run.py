"""Where a run computes and reads its data; what it writes is tested with each family."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from gradflip.experiments import Settings, prepare_data, run
from gradflip.experiments._plan import Plan
from gradflip.experiments.lazy._cells import LAZY_FLIP, lazy_cell, trainings
from gradflip.experiments.lazy.wang2022_fig2 import WANG2022_FIG2
from gradflip.sweep import Context, Engine, measure_cell

(GROUP,) = trainings((5,), (30,), (3,), seeds=2, max_epochs=1, normalize=False, bias=True)


def small_plan(data):
    settings = Settings(data=data)
    cells = (lazy_cell(LAZY_FLIP, GROUP, settings, seed) for seed in range(2))
    return Plan((WANG2022_FIG2,), settings, tuple(cells))


@dataclass(frozen=True)
class Recording(Engine):
    """Computes in this process, and keeps the context that it is given."""

    contexts: list[Context | None] = field(default_factory=list)

    def results(self, cells, *, running, context=None):
        self.contexts.append(context)
        for cell in cells:
            yield measure_cell(cell, context=context)


def test_workers_read_from_the_folder_named_and_rows_do_not_depend_on_it(tmp_path, fashion_folder, monkeypatch):
    monkeypatch.delenv("GRADFLIP_DATA", raising=False)
    other = shutil.copytree(fashion_folder, tmp_path / "copy", copy_function=os.link)
    before = dict(os.environ)
    planned, tables = small_plan("fashion-mnist"), []
    for workers, folder in ((1, fashion_folder), (2, other)):
        prepare_data(planned.settings, folder)
        outcome = run(planned, tmp_path / str(workers), workers=workers, data_dir=folder)
        assert (outcome.summary.done, outcome.summary.failed) == (2, ())
        assert str(folder) not in (outcome.folder.path / "spec.toml").read_text()
        tables.append(pl.read_parquet(outcome.folder.path / "table.parquet"))
    assert tables[0].equals(tables[1])
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("data_dir", "inner"), [(None, None), (Path("files"), "files"), (Path("~/files"), "home/files")]
)
def test_a_run_computes_on_the_engine_given_and_hands_it_the_absolute_folder(tmp_path, monkeypatch, data_dir, inner):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    engine = Recording()
    outcome = run(small_plan("digits"), tmp_path / "run", engine=engine, data_dir=data_dir)
    assert outcome.summary.done == 2
    absolute = None if inner is None else Context("gradflip.data:data_folder", (str((tmp_path / inner).resolve()),))
    assert engine.contexts == [absolute]
