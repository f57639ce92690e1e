"""Files written by 0.1 load with the numbers they had or are refused in one sentence; `make_files.py` made them."""

import dataclasses
import functools
import json
import re
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from gradflip import (
    Certificate,
    Fit,
    JointCertificate,
    LazyBall,
    TwoLayer,
    flip,
    train_adversarially,
    verify,
)  # fmt: skip
from gradflip.cli import main
from gradflip.experiments import EXPERIMENTS, Settings, plan, run
from gradflip.report import findings, listings, read_table
from gradflip.sweep import RunFolder

KEPT = Path(__file__).parent / "v0_1"
EXPECTED = json.loads((KEPT / "expected.json").read_text())
RUNS = EXPECTED["runs"]
FAMILIES = list(RUNS)

RENAMED: dict[str, str | None] = {"kind": None, "ball_kind": None, "deviation": "scaled_deviation"}
"""Columns of tables of 0.1 by what they are called now; `None` for a column that is gone."""

ADDED = {"measure"}
"""Columns of tables that 0.1 did not have."""

SELECTED_BY = {"lazy": "normalize", "adversarial": "training", "ball": "ball_kind", "random": "kind"}
"""The column of a table of 0.1 that says which rows are of a family."""


close = functools.partial(pytest.approx, rel=1e-9, abs=1e-12, nan_ok=True)


def inputs():
    """The inputs and labels that all single files are about."""
    with np.load(KEPT / "inputs.npz") as kept:
        return torch.from_numpy(kept["x"]), torch.from_numpy(kept["y"])


def called(capsys, *words):
    """Exit status, standard output and errors of a command in this process."""
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


def planned(family):
    """The plan of the run of which a family's folder holds the first four cells."""
    return plan(RUNS[family]["experiments"], Settings(seeds=RUNS[family]["seeds"]))


def kept_cells(family):
    """The cells of that plan that were computed."""
    return tuple(cell for cell in planned(family).cells if cell.hash in RUNS[family]["cells"])


def of_now(frame):
    """A table of 0.1 with the names that its columns have now."""
    gone = [name for name, now in RENAMED.items() if now is None and name in frame.columns]
    return frame.drop(gone).rename({old: new for old, new in RENAMED.items() if new}, strict=False)


def now(column):
    """What a column of 0.1 is called now."""
    return RENAMED.get(column, column)


def interval_of(finding):
    """The number and its interval; the one place of these tests that knows the name of this field."""
    return finding.found


@pytest.fixture
def folder(tmp_path):
    """Makes a copy of the run folder of a family."""
    return lambda family: Path(shutil.copytree(KEPT / family, tmp_path / family))


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """The run folder of each family with its page; and the path that the command printed."""
    copies = {}
    for family in FAMILIES:
        copy = tmp_path_factory.mktemp("reported") / family
        shutil.copytree(KEPT / family, copy)
        with pytest.raises(SystemExit) as left:
            main(["report", str(copy)])
        assert left.value.code == 0
        copies[family] = copy
    return copies


# networks and fits


@pytest.mark.parametrize("file", ["two_layer.safetensors", "two_layer.npz"])
def test_a_network_has_the_values_and_flips_it_had(file):
    said = EXPECTED["files"][file]
    activation = said["activation"]
    network = TwoLayer.load(KEPT / file, activation=activation)
    x = inputs()[0][: len(said["f"])]
    assert (network.activation.name, network.scaling) == (activation, said["scaling"])
    assert network(x).tolist() == close(said["f"])
    assert flip(network, x).step.tolist() == close(said["step"])


def test_a_fit_has_the_history_it_had():
    said = EXPECTED["files"]["fit.safetensors"]
    fit = Fit.load(KEPT / "fit.safetensors")
    assert fit.network(inputs()[0][: len(said["f"])]).tolist() == close(said["f"])
    assert fit.stopped_because.value == said["stopped_because"] == "left-ball"
    assert (fit.steps, fit.epochs, fit.deviation, fit.left_at, fit.converged) == (
        said["steps"], said["epochs"], said["deviation"], said["left_at"], said["converged"],
    )  # fmt: skip
    assert len(fit.history) == said["rows"]
    assert fit.history.rows(named=True)[-1] == said["last"]
    around = LazyBall(TwoLayer.load(KEPT / "two_layer.safetensors"), 1.0)
    assert around.deviation(fit.network) == close(said["deviation"])


def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path):
    said = EXPECTED["files"]["checkpoint.safetensors"]
    checkpoint = Path(shutil.copy(KEPT / "checkpoint.safetensors", tmp_path))
    network0, (x, y) = TwoLayer.load(KEPT / "two_layer.safetensors"), inputs()
    shares = []
    fit = train_adversarially(
        network0, x, y, ball=LazyBall(network0, said["C0"]), checkpoint=checkpoint, progress=shares.append,
        **said["settings"],
    )  # fmt: skip
    assert len(shares) == said["settings"]["max_epochs"] / 2  # the first half was not trained again
    whole = TwoLayer.load(KEPT / "trained.safetensors")
    torch.testing.assert_close(fit.network.W, whole.W, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(fit.network.bias, whole.bias, rtol=1e-9, atol=1e-12)
    assert torch.equal(fit.network.a, whole.a)
    assert fit.network.output_bias == whole.output_bias
    assert fit.network(x[: len(said["f"])]).tolist() == close(said["f"])
    assert len(fit.history) == said["rows"]
    assert fit.history.rows(named=True)[-1] == close(said["last"])
    assert (fit.stopped_because.value, fit.steps, fit.epochs) == (
        said["stopped_because"],
        said["steps"],
        said["epochs"],
    )
    assert fit.deviation == close(said["deviation"])


# certificates


def test_a_certificate_says_what_it_said():
    said = EXPECTED["files"]["certificate.safetensors"]
    certificate = Certificate.load(KEPT / "certificate.safetensors")
    assert certificate.share == said["share"]
    assert certificate.bound.tolist() == said["bound"]
    assert certificate.certified.tolist() == said["certified"]
    checked = verify(KEPT / "certificate.safetensors")
    assert (checked.holds, checked.verified.tolist()) == (said["holds"], said["verified"])
    assert checked.bound.tolist() == close(said["verified_bound"])
    assert checked.statement == said["statement"]


def test_a_joint_certificate_says_what_it_said():
    said = EXPECTED["files"]["joint.safetensors"]
    certificate = JointCertificate.load(KEPT / "joint.safetensors")
    assert certificate.robust_error == said["share"]
    assert certificate.bound.tolist() == said["bound"]
    assert certificate.errors.tolist() == said["errors"]
    checked = verify(KEPT / "joint.safetensors")
    assert (checked.holds, checked.errors.tolist()) == (said["holds"], said["verified"])
    assert checked.bound.tolist() == close(said["verified_bound"])
    assert checked.statement == said["statement"]


@pytest.mark.parametrize("file", ["certificate.safetensors", "joint.safetensors"])
def test_the_command_line_verifies_certificates(file, capsys):
    status, said, errors = called(capsys, "verify", KEPT / file)
    assert (status, errors) == (0, "")
    assert said.splitlines()[-1] == EXPECTED["files"][file]["statement"]


# cells and run folders


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_cells_are_known_by_the_same_hashes(name):
    digests = {key: digest for key, digest in EXPECTED["cells"].items() if key.split()[0] == name}
    if not digests:
        pytest.skip("0.1 has no such experiment")
    for key, digest in digests.items():
        _, preset, protocol = key.split()
        hashes = " ".join(cell.hash for cell in plan([name], Settings(preset=preset, protocol=protocol)).cells)
        assert sha256(hashes.encode()).hexdigest()[:16] == digest, key


def test_no_experiment_is_gone():
    assert {key.split()[0] for key in EXPECTED["cells"]} <= set(EXPERIMENTS)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_goes_on_from_its_cells(family, folder):
    copy, cells = folder(family), kept_cells(family)
    assert [cell.hash for cell in cells] == RUNS[family]["cells"]
    assert RunFolder.open(copy).read(cells[0]).status == "ok"
    before = {path.name: path.read_bytes() for path in (copy / "cells").iterdir()}
    outcome = run(dataclasses.replace(planned(family), cells=cells), copy)
    assert (outcome.summary.done, outcome.summary.skipped, outcome.summary.failed) == (0, 4, ())
    assert {path.name: path.read_bytes() for path in (copy / "cells").iterdir()} == before
    for name in ("table", "observations"):
        kept = KEPT / family / f"{name}.parquet"
        was = of_now(pl.read_parquet(kept)) if kept.is_file() else pl.DataFrame()
        is_ = read_table(outcome.folder, name)
        assert_frame_equal(is_.select(pl.exclude(ADDED)), was, check_column_order=False, check_exact=True)
    assert outcome.rows == len(read_table(RunFolder.open(KEPT / family)))


def test_the_command_line_takes_over_a_whole_run(folder, capsys):
    copy = folder("adversarial")  # its four cells are all there are
    status, said, errors = called(
        capsys, "run", *RUNS["adversarial"]["experiments"], "--seeds", 1, "--out", copy, "--workers", 1, "--json",
        "--device", "cpu",
    )  # fmt: skip
    assert (status, errors) == (0, "")
    outcome = json.loads(said)
    assert (outcome["computed"], outcome["skipped"], outcome["failed"]) == (0, 4, [])
    assert outcome["rows"] == len(pl.read_parquet(KEPT / "adversarial" / "table.parquet"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_goes_on_whichever_version_of_gradflip_began_it(family, folder):
    copy = folder(family)
    spec = (copy / "spec.toml").read_text()
    (copy / "spec.toml").write_text(re.sub(r'gradflip = "[^"]*"', 'gradflip = "0.0.9"', spec))
    outcome = run(dataclasses.replace(planned(family), cells=kept_cells(family)), copy)
    assert (outcome.summary.done, outcome.summary.skipped) == (0, 4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_table_has_the_rows_it_had(family, capsys):
    status, said, errors = called(capsys, "table", KEPT / family, "--json")
    assert (status, errors) == (0, "")
    rows = {}
    for row in json.loads(said):
        rows.setdefault(row["cell"], row)
    for expected in RUNS[family]["rows"]:
        row = rows[expected["cell"]]
        assert {now(name): row.get(now(name), row.get(name)) for name in expected} == {
            now(name): value for name, value in expected.items()
        }


@pytest.mark.parametrize("family", FAMILIES)
def test_a_table_is_printed_with_the_columns_it_had(family, capsys):
    listed = listings(planned(family), read_table(RunFolder.open(KEPT / family)))
    expected = RUNS[family]["listings"]
    assert [(one.title, len(one.rows)) for one in listed] == [(one["title"], one["rows"]) for one in expected]
    for one, was in zip(listed, expected, strict=True):
        assert one.names == [now(name) for name in was["columns"]]
        assert one.values()[-1] == was["last"]
    status, said, errors = called(capsys, "table", KEPT / family)
    assert (status, errors) == (0, "")
    lines = [line for line in said.splitlines() if line.strip() and "─" not in line]
    assert len(lines) >= sum(1 + one["rows"] for one in expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_claims_are_judged_as_they_were(family):
    judged = findings(planned(family), read_table(RunFolder.open(KEPT / family)))
    expected = RUNS[family]["findings"]
    words = [(one["experiment"], one["curve"], now(one["column"]), one["verdict"]) for one in expected]
    assert words == [
        (experiment, curve, finding.claim.column, finding.verdict and finding.verdict.value)
        for experiment, curve, finding in judged
    ]
    for (_, _, finding), was in zip(judged, expected, strict=True):
        interval = interval_of(finding)
        ends = (interval.estimate, interval.low, interval.high, interval.seeds)
        assert ends == close((was["estimate"], was["low"], was["high"], was["seeds"]))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_report_says_what_it_said(family, reported):
    page = (reported[family] / "report.html").read_text()
    for finding in RUNS[family]["findings"]:
        assert "{estimate:.3f} ({low:.3f}, {high:.3f})".format(**finding) in page
    for listing in RUNS[family]["listings"]:
        assert listing["title"] in page
        assert f"<summary>{listing['rows']} rows</summary>" in page
    for name in RUNS[family]["experiments"]:
        assert (f"<pre>gradflip run {name} " in page) == (name in RUNS[family]["figures"])
        assert name in page


@pytest.mark.parametrize("family", FAMILIES)
def test_figures_have_the_numbers_they_had(family, reported):
    drawn = {path.stem: pl.read_csv(path) for path in (reported[family] / "figures").glob("*.csv")}
    expected = RUNS[family]["figures"]
    assert drawn.keys() == expected.keys()
    for name, frame in drawn.items():
        assert (len(frame), frame.columns) == (expected[name]["rows"], [now(c) for c in expected[name]["columns"]])


# never an empty report with exit status 0


def is_refusal(status, errors):
    """Whether a command ended with the one sentence that a `FileError` is."""
    return status == 1 and re.fullmatch(r"gradflip: .*[.?]\n", errors) is not None


def is_told(capsys, copy, experiments):
    """Whether a report of a folder says of every experiment what its figure is, or the command refuses in one line."""
    status, said, errors = called(capsys, "report", copy)
    if status:
        return is_refusal(status, errors)
    page = Path(said.strip()).read_text()
    return all(f"<pre>gradflip run {name} " in page for name in experiments)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_report_of_a_whole_table_is_told(family, folder, capsys):
    assert is_told(capsys, folder(family), RUNS[family]["figures"])


@pytest.mark.parametrize(("family", "name"), [*[(family, "table") for family in FAMILIES], ("lazy", "observations")])
def test_a_table_without_the_column_that_rows_are_selected_by_makes_no_empty_report(family, name, folder, capsys):
    copy = folder(family)
    without(copy, name, SELECTED_BY[family])
    assert is_told(capsys, copy, RUNS[family]["figures"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_table_without_the_column_that_rows_are_selected_by_is_not_printed_as_nothing(family, folder, capsys):
    copy = folder(family)
    without(copy, "table", SELECTED_BY[family])
    status, said, errors = called(capsys, "table", copy)
    assert said.strip() if status == 0 else is_refusal(status, errors)


@pytest.mark.parametrize("shape", ["decreasing", "width 2"])
def test_a_run_interrupted_before_a_kind_of_shape_is_told(shape, folder, capsys):
    copy = folder("random")
    RunFolder.open(copy).write_tables(planned("random").cells)
    path = copy / "table.parquet"
    frame = pl.read_parquet(path)
    fewer = frame.filter(pl.col("shape").fill_null("") != shape)
    assert 0 < len(fewer) < len(frame)
    fewer.write_parquet(path)
    assert is_told(capsys, copy, RUNS["random"]["figures"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_table_of_now_without_its_measures_is_read_from_the_cells_or_refused(family, folder, capsys):
    copy = folder(family)
    RunFolder.open(copy).write_tables(planned(family).cells)
    without(copy, "table", "measure")
    assert is_told(capsys, copy, RUNS[family]["figures"])
    shutil.rmtree(copy / "cells")
    for command in ("report", "table"):
        status, said, errors = called(capsys, command, copy)
        assert (status, said) == (1, "")
        assert "has no column 'measure' and its cells hold 0 of its" in errors


@pytest.mark.parametrize("family", FAMILIES)
def test_a_run_without_a_table_is_refused(family, folder, capsys):
    copy = folder(family)
    for name in ("table", "observations"):
        if (path := copy / f"{name}.parquet").is_file():
            path.unlink()
    status, said, errors = called(capsys, "report", copy)
    assert (status, said) == (1, "")
    assert "has no table.parquet yet" in errors


def without(copy, name, column):
    """Drop a column from a table of a folder."""
    frame = pl.read_parquet(copy / f"{name}.parquet")
    frame.drop(column).write_parquet(copy / f"{name}.parquet")
