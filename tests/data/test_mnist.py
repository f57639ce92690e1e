import gzip
import hashlib
import logging
import os
import re

import numpy as np
import pytest
import torch

from gradflip._errors import FileError
from gradflip.data import _mnist as module
from gradflip.data import load_data
from idx_files import NAMES, idx

LABELS = "t10k-labels-idx1-ubyte"
CONTENT = idx(np.arange(10))
SHA256 = hashlib.sha256(CONTENT).hexdigest()
GZIP = f"{LABELS}.gz"


def fetch(folder, *mirrors):
    return module.cached(LABELS, SHA256, folder=folder, mirrors=[mirror.url for mirror in mirrors])


def link(source, target, names=NAMES):
    target.mkdir(parents=True, exist_ok=True)
    for name in names:
        (target / f"{name}.gz").symlink_to(source / f"{name}.gz")
    return target


# Downloading, from mirrors on this machine.


def test_a_good_mirror_is_asked_once_and_the_file_kept(tmp_path, mirrors):
    first, second = mirrors
    (first.folder / GZIP).write_bytes(gzip.compress(CONTENT))
    folder = tmp_path / "new" / "cache"
    assert fetch(folder, first, second).values.tolist() == list(range(10))
    assert [path.name for path in folder.iterdir()] == [GZIP]
    assert fetch(folder, first, second).values.tolist() == list(range(10))
    assert (first.asked, second.asked) == ([f"/{GZIP}"], [])


@pytest.mark.parametrize("level", [0, 9])
def test_any_compression_of_the_content_will_do(tmp_path, mirrors, level):
    (mirrors[0].folder / GZIP).write_bytes(gzip.compress(CONTENT, level))
    assert fetch(tmp_path / "cache", mirrors[0]).sha256 == SHA256


@pytest.mark.parametrize(
    "bad",
    [
        None,
        gzip.compress(idx(np.arange(10) + 1), mtime=0),
        gzip.compress(CONTENT, mtime=0)[:-5],
        b"<html>please log in</html>",
        b"",
    ],
    ids=["404", "other content", "cut short", "a page", "empty"],
)
def test_after_a_bad_mirror_comes_the_next(tmp_path, mirrors, bad):
    first, second = mirrors
    if bad is not None:
        (first.folder / GZIP).write_bytes(bad)
    (second.folder / GZIP).write_bytes(gzip.compress(CONTENT))
    assert fetch(tmp_path / "cache", first, second).values.tolist() == list(range(10))
    assert first.asked == second.asked == [f"/{GZIP}"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [GZIP]


def test_when_all_mirrors_fail_the_error_says_how_each_did_and_what_to_do(tmp_path, mirrors):
    first, second = mirrors
    wrong = idx(np.arange(10) + 1)
    (second.folder / GZIP).write_bytes(gzip.compress(wrong))
    second_hash = hashlib.sha256(wrong).hexdigest()
    with pytest.raises(FileError) as caught:
        module.cached(LABELS, SHA256, folder=tmp_path / "cache", mirrors=[first.url, second.url, "http://127.0.0.1:9/"])
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    assert re.fullmatch(rf"{LABELS} is in none of .*cache, and cannot be downloaded:", lines[0])
    assert re.fullmatch(rf"  {first.url}{GZIP}: 404 Client Error.*", lines[1])
    assert re.fullmatch(rf"  {second.url}{GZIP}: is damaged, .* must be {SHA256}, got {second_hash}\.", lines[2])
    assert re.match(rf"  http://127.0.0.1:9/{GZIP}: .*refused", lines[3])
    assert re.match(r"Put the files \(train-images.*\) into a folder .* --data-dir .* \$GRADFLIP_DATA\.", lines[4])
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("name", [LABELS, GZIP])
def test_a_damaged_download_is_replaced(tmp_path, mirrors, name, caplog):
    (mirrors[0].folder / GZIP).write_bytes(gzip.compress(CONTENT))
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / name).write_bytes(CONTENT[:-1])
    with caplog.at_level(logging.WARNING):
        assert fetch(folder, mirrors[0]).sha256 == SHA256
    assert "damaged" in caplog.text
    assert [path.name for path in folder.iterdir()] == [GZIP]


def test_a_damaged_download_without_a_mirror_is_kept_and_named(tmp_path):
    (tmp_path / LABELS).write_bytes(CONTENT[:-1])
    with pytest.raises(FileError, match=f"(?s){tmp_path / LABELS} is damaged.*\nPut the files"):
        module.cached(LABELS, SHA256, folder=tmp_path, mirrors=[])
    assert (tmp_path / LABELS).read_bytes() == CONTENT[:-1]


def test_a_cache_folder_that_cannot_be_made_is_an_error_of_files(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match=r"folder of downloads .*file/cache cannot be written to \(Not a directory\)"):
        module.cached(LABELS, SHA256, folder=tmp_path / "file" / "cache", mirrors=[])


# Where the files are looked for.


def test_a_file_may_have_a_dot_in_its_name(tmp_path):
    (tmp_path / "t10k-labels.idx1-ubyte").write_bytes(CONTENT)
    assert module.cached(LABELS, SHA256, folder=tmp_path, mirrors=[]).values.tolist() == list(range(10))


def test_a_named_folder_is_final(tmp_path, mnist_folder):
    link(mnist_folder, tmp_path, list(NAMES)[:3])  # the environment has all four
    with pytest.raises(
        FileError, match=rf"^{LABELS} \(or {GZIP}\) is missing in the folder {tmp_path}; it must hold train-images"
    ):
        load_data("mnist", data_dir=tmp_path)


def test_a_folder_that_is_none_is_refused(tmp_path):
    for name in ("mnist", "fashion-mnist"):
        with pytest.raises(FileError, match=r"^data_dir must be a folder, got '.*nowhere'\.$"):
            load_data(name, data_dir=str(tmp_path / "nowhere"))


@pytest.mark.usefixtures("no_environment")
@pytest.mark.parametrize("inner", ["", "mnist"])
def test_a_folder_or_its_subfolder_can_be_named_by_argument_or_environment(tmp_path, mnist_folder, inner, monkeypatch):
    link(mnist_folder, tmp_path / inner)
    assert len(load_data("mnist", data_dir=tmp_path).y_test) == 2115
    monkeypatch.setenv("GRADFLIP_DATA", str(tmp_path))
    assert len(load_data("mnist").y_test) == 2115


def test_the_subfolder_goes_before_the_folder(tmp_path, mnist_folder):
    link(mnist_folder, tmp_path)
    (tmp_path / "mnist").mkdir()
    with pytest.raises(FileError, match=f"missing in the folder {tmp_path / 'mnist'};"):
        load_data("mnist", data_dir=tmp_path)


@pytest.mark.parametrize("inner", ["", "mnist"])
def test_a_folder_of_the_environment_that_holds_part_is_final(tmp_path, monkeypatch, inner):
    folder = tmp_path / inner
    folder.mkdir(exist_ok=True)
    (folder / LABELS).write_bytes(CONTENT)
    monkeypatch.setenv("GRADFLIP_DATA", str(tmp_path))
    with pytest.raises(FileError, match=rf"train-images-idx3-ubyte .*is missing in the folder {folder};"):
        load_data("mnist")


@pytest.mark.usefixtures("no_environment")
def test_without_a_named_folder_the_cache_is_read(tmp_path, mnist_folder, monkeypatch):
    link(mnist_folder, tmp_path / "user-cache" / "mnist")
    assert len(load_data("mnist").y_test) == 2115
    monkeypatch.setenv("GRADFLIP_DATA", str(tmp_path))  # holds no file of MNIST's
    assert len(load_data("mnist").y_test) == 2115


@pytest.mark.usefixtures("no_environment")
def test_mnist_comes_from_a_mirror_into_the_cache(tmp_path, mnist_folder, mirrors):
    link(mnist_folder, mirrors[1].folder)
    found = module.mnist(mirrors=[mirror.url for mirror in mirrors])
    assert (found.train.shape, found.test.shape) == ((60_000, 28, 28), (10_000, 28, 28))
    assert found.test_classes[:5].tolist() == [7, 2, 1, 0, 4]
    assert {path.name for path in (tmp_path / "user-cache" / "mnist").iterdir()} == {f"{name}.gz" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_damage_in_any_file_of_mnist_is_found(tmp_path, mnist_folder, name):
    link(mnist_folder, tmp_path)
    content = bytearray(gzip.decompress((tmp_path / f"{name}.gz").read_bytes()))
    content[-1] ^= 1  # a plain file, which goes before the gzip one
    (tmp_path / name).write_bytes(content)
    got = hashlib.sha256(content).hexdigest()
    with pytest.raises(
        FileError, match=f"{tmp_path / name} is damaged.*must be {module.MNIST_SHA256[name]}, got {got}"
    ):
        load_data("mnist", data_dir=tmp_path)


# Fashion-MNIST.


def test_fashion_is_read_from_the_folder_named(fashion_folder, monkeypatch):
    for data_dir in (fashion_folder, fashion_folder.parent):
        found = load_data("fashion-mnist", classes=(7, 2), data_dir=data_dir)
        assert (found.x_train.shape, found.x_test.shape) == ((12_000, 784), (2_000, 784))
        assert found.y_test[:4].tolist() == [1, -1, 1, -1]
        assert torch.equal(found.x_test[:2, 0], torch.tensor([80 / 255, 205 / 255]))
    monkeypatch.setenv("GRADFLIP_DATA", str(fashion_folder.parent))
    assert load_data("fashion-mnist").name == "fashion-mnist"


@pytest.mark.usefixtures("no_environment")
def test_fashion_is_not_downloaded(tmp_path, monkeypatch):
    message = r"^fashion-mnist is read from a folder, not downloaded: .*t10k-labels.* --data-dir .*\$GRADFLIP_DATA\.$"
    with pytest.raises(FileError, match=message):
        load_data("fashion-mnist")
    monkeypatch.setenv("GRADFLIP_DATA", str(tmp_path))
    with pytest.raises(FileError, match=message):
        load_data("fashion-mnist")


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (LABELS, np.zeros(9_999), r"its shape must be \(10000,\), got \(9999,\)\."),
        (LABELS, np.full(10_000, 10), r"its labels must be 0 to 9, got 10\."),
        (
            "t10k-images-idx3-ubyte",
            np.zeros((10_000, 8, 8)),
            r"its shape must be \(10000, 28, 28\), got \(10000, 8, 8\)",
        ),
        ("train-labels-idx1-ubyte", np.zeros((60_000, 1, 1)), "must begin with 00000801, got 00000803"),
    ],
)
def test_what_has_not_the_form_of_fashion_is_refused(tmp_path, fashion_folder, name, values, message):
    for other in NAMES:
        if other == name:
            (tmp_path / other).write_bytes(idx(values))
        else:
            os.symlink(fashion_folder / other, tmp_path / other)
    with pytest.raises(FileError, match=f"{tmp_path / name} .*{message}"):
        load_data("fashion-mnist", data_dir=tmp_path)


def test_mnist_is_not_taken_for_fashion(mnist_folder):
    with pytest.raises(FileError, match=r"train-images-idx3-ubyte.gz is MNIST's file, not Fashion-MNIST's"):
        load_data("fashion-mnist", data_dir=mnist_folder)


def test_fashion_is_not_taken_for_mnist(fashion_folder):
    with pytest.raises(
        FileError, match=f"is damaged, or another file.*{module.MNIST_SHA256['train-images-idx3-ubyte']}"
    ):
        load_data("mnist", data_dir=fashion_folder)
