"""The measure of Figures 2 and 3: rows and observations of one trajectory, against the parts they are made of."""

import math

import polars as pl
import pytest
import torch

from gradflip import LazyBall, TwoLayer, flip, load_data, train
from gradflip.experiments import Experiment, Plan, Settings, run
from gradflip.experiments.lazy._cells import LAZY, LAZY_FLIP, lazy_cell, trainings
from gradflip.experiments.lazy._flip_measure import measure
from gradflip.sweep import RunFolder


def cell(protocol="text", C0s=(4, 8), max_epochs=40, seed=3, **changes):
    form = {"normalize": False, "bias": True} | changes
    (group,) = trainings((5,), (60,), C0s, seeds=1, max_epochs=max_epochs, **form)
    return lazy_cell(LAZY_FLIP, group, Settings(protocol=protocol), seed)


def experiment(name, sizes, widths, C0s):
    return Experiment(
        name=name,
        title="small",
        question="small?",
        source="tests",
        family=LAZY,
        measure=LAZY_FLIP,
        figure="gradflip.experiments.lazy._against_dim_figure:against_dim_figure",
        curve="width",
        groups={"quick": trainings(sizes, widths, C0s, seeds=2, max_epochs=10, normalize=False, bias=True)},
    )


def measured(which):
    shares = []
    found = measure(which.to_json()["parameters"], which.seed, shares.append)
    return found.rows, pl.DataFrame(found.observations), shares


@pytest.mark.parametrize("protocol", ["text", "published"])
def test_a_row_is_what_training_and_flipping_by_hand_give(protocol):
    published = protocol == "published"
    rows, images, _ = measured(cell(protocol))
    data = load_data("digits", size=5, antialias=not published)
    network0 = TwoLayer.random(25, 60, bias=True, output_bias=published, seed=3, dtype=torch.float32)
    for row, C0 in zip(rows, (4, 8), strict=True):
        fit = train(
            network0,
            data.x_train,
            data.y_train,
            ball=LazyBall(network0, C0),
            max_epochs=40,
            seed=3,
            check="epoch" if published else "step",
            keep="outside" if published else "inside",
            shuffle="once" if published else "every-epoch",
        )
        found = flip(fit.network.to(dtype=torch.float64), data.x_test)
        right = found.value * data.y_test > 0
        assert row["C0"] == C0
        assert row["stopped_because"] == fit.stopped_because.value
        assert row["steps"] == fit.steps
        assert row["scaled_deviation"] == pytest.approx(math.sqrt(60) * fit.deviation)
        assert row["correct"] == int(right.sum())
        assert row["images"] == 70
        assert row["test_error"] == pytest.approx(1 - row["correct"] / 70)
        assert row["perturbation"] == pytest.approx(float(found.perturbation[right].mean()))
        assert row["gradient_norm"] == pytest.approx(float(found.gradient_norm[right].mean()))
        assert row["relative_sqrt_d"] == pytest.approx(float(found.relative[right].mean()) * 5)
        norm = torch.sqrt(found.input_norm**2 + 1)
        assert row["step_flat"] == pytest.approx(float((found.step * 25 / norm)[right].mean()))
        flat = found.relative * 5 / norm * found.input_norm
        assert row["relative_flat"] == pytest.approx(float(flat[right].mean()))
        assert row["published_perturbation"] == pytest.approx(float(found.perturbation[right].sum()) / 70)
        assert row["published_gradient_norm"] == pytest.approx(float(found.gradient_norm.mean()))
        seen = images.filter(C0=float(C0))
        assert seen["step"].to_list() == pytest.approx(found.step.tolist())
        assert seen["label"].to_list() == data.y_test.int().tolist()


def test_text_stays_inside_the_ball_and_published_leaves_it():
    inside, _, _ = measured(cell("text"))
    outside, _, _ = measured(cell("published"))
    assert inside[0]["stopped_because"] == outside[0]["stopped_because"] == "left-ball"
    assert inside[0]["scaled_deviation"] <= 4 < inside[0]["left_at"]
    assert outside[0]["scaled_deviation"] == outside[0]["left_at"] > 4


def test_a_network_that_never_leaves_says_so():
    rows, _, _ = measured(cell(C0s=(1000,), max_epochs=2))
    assert rows[0]["stopped_because"] == "max-epochs"
    assert rows[0]["left_at"] is None
    assert rows[0]["epochs"] == 2


def test_inputs_of_norm_1_without_biases_have_flat_quantities_of_their_own():
    rows, _, _ = measured(cell(normalize=True, bias=False))
    for row in rows:
        assert row["input_norm"] == pytest.approx(1, abs=1e-6)
        assert row["step_flat"] == pytest.approx(25 * row["step"], rel=1e-6)
        assert row["relative_flat"] == pytest.approx(row["relative_sqrt_d"], rel=1e-12)


def test_progress_rises_to_the_end():
    _, _, shares = measured(cell(C0s=(1000,), max_epochs=5))
    assert shares == sorted(shares)
    assert len(shares) == 5
    assert 0 < shares[0] < shares[-1] <= 1


SMALL = experiment("small", (5, 6), (30, 40), (3, 6))


def small_plan():
    return Plan((SMALL,), Settings(), tuple(SMALL.cells(Settings())))


def test_rows_are_the_same_with_one_worker_and_with_two(tmp_path):
    outcomes = [run(small_plan(), tmp_path / str(n), workers=n) for n in (1, 2)]
    tables = [pl.read_parquet(outcome.folder.path / "table.parquet") for outcome in outcomes]
    assert outcomes[0].rows == 16
    assert tables[0].equals(tables[1])
    images = [pl.read_parquet(outcome.folder.path / "observations.parquet") for outcome in outcomes]
    assert images[0].equals(images[1])


def test_a_second_run_of_the_same_takes_everything_over(tmp_path):
    run(small_plan(), tmp_path, workers=1)
    before = (tmp_path / "table.parquet").read_bytes()
    again = run(small_plan(), tmp_path, workers=1)
    assert (again.summary.done, again.summary.skipped) == (0, 8)
    assert (tmp_path / "table.parquet").read_bytes() == before


def test_an_experiment_selects_its_own_rows(tmp_path):
    run(small_plan(), tmp_path, workers=1)
    table = pl.read_parquet(tmp_path / "table.parquet")
    other = experiment("narrow", (5,), (30,), (6,))
    chosen = other.select(table, Settings())
    assert chosen.select("size", "width", "C0").unique().rows() == [(5, 30, 6.0)]
    assert len(chosen) == 2


def test_a_cell_that_fails_is_a_status_and_the_others_go_on(tmp_path):
    good = small_plan().cells
    bad = cell(seed=0)
    broken = type(bad)(bad.measure, dict(bad.parameters) | {"lr": -1.0}, 0, label="broken")
    outcome = run(Plan((SMALL,), Settings(), (*good[:2], broken)), tmp_path, workers=1)
    assert [failure.cell.label for failure in outcome.summary.failed] == ["broken"]
    assert "lr must be positive and finite, got -1.0" in outcome.summary.failed[0].reason
    assert outcome.rows == 4
    assert RunFolder.open(tmp_path).read(broken).status == "failed"
