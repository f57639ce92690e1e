"""The command line, as processes: what it prints, how it exits, what it leaves."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.numpy import save_file

import gradflip
from commands import LAZY_IMPORTS, gradflip_process, sentence


@pytest.mark.parametrize(
    "first",
    [
        "import gradflip",
        "import gradflip.cli",
        "import gradflip; gradflip.__version__; dir(gradflip)",
        "import gradflip.experiments",
        """
import contextlib, io
from gradflip.cli import app
with contextlib.redirect_stdout(io.StringIO()) as out:
    for words in (["--help"], ["run", "--help"], ["flip", "--help"]):
        app(words, exit_on_error=False, result_action="return_value")
assert "--preset" in out.getvalue()
""",
    ],
    ids=["package", "cli", "version", "experiments", "help"],
)
def test_torch_is_not_imported_before_a_name_is_used(first):
    script = LAZY_IMPORTS.format(first=first, then="import gradflip; gradflip.flip; assert 'torch' in sys.modules")
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'flop'"):
        gradflip.flop  # noqa: B018


def test_every_public_name_exists():
    for name in gradflip.__all__:
        assert getattr(gradflip, name) is not None


def test_cite_prints_bibtex():
    assert "@inproceedings{wang2022lazy" in gradflip_process("cite", "wang2022-fig7").stdout
    everything = gradflip_process("cite").stdout
    assert everything.count("@") == 6
    assert everything.count("{") == everything.count("}")
    process = gradflip_process("cite", "wong2022")
    assert process.returncode == 2
    assert "unknown experiment or paper 'wong2022'; did you mean 'wang2022'?" in sentence(process)


def test_version_and_list_and_show_and_env():
    assert gradflip_process("--version").stdout.strip() == gradflip.__version__
    names = [entry["name"] for entry in json.loads(gradflip_process("list", "--json").stdout)]
    random = [f"montanari2022-{kind}" for kind in ("flip-probability", "any-width", "joint-law", "depth")]
    trained = [
        *(f"wang2022-fig{n}" for n in ("1", "2", "3", "4-left", "4-right", "5", "6", "7")),
        "wang2022-one-step-vs-pgd",
    ]
    assert names == [*trained, *random, "ball-certified", "ball-lemmas"]
    shown = gradflip_process("show", "wang2022-fig3").stdout
    assert "gradflip run wang2022-fig3" in shown
    assert "10, 20, 30, 40" in shown
    shown = gradflip_process("show", "montanari2022-flip-probability").stdout
    assert "gradflip run montanari2022-flip-probability" in shown
    for part in ("softplus", "explicit_draws", "quick", "paper"):
        assert part in shown
    assert json.loads(gradflip_process("show", "montanari2022-depth", "--json").stdout)["measure"] == "random-depth"
    env = json.loads(gradflip_process("env", "--json").stdout)
    assert env["torch"].startswith(torch.__version__.split("+")[0])
    assert env["gradflip"] == gradflip.__version__


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run"], "name at least one experiment; there are: wang2022-fig1, wang2022-fig2, wang2022-fig3"),
        (["run", "wang2022-fg2"], "unknown experiment 'wang2022-fg2'; did you mean 'wang2022-fig2'?"),
        (["show", "fig3"], "unknown experiment 'fig3'; did you mean 'wang2022-fig3'?"),
        (["run", "wang2022-fig2", "--data", "mnits"], "unknown data set 'mnits'; did you mean 'mnist'?"),
        (["run", "wang2022-fig2", "--classes", "1"], "--classes must be two digits such as 0,1, got '1'"),
        (["run", "wang2022-fig2", "--classes", "1,1"], "--classes: must be two different digits of 0..9, got (1, 1)"),
        (["run", "wang2022-fig2", "--classes", "3,4", "--data", "sphere"], "--classes must be left out for the sphere"),
        (["run", "wang2022-fig2", "--seeds", "0"], "--seeds: Input should be greater than or equal to 1, got 0"),
        (["run", "wang2022-fig2", "--seed", "-1"], "--seed: Input should be greater than or equal to 0, got -1"),
        (["run", "wang2022-fig2", "--workers", "0"], "--workers must be at least 1, got 0"),
        (["run", "wang2022-fig2", "--preset", "fast"], 'Invalid value "fast" for --preset'),
        (["run", "wang2022-fig2", "--sedes", "3"], "Unknown option: --sedes. Did you mean --seeds?"),
        (["flip", "w.npz", "x.npz", "--out", "t.txt"], "--out must end in .parquet or .csv, got t.txt"),
        (["table"], 'Command "table" parameter DIRECTORY requires an argument'),
        (["flip", "w.npz"], 'Command "flip" parameter INPUTS requires an argument'),
        (["report"], "name at least one run folder"),
        (["rnu"], 'Unknown command "rnu". Did you mean "run"?'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_usage_is_one_clear_sentence_and_exit_2(words, says, tmp_path):
    process = gradflip_process(*words, cwd=tmp_path)
    assert process.returncode == 2
    assert says in sentence(process)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_bad_usage():
    process = gradflip_process("run", "wang2022-fig2", "--device", "cuda", "--dry-run")
    assert process.returncode == 2
    assert "--device cuda needs a CUDA GPU" in sentence(process)


def test_a_folder_with_another_run_or_with_other_files_is_left_alone(tmp_path):
    run = ["run", "wang2022-fig2", "--out", "here", "--device", "cpu"]
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    process = gradflip_process(*run, cwd=tmp_path)
    assert process.returncode == 2
    assert "here is not empty and not a run folder (it has thesis.tex); choose another --out" in sentence(process)
    assert (folder / "thesis.tex").read_text() == "years of work"
    (folder / "thesis.tex").unlink()
    (folder / "spec.toml").write_text('experiments = ["other"]\n')
    process = gradflip_process(*run, cwd=tmp_path)
    assert process.returncode == 2
    assert "here holds another run (experiments is" in sentence(process)
    assert "--force to replace it" in sentence(process)


def test_missing_and_damaged_data_files_exit_1_and_name_file_and_hash(tmp_path):
    run = ["run", "wang2022-fig2", "--data", "mnist", "--data-dir", tmp_path, "--out", tmp_path / "out"]
    process = gradflip_process(*run)
    assert process.returncode == 1
    assert "train-images-idx3-ubyte" in sentence(process)
    assert str(tmp_path) in sentence(process)
    for name, magic in (("train-images-idx3-ubyte", 3), ("train-labels-idx1-ubyte", 1)):
        shape = np.array([60_000, 28, 28][:magic], dtype=">u4").tobytes()
        (tmp_path / name).write_bytes(bytes([0, 0, 8, magic]) + shape + bytes(60_000 * (784 if magic == 3 else 1)))
    process = gradflip_process(*run)
    assert process.returncode == 1
    assert "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db" in sentence(process)
    assert not (tmp_path / "out").exists()


def test_no_permission_and_a_file_in_the_way_exit_1(tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "out", "/proc/nothing"):
        process = gradflip_process("run", "wang2022-fig2", "--device", "cpu", "--out", out)
        assert process.returncode == 1
        assert str(out) in sentence(process)


def test_a_dry_run_says_what_it_would_do_and_does_nothing(tmp_path):
    run = ["run", "wang2022-fig2", "wang2022-fig3", "--preset", "standard", "--data", "mnist", "--dry-run"]
    process = gradflip_process(*run, "--json", cwd=tmp_path)
    planned = json.loads(process.stdout)
    assert len(planned["cells"]) == 54
    assert planned["out"] == "runs/wang2022-fig2+wang2022-fig3-mnist-standard"
    assert "54 cells would go to" in gradflip_process(*run, cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []


def test_random_networks_run_without_data_and_say_their_claims(tmp_path):
    run = ["run", "montanari2022-joint-law", "--out", "out", "--data", "mnist", "--data-dir", "nowhere"]
    process = gradflip_process(*run, "--workers", "2", "--device", "cpu", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "12 rows in out/table.parquet; 4 cells computed" in process.stdout
    assert process.stdout.count("same law") == 2
    assert process.stdout.count("holds") == 2
    assert process.stdout.splitlines()[-1] == "out/report.html"
    table = gradflip_process("table", "out", cwd=tmp_path).stdout
    assert "limit_correlation" in table
    assert "stopped_because" not in table
    assert len(gradflip_process("table", "out", "--csv", cwd=tmp_path).stdout.splitlines()) == 13
    drawn = gradflip_process("figures", "out", cwd=tmp_path).stdout
    assert drawn.strip() == "out/figures/montanari2022-joint-law.png"
    again = gradflip_process(*run[:4], "--json", cwd=tmp_path)  # the same run, whatever data is named
    assert json.loads(again.stdout)["skipped"] == 4


def test_a_dry_run_of_random_networks_names_each_ensemble():
    shown = gradflip_process("run", "wang2022-fig2", "montanari2022", "--dry-run").stdout
    assert "epochs at most" in shown
    assert "any width: relu, d = 10⁶, m = 10⁶, seed 0" in shown
    assert "would go to runs/wang2022-fig2+montanari2022-digits-quick" in shown


def test_options_come_from_a_file_and_the_command_line_wins(tmp_path):
    (tmp_path / "mine.toml").write_text('preset = "standard"\nseeds = 2\nseed = 5\n')
    run = ["run", "wang2022-fig3", "--dry-run", "--json", "--config", "mine.toml"]
    settings = json.loads(gradflip_process(*run, "--seeds", "1", cwd=tmp_path).stdout)["spec"]["settings"]
    assert (settings["preset"], settings["seeds"], settings["seed"]) == ("standard", 1, 5)
    process = gradflip_process(*run[:-1], "none.toml", cwd=tmp_path)
    assert process.returncode == 1
    assert "none.toml does not exist" in sentence(process)
    (tmp_path / "mine.toml").write_text("preset = standard\n")
    process = gradflip_process(*run, cwd=tmp_path)
    assert process.returncode == 1
    assert "mine.toml is not TOML" in sentence(process)
    (tmp_path / "mine.toml").write_text("widht = 3\n")
    process = gradflip_process(*run, cwd=tmp_path)
    assert process.returncode == 2
    assert "widht" in sentence(process)


def heed_sigint():
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """A run stopped by Ctrl-C after its first cells, then by SIGKILL, then gone on with to its end."""
    folder = tmp_path_factory.mktemp("interrupted")
    words = [
        "run",
        "wang2022-fig2",
        "--data",
        "digits",
        "--seeds",
        "1",
        "--out",
        "out",
        "--device",
        "cpu",
        "--workers",
        "2",
    ]
    command = [sys.executable, "-m", "gradflip.cli", *words]

    def stopped_by(how, after):
        pipes = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        # a test run in the background of a shell ignores SIGINT, and so would its children
        process = subprocess.Popen(command, cwd=folder, preexec_fn=heed_sigint, **pipes)
        deadline = time.monotonic() + 180
        while len(list(folder.glob("out/cells/*.json"))) < after and process.poll() is None:
            assert time.monotonic() < deadline, "no cell was finished in three minutes"
            time.sleep(0.05)
        process.send_signal(how)
        _, error = process.communicate(timeout=60)
        return process.returncode, error, len(list(folder.glob("out/cells/*.json")))

    ctrl_c = stopped_by(signal.SIGINT, 1)
    killed = stopped_by(signal.SIGKILL, ctrl_c[2] + 1)
    final = gradflip_process(*words, "--json", cwd=folder)
    return folder, ctrl_c, killed, final


def test_ctrl_c_exits_130_keeps_the_rows_and_prints_the_command_that_goes_on(interrupted):
    _, (code, error, kept), _, _ = interrupted
    assert code == 130
    assert 1 <= kept < 10
    first, second = error.strip().splitlines()
    assert first == f"gradflip: interrupted; {kept} of 10 cells are kept. Go on with:"
    assert second.startswith("gradflip run wang2022-fig2 --data digits --seeds 1 --out out")


def test_an_interrupted_run_ends_with_the_rows_of_an_unbroken_one(interrupted):
    folder, _, (code, _, kept), final = interrupted
    assert code == -signal.SIGKILL
    outcome = json.loads(final.stdout)
    assert final.returncode == 0
    assert outcome["failed"] == []
    assert outcome["skipped"] >= kept
    assert outcome["computed"] + outcome["skipped"] == 10
    unbroken = ["run", "wang2022-fig2", "--data", "digits", "--seeds", "1", "--out", "whole", "--device", "cpu"]
    assert gradflip_process(*unbroken, "--workers", "1", "--quiet", cwd=folder).returncode == 0
    whole, broken = (pl.read_parquet(folder / name / "table.parquet") for name in ("whole", "out"))
    assert len(whole) == 10
    assert whole.equals(broken)
    images = [pl.read_parquet(folder / name / "observations.parquet") for name in ("whole", "out")]
    assert images[0].equals(images[1])


def test_a_run_folder_holds_what_the_conventions_say_and_can_be_read_again(interrupted):
    folder, _, _, _ = interrupted
    out = folder / "out"
    for name in (
        "spec.toml",
        "env.json",
        "table.parquet",
        "table.csv",
        "observations.parquet",
        "report.html",
        "log.jsonl",
    ):
        assert (out / name).is_file(), name
    for ending in ("pdf", "svg", "png", "vl.json", "csv"):
        assert (out / "figures" / f"wang2022-fig2.{ending}").stat().st_size > 0
    assert len(gradflip_process("table", out, "--csv").stdout.splitlines()) == 11
    assert len(json.loads(gradflip_process("table", out, "--json").stdout)) == 10
    assert "relative_sqrt_d" in gradflip_process("table", out).stdout
    page = out / "report.html"
    before = page.read_text()
    page.unlink()
    assert gradflip_process("report", out).stdout.strip() == str(page)
    assert page.read_text() == before


def test_a_damaged_cell_is_computed_again(interrupted):
    folder, _, _, _ = interrupted
    before = pl.read_parquet(folder / "out" / "table.parquet")
    cell = min(folder.glob("out/cells/*.json"), key=lambda path: json.loads(path.read_text())["seconds"])
    cell.write_bytes(cell.read_bytes()[:-40])
    words = ["run", "wang2022-fig2", "--data", "digits", "--seeds", "1", "--out", "out", "--device", "cpu", "--json"]
    process = gradflip_process(*words, "--workers", "1", cwd=folder)
    assert process.returncode == 0
    assert "damaged" in process.stderr
    assert json.loads(process.stdout)["computed"] == 1
    assert before.equals(pl.read_parquet(folder / "out" / "table.parquet"))


def weights(**changes):
    rng = np.random.default_rng(0)
    network = {"W": rng.normal(size=(50, 6)), "a": rng.choice([-1.0, 1.0], 50), "bias": rng.normal(size=50)}
    return network | changes


def test_flip_prints_writes_and_agrees_with_the_library(tmp_path):
    x = np.random.default_rng(1).normal(size=(30, 6))
    np.savez(tmp_path / "w.npz", **weights(output_bias=np.array(0.25)))
    np.save(tmp_path / "x.npy", x)
    save_file({"W": weights()["W"], "a": weights()["a"], "bias": weights()["bias"], "output_bias": np.array([0.25])},
              tmp_path / "w.safetensors")  # fmt: skip
    np.savez(tmp_path / "x.npz", points=x)
    network = gradflip.TwoLayer(*(torch.from_numpy(weights()[key]) for key in ("W", "a", "bias")), 0.25)
    expected = gradflip.flip(network, torch.from_numpy(x)).to_frame()
    for suffix in ("parquet", "csv"):
        process = gradflip_process("flip", "w.npz", "x.npy", "--out", f"t.{suffix}", cwd=tmp_path)
        assert process.stdout.strip() == f"t.{suffix}"
    assert pl.read_parquet(tmp_path / "t.parquet").equals(expected)
    assert pl.read_csv(tmp_path / "t.csv")["step"].to_list() == pytest.approx(expected["step"].to_list())
    rows = json.loads(gradflip_process("flip", "w.safetensors", "x.npz", "--json", cwd=tmp_path).stdout)
    steps = [row["step"] if row["step"] is not None else float("inf") for row in rows]
    assert steps == pytest.approx(expected["step"].to_list())
    printed = gradflip_process("flip", "w.npz", "x.npy", cwd=tmp_path).stdout
    assert "10 more rows" in printed
    assert "certainty" in printed


@pytest.mark.parametrize(
    ("network", "inputs", "says"),
    [
        ({"W": None}, {}, "w.npz has no array 'W'"),
        ({"W": np.full((50, 6), np.nan)}, {}, "w.npz: W must be finite, got 300 entries that are NaN or infinite"),
        ({"a": np.ones(49)}, {}, "w.npz: a must have shape (50,), one entry per row of W, got (49,)"),
        ({"a": np.ones(50) / np.sqrt(50)}, {}, "it looks divided by sqrt(m) already: multiply it by 7.07107"),
        ({"a": np.arange(50.0)}, {}, "a must hold +-1"),
        ({"scaling": np.array("big")}, {}, "scaling must be 'unit' or 'sqrt-d', got 'big'"),
        ({"output_bias": np.array(np.inf)}, {}, "output_bias must be finite, got inf"),
        ({}, {"x": np.ones((3, 5))}, "x.npz: x must have shape (n, 6), one input a row, got (3, 5)"),
        ({}, {"x": np.array([[1, 2, 3, 4, 5, np.inf]])}, "x.npz: x must be finite, got 1 entries"),
        ({}, {"y": np.ones((3, 6)), "z": np.ones((3, 6))}, "x.npz has no array 'x'; name one of y, z with --key"),
        ({}, {"x": np.array(["a"])}, "x.npz: the inputs must be numbers"),
    ],
    ids=["no W", "NaN", "length", "divided", "not signs", "scaling", "output bias", "dim", "inf", "key", "text"],
)
def test_flip_answers_files_that_do_not_fit_with_one_sentence_and_exit_1(network, inputs, says, tmp_path):
    np.savez(tmp_path / "w.npz", **{key: value for key, value in weights(**network).items() if value is not None})
    np.savez(tmp_path / "x.npz", **(inputs or {"x": np.ones((2, 6))}))
    process = gradflip_process("flip", "w.npz", "x.npz", cwd=tmp_path)
    assert process.returncode == 1
    assert says in sentence(process)


def test_flip_answers_missing_and_damaged_files(tmp_path):
    process = gradflip_process("flip", "none.npz", "x.npz", cwd=tmp_path)
    assert process.returncode == 1
    assert "none.npz does not exist" in sentence(process)
    (tmp_path / "w.npz").write_bytes(b"PK\x03\x04 not a zip")
    process = gradflip_process("flip", "w.npz", "x.npz", cwd=tmp_path)
    assert process.returncode == 1
    assert "w.npz is not a readable .safetensors or .npz file" in sentence(process)


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    environment = dict(os.environ)
    words = f"{sys.executable} -m gradflip.cli show wang2022-fig2 | true"
    process = subprocess.run(["bash", "-c", words], capture_output=True, text=True, env=environment, check=False)
    assert "Traceback" not in process.stderr
    assert "BrokenPipe" not in process.stderr
