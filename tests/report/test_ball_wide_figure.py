"""Pictures of ball-wide perturbations, and what is said of them."""

import dataclasses
import json

import polars as pl
import pytest
import torch

from cases import refused
from gradflip import LazyBall, TwoLayer, certify, load_data
from gradflip.certificates._ball_wide import certify_ball_wide
from gradflip.report._ball_wide_figure import ball_wide_figure


@pytest.fixture(scope="module")
def certificate():
    split = load_data("digits", normalize=True)
    ball = LazyBall(TwoLayer.random(split.dim, 200, seed=0, dtype=torch.float32), 1.0)
    return certify(ball, split.x_test[:20], split.y_test[:20], 0.25, steps=20)


def test_a_figure_shows_certified_points_of_both_classes_with_budget_and_bound(certificate, tmp_path):
    figure = ball_wide_figure(certificate, limit=4)
    assert figure.numbers["label"].to_list() == [-1, 1, -1, 1]
    for row in figure.numbers.iter_rows(named=True):
        assert bool(certificate.certified[row["point"]])
        assert row["bound"] == float(certificate.bound[row["point"]])
        assert row["size"] == float(certificate.size[row["point"]])
    figure.save(tmp_path)
    assert (tmp_path / "ball-wide.png").read_bytes().startswith(b"\x89PNG")
    drawn = json.loads((tmp_path / "ball-wide.vl.json").read_text())
    rows = [row for data in drawn["datasets"].values() for row in data]
    assert sum(row.get("url", "").startswith("data:image/png;base64,") for row in rows) == 12
    assert pl.read_csv(tmp_path / "ball-wide.csv")["point"].to_list() == figure.numbers["point"].to_list()
    words = [row["text"] for row in rows if "text" in row]
    shown = [float(word.removeprefix("y f ≤ ")) for word in words if word.startswith("y f")]
    assert all(0 > up >= bound for up, bound in zip(shown, figure.numbers["bound"], strict=True))
    assert {"image", "sum"} < set(words)


def test_one_class_is_shown_where_there_is_one_only(certificate):
    upper = dataclasses.replace(certificate, certified=certificate.certified & (certificate.y > 0))
    shown = ball_wide_figure(upper, limit=3).numbers
    assert shown["label"].to_list() == [1, 1, 1]
    assert len(shown["point"].unique()) == 3


def test_what_cannot_be_drawn_is_refused(certificate):
    with pytest.raises(ValueError, match="no point was certified"):
        ball_wide_figure(dataclasses.replace(certificate, certified=torch.zeros(20, dtype=torch.bool)))
    line = LazyBall(TwoLayer.random(5, 20, seed=0), 0.1)
    found = certify(line, torch.ones(1, 5), torch.ones(1), 3.0)
    with refused("points must be square images to be drawn, got 5 entries"):
        ball_wide_figure(found)


def test_numbers_sentence_and_table_agree():
    split = load_data("digits", normalize=True)
    ball = LazyBall(TwoLayer.random(split.dim, 300, seed=0, dtype=torch.float32), 3.0)
    found = certify_ball_wide(ball, split.x_test[:20], split.y_test[:20], 0.2, joint=True, curve=True)
    said = found.to_json()
    best = max(said["certified_jointly"].values())
    assert set(said["certified_jointly"]) == {"pairs", "all"}
    assert said["errors"] == found.errors == said["certified"] + best > said["certified"]
    assert int(found.joint.errors.sum()) == best
    assert f"at least {found.errors} of these 20 points" in found.statement
    table = found.table()
    assert [float(row["epsilon"]) for row in table] == sorted(float(row["epsilon"]) for row in table)
    assert [row["one by one"] for row in table if row["epsilon"] == "0.2"] == [f"{said['certified']} of 20"]
    none = certify_ball_wide(ball, split.x_test[:2], split.y_test[:2], 1e-3)
    assert none.errors == 0
    assert none.statement.startswith("Nothing is proved of these 2 points")
