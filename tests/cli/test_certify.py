"""`gradflip certify` and `gradflip verify`: what they print, keep and refuse. As processes where it is the process."""

import dataclasses
import json
import subprocess
import sys

import polars as pl
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from commands import LAZY_IMPORTS, gradflip_process, sentence
from gradflip import Certificate, TwoLayer, load_data
from gradflip.certificates import JointCertificate
from gradflip.cli import main

SETTINGS = ["--width", "300", "--C0", "3", "--epsilon", "0.2", "--points", "40", "--joint"]


def called(capsys, *words):
    """Exit status, standard output and errors of a command in this process."""
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """A folder of certificates, and what the command said."""
    folder = tmp_path_factory.mktemp("certified") / "out"
    process = gradflip_process("certify", *SETTINGS, "--out", folder)
    assert process.returncode == 0, process.stderr
    return folder, process.stdout


def test_help_names_the_options_and_does_not_import_torch():
    first = """
import contextlib, io
from gradflip.cli import app
with contextlib.redirect_stdout(io.StringIO()) as out:
    for words in (["certify", "--help"], ["verify", "--help"]):
        app(words, exit_on_error=False, result_action="return_value")
for option in ("--C0", "--epsilon", "--joint", "--no-curve", "--force", "--json"):
    assert option in out.getvalue(), option
"""
    subprocess.run([sys.executable, "-c", LAZY_IMPORTS.format(first=first, then="")], check=True, timeout=120)


def test_what_is_said_is_what_the_certificates_say(certified):
    folder, said = certified
    single = Certificate.load(folder / "certificate.safetensors")
    joint = JointCertificate.load(folder / "joint.safetensors")
    alone, more = int(single.certified.sum()), int(joint.errors.sum())
    assert alone > 0
    assert more > 0
    assert len(joint.y) == 40 - alone
    for i in (~single.certified).nonzero()[:, 0]:
        assert single.x[i] in joint.x
    split = load_data("digits", normalize=True)
    assert torch.equal(single.x, split.x_test[:40].double())
    network0 = TwoLayer.random(64, 300, seed=0, dtype=torch.float32)
    assert torch.equal(single.ball.network0.W, network0.W)
    assert single.ball.radius == 3 / 300**0.5
    lines = said.splitlines()
    assert lines[-1] == str(folder)
    assert lines[-2] == (
        "Proved: every network whose 300 neurons each lie within 0.173205 (C0 = 3) of this initialisation, however "
        f"trained, misclassifies at least {alone + more} of these 40 points when each is moved by at most 0.2, to a "
        "place that is the same for all networks."
    )
    row = next(line for line in lines if line.split()[:1] == ["0.2"])
    assert f"{alone} of 40" in row
    assert f"{more} more" in row
    assert "1.6" in row


def test_pictures_are_beside_them(certified):
    folder, _ = certified
    kinds = {"certificate.safetensors", "joint.safetensors"} | {
        f"ball-wide.{ending}" for ending in ("pdf", "svg", "png", "vl.json", "csv")
    }
    assert {path.name for path in folder.iterdir()} == kinds
    drawn = pl.read_csv(folder / "ball-wide.csv")
    assert drawn["bound"].max() < 0
    assert drawn["size"].max() <= 0.2


def test_json_has_the_same_numbers_and_a_certificate_is_not_overwritten_unasked(certified, capsys):
    folder, said = certified
    before = JointCertificate.load(folder / "joint.safetensors")
    code, out, err = called(capsys, "certify", *SETTINGS, "--out", folder)
    assert (code, out) == (2, "")
    assert "holds certificate.safetensors already; choose another --out, or replace it by --force." in err
    code, out, _ = called(capsys, "certify", *SETTINGS, "--out", folder, "--force", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["statement"] in said
    assert found["errors"] == found["certified"] + max(found["certified_jointly"].values())
    assert found["epsilon_sqrt_d"] == pytest.approx(1.6)
    assert list(found["curve"].values()) == sorted(found["curve"].values())
    assert found["flip_budget_median"] > 0.2
    assert len(found["files"]) == 7
    again = JointCertificate.load(folder / "joint.safetensors")
    assert torch.equal(again.errors, before.errors)  # on as many threads, to the bit; here on others


@pytest.fixture
def copied(certified, tmp_path):
    """The certificates, to be altered."""
    folder, _ = certified
    for name in ("certificate.safetensors", "joint.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    return tmp_path


def test_no_proof_of_other_settings_stays_beside_a_new_one(copied, capsys):
    small = ["--points", "3", "--width", "50", "--no-curve", "--quiet"]
    code, out, _ = called(capsys, "certify", *small, "--out", copied, "--force")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert len(Certificate.load(copied / "certificate.safetensors").y) == 3
    assert not (copied / "joint.safetensors").exists()


@pytest.mark.parametrize("name", ["certificate", "joint"])
def test_what_was_certified_is_verified(name, certified, capsys):
    path = certified[0] / f"{name}.safetensors"
    code, out, err = called(capsys, "verify", path)
    assert (code, err) == (0, "")
    count, _, claimed = out.split()[:3]
    assert count == claimed
    assert f"misclassifies at least {count} of these" in out
    code, out, _ = called(capsys, "verify", path, "--json")
    found = json.loads(out)
    assert found["kind"] == {"certificate": "single"}.get(name, name)
    assert (found["claimed"], found["verified"], found["holds"]) == (int(count), int(count), True)


def test_verify_refuses_what_is_altered_or_false(copied):
    path = copied / "certificate.safetensors"
    with safe_open(path, framework="pt") as opened:
        about, tensors = opened.metadata(), {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    altered = {**tensors, "perturbed": tensors["perturbed"] + 1e-9}
    save_file(altered, copied / "altered.safetensors", metadata=about)
    process = gradflip_process("verify", copied / "altered.safetensors")
    assert process.returncode == 1
    assert "was altered: its content has another SHA-256 digest than it states" in sentence(process)
    honest = Certificate.load(path)
    first = int(honest.certified.nonzero()[0, 0])
    moved = honest.perturbed.clone()
    moved[first] = honest.x[first]
    dataclasses.replace(honest, perturbed=moved).save(copied / "false.safetensors")  # with a digest of its own
    process = gradflip_process("verify", copied / "false.safetensors", "--json")
    assert process.returncode == 1
    found, count = json.loads(process.stdout), int(honest.certified.sum())
    assert (found["verified"], found["claimed"], found["holds"]) == (count - 1, count, False)
    assert f"does not hold: 1 of the {count} errors it claims were not verified." in sentence(process)


def test_verify_refuses_a_false_joint_certificate_and_other_files(copied, capsys):
    path = copied / "joint.safetensors"
    honest = JointCertificate.load(path)
    first = honest.groups == int((honest.errors > 0).nonzero()[0, 0])
    moved = torch.where(first[:, None], honest.x, honest.perturbed)
    dataclasses.replace(honest, perturbed=moved).save(path)
    code, out, err = called(capsys, "verify", path)
    assert code == 1
    count = int(honest.errors.sum())
    assert f"{count - 1} of {count} certain errors" in out
    assert f"misclassifies at least {count - 1} of these" in out
    assert "does not hold: 1 of the" in err
    honest.ball.network0.save(path)
    assert called(capsys, "verify", path)[0] == 1
    for name, content in (("none", None), ("text", b"not a certificate")):
        if content:
            (copied / name).write_bytes(content)
        code, out, err = called(capsys, "verify", copied / name)
        assert (code, out) == (1, "")
        assert len(err.splitlines()) == 1
        assert str(copied / name) in err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--C0", "0"], 2, "C0 must be positive and finite, got 0"),
        (["--C0", "inf"], 2, "C0 must be positive and finite, got inf"),
        (["--data", "mnits"], 2, "unknown data set 'mnits'; did you mean 'mnist'?"),
        (["--classes", "1"], 2, "--classes must be two digits such as 0,1, got '1'"),
        (["--classes", "3,3"], 2, "classes must be two different digits of 0..9, got (3, 3)"),
        (["--epsilon", "0"], 2, "--epsilon must be positive and finite, got 0"),
        (["--epsilon", "nan"], 2, "--epsilon must be positive and finite, got nan"),
        (["--width", "0"], 2, "width"),
        (["--points", "0"], 2, "--points must be at least 1, got 0"),
        (["--steps", "-1"], 2, "--steps must be at least 1, got -1"),
        (["--size", "0"], 2, "size must be an integer from 1 to 128"),
        (["--out", "/proc/nothing"], 1, "/proc/nothing cannot be written to"),
        (["--out", "file"], 1, "file cannot be written to: File exists; choose another --out."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_clear_sentence(words, code, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    status, out, err = called(capsys, "certify", *words)
    assert (status, out) == (code, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert err.startswith("gradflip: ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_pictures_of_version_0_1_are_replaced_too(tmp_path, capsys):
    (tmp_path / "universal.svg").write_text("")
    small = ["--points", "3", "--width", "50", "--no-curve", "--quiet"]
    code, _, err = called(capsys, "certify", *small, "--out", tmp_path)
    assert (code, "holds universal.svg already" in err) == (2, True)
    code, _, _ = called(capsys, "certify", *small, "--out", tmp_path, "--force")
    assert code == 0
    assert not (tmp_path / "universal.svg").exists()
