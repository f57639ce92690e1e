"""The measure of Figure 1: the plane, the ball's section by it, and iterates scaled along their rays."""

import math

import polars as pl
import pytest
import torch

from gradflip import LazyBall, TwoLayer, flip, train
from gradflip._seeds import derived_seed
from gradflip.claims import Verdict, find
from gradflip.data import load_data
from gradflip.experiments import EXPERIMENTS, IN_BALL, IN_CONE, OUTSIDE
from gradflip.experiments.ball._cone_measure import _scaled, measure

CONE = {"data": "digits", "classes": [0, 1], "size": 5, "width": 40, "C0": 2, "stops": [3, 12, 60, 400],
        "scales": [0.001, 0.5, 1.0, 2.0, 1000.0]}  # fmt: skip


def measured(parameters=CONE, seed=3):
    shares = []
    found = measure(parameters, seed, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    return found.rows, pl.DataFrame(found.observations, infer_schema_length=None)


@pytest.fixture(scope="module")
def once():
    return measured()


@pytest.fixture(scope="module")
def iterates():
    """The same training by hand: an epoch of the digits is five steps."""
    split = load_data("digits", (0, 1), 5, normalize=True).to(dtype=torch.float64)
    network = TwoLayer.random(25, 40, seed=3, dtype=torch.float64)
    found, done = [(0, network)], 0
    for epochs in (1, 3, 12, 80):
        batches = derived_seed(3, f"ball, batches after epoch {done}") % 2**31
        network = train(network, split.x_train, split.y_train, max_epochs=epochs - done, seed=batches).network
        done = epochs
        found.append((5 * epochs, network))
    return found


def distance(W, W0):
    """sqrt(m) max_j |w_j - w_(j,0)|, row by row."""
    largest = 0.0
    for row, row0 in zip(W, W0, strict=True):
        largest = max(largest, math.sqrt(sum((float(p) - float(q)) ** 2 for p, q in zip(row, row0, strict=True))))
    return math.sqrt(len(W)) * largest


def test_rows_are_those_of_the_iterates_and_their_multiples(once, iterates):
    rows, _ = once
    x = load_data("digits", (0, 1), 5, normalize=True).x_test.to(torch.float64)
    W0 = iterates[0][1].W
    assert len(rows) == 5 * 5
    for i, (steps, network) in enumerate(iterates):
        for row, scale in zip(rows[5 * i : 5 * i + 5], CONE["scales"], strict=True):
            assert (row["steps"], row["scale"], row["C0"]) == (steps, scale, 2)
            assert row["scaled_deviation"] == pytest.approx(distance(scale * network.W, W0), rel=1e-12, abs=1e-12)
            assert row["in_ball"] == (distance(scale * network.W, W0) <= 2)
            found = flip(TwoLayer(scale * network.W, network.a), x)
            flipped = torch.isfinite(found.step)
            for name in ("gradient_norm", "step", "perturbation", "relative"):
                assert row[name] == pytest.approx(float(getattr(found, name)[flipped].mean()), rel=1e-9)


def test_the_cone_is_where_some_multiple_is_in_the_ball(once, iterates):
    rows, _ = once
    W0 = iterates[0][1].W
    for row, (_, network) in zip(rows[2::5], iterates, strict=True):
        least = min(distance(c * network.W, W0) for c in torch.linspace(0.9, 1.05, 301).tolist())
        assert row["cone_deviation"] <= least + 1e-12
        assert row["cone_deviation"] == pytest.approx(least, rel=0.05, abs=1e-5)
        assert row["in_cone"] == (row["cone_deviation"] <= 2)
        assert row["line"] == (IN_BALL if row["scaled_deviation"] <= 2 else IN_CONE if row["in_cone"] else OUTSIDE)
    assert {row["line"] for row in rows} >= {IN_BALL, OUTSIDE}


def test_a_multiple_of_an_iterate_in_the_ball_is_in_the_cone_only(iterates):
    split = load_data("digits", (0, 1), 5, normalize=True)
    network0, (_, inside) = iterates[0][1], iterates[1]
    multiple = TwoLayer(1.5 * inside.W, inside.a)
    (row,) = _scaled({"scales": [1.0]}, LazyBall(network0, 2.0), split, 5, multiple)
    assert (row["line"], row["in_ball"], row["in_cone"]) == (IN_CONE, False, True)
    assert row["cone_deviation"] < 2 < row["scaled_deviation"]


def test_what_flips_an_image_is_the_same_all_along_a_ray(once):
    rows, _ = once
    for row in rows:
        for name in ("step_off", "perturbation_off", "relative_off"):
            assert 0 <= row[name] < 1e-9
        if row["scale"] != 1:
            assert row["in_ball"] is False
        assert row["in_cone"] == (row["line"] != OUTSIDE)


def test_a_bias_would_be_seen(monkeypatch, once):
    """Of networks that are not homogeneous nothing stays the same along a ray."""
    from gradflip.experiments.ball import _cone_measure as cone

    def biased(network, x):
        return flip(TwoLayer(network.W, network.a, torch.linspace(-1, 1, network.width, dtype=torch.float64)), x)

    monkeypatch.setattr(cone, "flip", biased)
    rows, _ = measured(CONE | {"stops": [3]})
    assert max(row["relative_off"] for row in rows if row["relative_off"] is not None) > 1e-3


def test_the_picture_holds_the_section_and_every_iterate(once):
    _, seen = once
    ball, places = (seen.filter(pl.col("what") == what) for what in ("ball", "iterate"))
    assert ball["place"].to_list() == list(range(240))
    assert places["steps"].to_list() == [0, 5, 15, 60, 400]
    first, last = places.row(0, named=True), places.row(-1, named=True)
    assert (first["along"], first["across"]) == pytest.approx((1, 0), abs=1e-9)
    assert last["outside"] == pytest.approx(0, abs=1e-9)


def test_the_claims_of_figure_1_hold_of_three_seeds():
    rows = [row | {"seed": seed} for seed in range(3) for row in measured(seed=seed)[0]]
    table = pl.DataFrame(rows, infer_schema_length=None)
    for claim in EXPERIMENTS["wang2022-fig1"].claims:
        findings = find(claim, table, "line")
        assert {finding.curve for finding in findings} >= {IN_BALL, OUTSIDE}
        for finding in findings:
            assert finding.interval.estimate == pytest.approx(claim.expectation.value, abs=1e-9)
            assert finding.verdict is Verdict.HOLDS


def test_presets_train_beyond_the_ball_and_scale_by_a_million():
    for parts in EXPERIMENTS["wang2022-fig1"].groups.values():
        for part in parts:
            assert min(part.parameters["scales"]) == pytest.approx(1e-3)
            assert max(part.parameters["scales"]) == pytest.approx(1e3)
            assert 1.0 in part.parameters["scales"]
            # a step moves a neuron by lr |x| / sqrt m at most: so many could leave the ball
            assert max(part.parameters["stops"]) * 0.1 > 10 * part.parameters["C0"]
