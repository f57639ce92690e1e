import builtins
import errno
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradflip._errors import FileError, UsageError
from gradflip.sweep import Cell, CellResult, Measure, RunFolder, atomic_write, run_cells

SPEC = {"experiment": "ball", "seed": 0, "grid": {"dim": [2, 3], "name": "é"}, "rate": 0.1}

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
names = text.filter(lambda name: name not in ("cell", "measure", "seed"))


def cell(seed=0):
    return Cell(Measure("sweep_measures:square"), {"x": 2}, seed)


def ok(seed=0, rows=None, **observations):
    rows = [{"x": 2}] if rows is None else rows
    return CellResult(cell(seed), "ok", rows, observations, seconds=0.5, peak_memory_bytes=10)


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "run", SPEC)


def files(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


@given(st.lists(st.dictionaries(names, scalars, max_size=3), max_size=3), st.dictionaries(names, scalars, max_size=3))
def test_a_result_survives_json(rows, row):
    before = ok(rows=rows, **{"o" + name: [value, value] for name, value in row.items()})
    after = CellResult.from_json(json.loads(json.dumps(before.to_json(), allow_nan=False)))
    assert after == before
    assert repr(after.rows) == repr(before.rows)


def test_what_is_written_is_read_back(folder):
    result = ok(3, rows=[{"x": 0.1, "y": None, "z": "é"}], draws=[1.5, 2.5])
    assert folder.read(result.cell) is None
    folder.write(result)
    assert folder.read(result.cell) == result
    assert files(folder.path) == [f"cells/{result.cell.hash}.json", "spec.toml"]


def test_results_are_sorted_by_hash(folder):
    for seed in range(5):
        folder.write(ok(seed))
    hashes = [result.cell.hash for result in folder.results()]
    assert hashes == sorted(cell(seed).hash for seed in range(5))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[]",
        lambda text: "null",
        lambda text: "[" * 100_000,
        lambda text: text.replace('"seed": 0', '"seed": 1'),
        lambda text: text.replace('"ok"', '"fine"'),
        lambda text: text.replace('"rows"', '"lines"'),
        lambda text: text.replace('{"x": 2}]', '{"x": NaN}]'),
    ],
)
def test_a_damaged_file_counts_as_not_done_and_says_so(folder, damage, caplog):
    folder.write(ok())
    file = folder.cells_dir / f"{cell().hash}.json"
    file.write_text(damage(file.read_text()))
    with caplog.at_level(logging.WARNING):
        assert folder.read(cell()) is None
        assert folder.results() == []
    assert f"{file} is damaged" in caplog.text


def test_bytes_that_are_not_text_count_as_damage(folder, caplog):
    (folder.cells_dir / f"{cell().hash}.json").write_bytes(b"\xff\xfe\x00")
    assert folder.read(cell()) is None
    assert "is damaged" in caplog.text


def test_a_file_under_another_name_counts_as_damage(folder, caplog):
    folder.write(ok(1))
    os.rename(folder.cells_dir / f"{cell(1).hash}.json", folder.cells_dir / f"{cell(0).hash}.json")
    assert folder.read(cell(0)) is None
    assert f"it describes cell {cell(1).hash}" in caplog.text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ok(rows=[{"x": float("inf")}]), "row 0, column 'x', must be finite, got inf; give None"),
        (lambda: ok(rows=[{"x": [1]}]), "row 0, column 'x', must be None, a bool, an int, a float or a str, got list"),
        (lambda: ok(rows=[{"seed": 1}]), "row 0 must not have a column 'seed'"),
        (lambda: ok(rows=[{1: 1}]), "the columns of row 0 must be strings, got 1"),
        (lambda: ok(rows=[[1]]), "row 0 must be a mapping, got list"),
        (lambda: ok(a=[1], b=[1, 2]), "equal length, got {'a': 1, 'b': 2}"),
        (lambda: ok(a=[1, float("nan")]), "observations, column 'a', must be finite"),
        (lambda: ok(a="no"), "observations, column 'a', must be a list, got str"),
        (lambda: CellResult(cell(), "done"), "status must be 'ok' or 'failed', got 'done'"),
    ],
)
def test_what_json_or_a_table_cannot_hold_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_a_number_that_became_infinite_later_is_not_written(folder):
    result = ok()
    result.rows[0]["x"] = float("inf")
    with pytest.raises(UsageError, match="must be finite, got inf"):
        folder.write(result)
    assert files(folder.path) == ["spec.toml"]


def test_numpy_floats_become_floats_and_numpy_integers_are_named():
    numpy = pytest.importorskip("numpy")
    assert type(ok(rows=[{"x": numpy.float64(0.5)}]).rows[0]["x"]) is float
    with pytest.raises(UsageError, match=r"got numpy\.int64"):
        ok(rows=[{"x": numpy.int64(1)}])


# --- the folder


def test_the_same_spec_resumes(folder):
    folder.write(ok())
    again = RunFolder.create(folder.path, dict(reversed(SPEC.items())))
    assert again.read(cell()) == ok()
    assert again.spec == SPEC == RunFolder.open(folder.path).spec


def test_another_spec_is_refused_and_says_what_differs(folder):
    other = {**SPEC, "seed": 1, "grid": {"dim": [2], "name": "é"}}
    with pytest.raises(UsageError, match="holds another run .*seed is 0 there and 1 here") as caught:
        RunFolder.create(folder.path, other)
    assert "grid.dim is [2,3] there and [2] here" in str(caught.value)
    assert "choose another --out, or --force to replace it" in str(caught.value)
    assert RunFolder.open(folder.path).spec == SPEC


def test_force_removes_a_run_and_nothing_else(folder):
    folder.write(ok())
    folder.write_env({"python": "3"})
    folder.write_tables()
    (folder.path / "figures").mkdir()
    (folder.path / "figures" / "fig2.svg").touch()
    for name in ["report.html", "log.jsonl", "observations.parquet", ".table.csv.abc.gradflip-tmp", "notes.txt"]:
        (folder.path / name).touch()
    (folder.path / "mine").mkdir()
    (folder.path / "mine" / "table.csv").touch()
    RunFolder.create(folder.path, {"experiment": "other"}, force=True)
    assert files(folder.path) == ["mine/table.csv", "notes.txt", "spec.toml"]
    assert RunFolder.open(folder.path).spec == {"experiment": "other"}


def test_force_does_not_follow_a_link(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "keep").touch()
    (folder.path / "figures").symlink_to(elsewhere)
    RunFolder.create(folder.path, SPEC, force=True)
    assert (elsewhere / "keep").exists() and not (folder.path / "figures").exists()


@pytest.mark.parametrize("force", [False, True])
def test_the_files_of_a_stranger_are_never_touched(tmp_path, force):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match=r"not empty and not a run folder \(it has thesis.tex\)"):
        RunFolder.create(tmp_path, SPEC, force=force)
    assert files(tmp_path) == ["thesis.tex"]


def test_a_kill_before_the_spec_was_written_can_be_resumed(tmp_path):
    (tmp_path / ".spec.toml.0123abcd.gradflip-tmp").write_text("half")
    assert RunFolder.create(tmp_path, SPEC).spec == SPEC


def test_what_is_no_run_folder_does_not_open(tmp_path):
    for path in [tmp_path, tmp_path / "missing"]:
        with pytest.raises(FileError, match=r"is not a run folder: it has no spec\.toml\."):
            RunFolder.open(path)


def test_a_damaged_spec_is_named(folder):
    (folder.path / "spec.toml").write_text("= =")
    for use in [lambda: RunFolder.open(folder.path), lambda: RunFolder.create(folder.path, SPEC)]:
        with pytest.raises(FileError, match=r"spec\.toml is damaged .* --force"):
            use()
    assert RunFolder.create(folder.path, SPEC, force=True).spec == SPEC


@pytest.mark.parametrize("spec", [{"a": None}, {"a": {"b": [1, None]}}])
def test_a_spec_that_toml_cannot_hold_is_refused(tmp_path, spec):
    with pytest.raises(UsageError, match="spec must hold what TOML can"):
        RunFolder.create(tmp_path / "run", spec)
    assert not (tmp_path / "run").exists()


toml_scalars = (
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | text
)
toml_values = st.recursive(
    toml_scalars, lambda v: st.lists(toml_scalars, max_size=3) | st.dictionaries(text, v, max_size=3), max_leaves=6
)


@given(st.dictionaries(text, toml_values, max_size=4))
def test_any_spec_is_kept_as_it_is(tmp_path_factory, spec):
    path = tmp_path_factory.mktemp("spec") / "run"
    assert RunFolder.create(path, spec).spec == spec
    RunFolder.create(path, spec)
    shutil.rmtree(path)


# --- the tables


def test_tables_follow_the_order_of_the_cells(folder):
    for seed in range(4):
        folder.write(ok(seed, rows=[{"x": seed, "first": True}, {"x": seed, "late": "b"}], draw=[seed + 0.5, 1.5]))
    folder.write(CellResult(cell(9), "failed", error="no"))
    order = [cell(seed) for seed in (2, 0, 9, 3, 7, 2)]
    assert folder.write_tables(order) == 6
    table = polars.read_parquet(folder.path / "table.parquet")
    assert table.columns == ["cell", "measure", "seed", "x", "first", "late"]
    assert table["seed"].to_list() == [2, 2, 0, 0, 3, 3]
    assert table["cell"].to_list() == [cell(seed).hash for seed in (2, 2, 0, 0, 3, 3)]
    assert table["late"].to_list() == [None, "b"] * 3
    assert polars.read_csv(folder.path / "table.csv").rows() == table.rows()
    assert polars.read_parquet(folder.path / "observations.parquet")["draw"].to_list() == [2.5, 1.5, 0.5, 1.5, 3.5, 1.5]
    assert folder.write_tables() == 8


def test_the_type_of_a_column_depends_on_its_values_only(folder):
    folder.write(ok(0, rows=[{"n": 1, "f": 1, "none": None, "big": 2**70, "b": True, "s": "x"}]))
    folder.write(ok(1, rows=[{"n": None, "f": 0.1, "none": None, "big": 1, "b": None, "s": None}]))
    for order in ([cell(0), cell(1)], [cell(1), cell(0)]):
        folder.write_tables(order)
        table = polars.read_parquet(folder.path / "table.parquet")
        kinds = [str(kind) for kind in table.schema.values()]
        assert kinds == ["String", "String", "Int64", "Int64", "Float64", "Float64", "Float64", "Boolean", "String"]


def test_a_column_of_two_kinds_is_named(folder):
    folder.write(ok(0, rows=[{"x": 1}, {"x": "one"}]))
    with pytest.raises(UsageError, match="column 'x' must hold values of one kind, got int, str"):
        folder.write_tables()


def test_without_rows_the_table_is_empty(folder):
    (folder.path / "observations.parquet").touch()
    assert folder.write_tables([cell(0)]) == 0
    assert polars.read_parquet(folder.path / "table.parquet").columns == ["cell", "measure", "seed"]
    assert not (folder.path / "observations.parquet").exists()


# --- a file is there whole or not at all


def test_atomic_write_replaces_the_whole_file(tmp_path):
    file = tmp_path / "a.json"
    atomic_write(file, b"long" * 1000)
    atomic_write(str(file), b"short")
    assert file.read_bytes() == b"short" and files(tmp_path) == ["a.json"]
    before = os.umask(0o027)
    try:
        atomic_write(tmp_path / "b.json", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "b.json").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "No space left on device; free some space"),
        (errno.EACCES, "Permission denied; choose a folder in which you may write"),
        (errno.EROFS, "Read-only file system; choose a folder in which you may write"),
        (errno.EIO, "check this path"),
    ],
)
@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_refusal_keeps_the_old_file_and_says_what_to_do(tmp_path, monkeypatch, code, advice, function):
    file = tmp_path / "a.json"
    atomic_write(file, b"old")

    def refuse(*args):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, function, refuse)
    with pytest.raises(FileError, match=f"could not write .*a.json: .*{advice}"):
        atomic_write(file, b"new")
    monkeypatch.undo()
    assert file.read_bytes() == b"old" and files(tmp_path) == ["a.json"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_device_that_is_full_is_reported(tmp_path, monkeypatch):
    really_open = builtins.open
    monkeypatch.setattr(builtins, "open", lambda path, mode="r": really_open("/dev/full", mode.replace("x", "w")))
    with pytest.raises(FileError, match="No space left on device; free some space"):
        atomic_write(tmp_path / "a.json", b"x")


FULL_DISK = """
import os, sys
from gradflip._errors import FileError
from gradflip.sweep import Cell, Measure, RunFolder, run_cells
folder = RunFolder.create(sys.argv[1] + "/run", {"a": 1})
cells = [Cell(Measure("sweep_measures:square"), {"x": i, "padding": "p" * 5000}, 0) for i in range(40)]
try:
    run_cells(cells, folder)
except FileError as error:
    print(error)
left = [name for name in os.listdir(folder.cells_dir) if not name.endswith(".json")]
print("kept", len(folder.results()) > 3, "left over", left)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a tmpfs")
def test_a_full_disk_stops_the_run_and_keeps_what_is_done(tmp_path):
    private = ["unshare", "--map-root-user", "--mount"]  # a mount that nobody else sees, gone with the process
    mount = 'mount -t tmpfs -o size=128k none "$0" && exec "$@"'
    command = [*private, "sh", "-c", mount, str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("this user may not mount a tmpfs")
    python_path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, sys.executable, "-c", FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": python_path, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert "No space left on device; free some space" in done.stdout
    assert "kept True left over []" in done.stdout


def test_a_path_under_a_file_is_named(tmp_path):
    (tmp_path / "file").touch()
    for path in [tmp_path / "file", tmp_path / "file" / "run"]:
        with pytest.raises(FileError, match=r"file.*(is a file, not a folder|a part of this path is a file)"):
            RunFolder.create(path, SPEC)
    with pytest.raises(FileError, match="a part of this path is a file"):
        atomic_write(tmp_path / "file" / "a.json", b"")


def test_a_folder_without_permission_is_named(folder):
    folder.cells_dir.chmod(0o500)
    try:
        if os.access(folder.cells_dir, os.W_OK):
            pytest.skip("this user (root?) may write everywhere")
        with pytest.raises(FileError, match="Permission denied; choose a folder in which you may write"):
            folder.write(ok())
    finally:
        folder.cells_dir.chmod(0o700)


def test_a_measure_that_moved_to_another_module_keeps_its_finished_cells(folder):
    before = Measure("square", 1, "an_old_home:square", hashed_as="sweep_measures:square")
    after = Measure("square", 1, "sweep_measures:square", hashed_as="sweep_measures:square")
    folder.write(CellResult(Cell(before, {"x": 2}, 0), "ok", [{"x": 7}]))
    summary = run_cells([Cell(after, {"x": 2}, 0)], folder)
    assert (summary.done, summary.skipped) == (0, 1)
    folder.write_tables([Cell(after, {"x": 2}, 0)])
    assert polars.read_parquet(folder.path / "table.parquet").to_dicts() == [
        {"cell": cell().hash, "measure": "square", "seed": 0, "x": 7}
    ]


def test_a_cell_without_name_and_reference_as_0_1_wrote_it_is_the_same_cell(folder):
    old = {
        "measure": "sweep_measures:square",
        "version": 1,
        "parameters": {"x": 2},
        "seed": 0,
        "cost": 1.0,
        "label": "",
    }
    named = Cell(Measure("square", 1, "elsewhere:square", hashed_as="sweep_measures:square"), {"x": 2}, 0)
    assert Cell.from_json(old) == cell() == named
    assert named.hash == cell().hash == "411a442e17e8216f"


def test_columns_of_an_earlier_version_are_read_under_their_names_of_today(folder):
    renamed = (("kind", None), ("deviation", "scaled_deviation"))
    measure = Measure("sweep_measures:square", renamed=renamed)
    row = {"kind": "square", "deviation": 1.5, "x": 2}
    folder.write(CellResult(cell(), "ok", [row], {"kind": ["a"], "deviation": [2.5]}))
    result = folder.read(Cell(measure, {"x": 2}, 0))
    assert result.rows == [{"scaled_deviation": 1.5, "x": 2}]
    assert result.observations == {"scaled_deviation": [2.5]}
    rows, observations = folder.tables([Cell(measure, {"x": 2}, 0)])
    assert rows.columns == ["cell", "measure", "seed", "scaled_deviation", "x"]
    assert observations.columns == ["cell", "measure", "seed", "scaled_deviation"]


def test_only_versions_of_measures_decide_whether_a_folder_is_of_this_run(tmp_path):
    def spec(**versions):
        return SPEC | {"versions": versions}

    RunFolder.create(tmp_path, spec(gradflip="0.1.0", square=1))
    for same in ({"gradflip": "9.9.9", "square": 1}, {"square": 1}, {"gradflip": "0.1.0", "other": 3}):
        RunFolder.create(tmp_path, spec(**same))
    with pytest.raises(UsageError, match=r"versions.square is 1 there and 2 here"):
        RunFolder.create(tmp_path, spec(gradflip="0.1.0", square=2))
