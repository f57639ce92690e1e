import gzip
import hashlib
import os
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradflip._errors import FileError
from gradflip.data._idx import read_idx
from idx_files import idx

boxes = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("idx")


def write(folder, content):
    path = folder / f"{hashlib.sha256(content).hexdigest()[:20]}"
    path.write_bytes(content)
    return path


@given(values=boxes, compress=st.booleans())
def test_what_is_written_is_read_gzip_or_plain(folder, values, compress):
    content = idx(values)
    path = write(folder, gzip.compress(content, mtime=0) if compress else content)
    found = read_idx(path, ndim=values.ndim, sha256=hashlib.sha256(content).hexdigest())
    assert found.values.dtype == torch.uint8
    assert found.values.shape == values.shape
    assert np.array_equal(found.values.numpy(), values)
    assert found.sha256 == hashlib.sha256(content).hexdigest()


@given(values=boxes, compress=st.booleans(), data=st.data())
def test_a_file_cut_at_any_byte_is_refused(folder, values, compress, data):
    content = idx(values)
    whole = gzip.compress(content, mtime=0) if compress else content
    path = write(folder, whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(FileError, match=re.escape(str(path))):
        read_idx(path, ndim=values.ndim)
    with pytest.raises(FileError, match=f"(?s){hashlib.sha256(content).hexdigest()}.*got"):
        read_idx(path, ndim=values.ndim, sha256=hashlib.sha256(content).hexdigest())


@given(values=boxes, data=st.data())
def test_one_changed_byte_is_seen_by_the_hash(folder, values, data):
    content = idx(values)
    at = data.draw(st.integers(0, len(content) - 1))
    changed = content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
    wanted, got = (hashlib.sha256(c).hexdigest() for c in (content, changed))
    path = write(folder, changed)
    with pytest.raises(FileError, match=f"damaged.*must be {wanted}, got {got}. Delete it and put a fresh copy"):
        read_idx(path, ndim=values.ndim, sha256=wanted)


@pytest.mark.parametrize(
    ("content", "ndim", "message"),
    [
        (b"", 1, "no IDX file of unsigned bytes with 1 dimension: it must begin with 00000801, got an empty file"),
        (b"<html>", 3, "no IDX file of unsigned bytes with 3 dimensions: it must begin with 00000803, got 3c68746d"),
        (idx(np.zeros(3)), 3, "it must begin with 00000803, got 00000801"),
        (idx(np.zeros(3))[:6], 1, "is cut short: its header must have 8 bytes, got 6"),
        (idx(np.zeros(3))[:-1], 1, "has the wrong length: a header for 3 bytes must be followed by 3, got 2"),
        (idx(np.zeros((2, 3, 4))) + b"!", 3, "a header for 2 x 3 x 4 bytes must be followed by 24, got 25"),
        (gzip.compress(idx(np.zeros(3)), mtime=0)[:-4], 1, r"is damaged: gzip cannot decompress it \(.+\)\. Delete it"),
    ],
)
def test_errors_say_what_was_expected_and_what_came(tmp_path, content, ndim, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(FileError, match=message):
        read_idx(tmp_path / "file", ndim=ndim)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(FileError, match="nowhere cannot be read: No such file"):
        read_idx(tmp_path / "nowhere", ndim=1)
    with pytest.raises(FileError, match="cannot be read: Is a directory"):
        read_idx(tmp_path, ndim=1)


def test_a_file_is_read_once_unless_it_changes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(idx(np.arange(3)))
    first = read_idx(path, ndim=1)
    assert read_idx(path, ndim=1) is first
    path.write_bytes(idx(np.arange(3) + 1))
    os.utime(path, (0, 0))
    assert read_idx(path, ndim=1).values.tolist() == [1, 2, 3]
