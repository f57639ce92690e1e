"""A figure is saved in every form, and panels whose colours mean different things keep their own legends."""

import json

import altair as alt
import polars as pl
import pytest

from gradflip import FileError
from gradflip.drawing import Figure, colored

NUMBERS = pl.DataFrame({"x": [1.0, 2.0], "curve": ["a", "b"]})


def panel(*curves):
    return alt.layer(alt.Chart(NUMBERS).mark_point().encode(x="x:Q", color=colored(curves, "")))


def saved(folder, *panels):
    Figure("drawn", panels, NUMBERS, "").save(folder)
    return json.loads((folder / "drawn.vl.json").read_text())


def test_every_form_is_written(tmp_path):
    saved(tmp_path / "new", panel("a", "b"))
    for ending, magic in (("pdf", b"%PDF"), ("png", b"\x89PNG"), ("svg", b"<svg")):
        assert (tmp_path / "new" / f"drawn.{ending}").read_bytes().startswith(magic)
    assert pl.read_csv(tmp_path / "new" / "drawn.csv").equals(NUMBERS)


def test_only_panels_of_the_same_curves_share_a_legend(tmp_path):
    assert "resolve" not in saved(tmp_path, panel("a", "b"), panel("a", "b"))
    assert saved(tmp_path, panel("a", "b"), panel("b"))["resolve"] == {"scale": {"color": "independent"}}


def test_three_panels_stand_in_a_row_and_more_are_wrapped(tmp_path):
    assert len(saved(tmp_path, *[panel("a")] * 3)["hconcat"]) == 3
    wrapped = saved(tmp_path, *[panel("a")] * 4)
    assert (len(wrapped["concat"]), wrapped["columns"]) == (4, 3)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be made"):
        saved(tmp_path / "file" / "figures", panel("a"))
