"""The measure of Figure 4: its rows against the parts they are made of, and what a run of it computes."""

import math

import polars as pl
import pytest
import torch

from gradflip import LazyBall, TwoLayer, flip, load_data, pgd, train, train_adversarially
from gradflip.experiments import COMPARED, EXPERIMENTS, MAIN, VARIANTS, Settings, plan
from gradflip.experiments._lattice import lattice
from gradflip.experiments.adversarial._attacks_measure import measure
from gradflip.experiments.adversarial._cells import ADVERSARIAL_ATTACKS, Workload, adversarial_cell, trainings
from gradflip.lazy import PUBLISHED, Variant

ADVERSARIAL = [name for name, experiment in EXPERIMENTS.items() if experiment.family.name == "adversarial"]
WORKLOAD = Workload(seeds=1, images=96, test_images=40, max_epochs=3, min_steps=0, script_epochs=3, script_steps=4)


def measured(way="text", runs=((0.2, 2.0), (0.4, 5.0)), budgets=None):
    (group,) = trainings(5, 30, runs, WORKLOAD, budgets=budgets, variants=(way,))
    cell = adversarial_cell(ADVERSARIAL_ATTACKS, group, Settings(), 3)
    shares = []
    found = measure(cell.to_json()["parameters"], cell.seed, shares.append)
    assert shares[-1] == pytest.approx(1)
    assert len(found.observations) == 0
    return found.rows


@pytest.mark.parametrize("way", ["text", "text + clip", "published", "published − projection"])
def test_a_row_is_what_training_and_attacking_by_hand_give(way):
    scripts = way.startswith("published")
    clip = (0.0, 1.0) if way in ("text + clip", "published", "published − projection") else None
    data = load_data("digits", size=5, normalize=True, antialias=not scripts)
    x, y = data.x_train[:96], data.y_train[:96]
    x_test, y_test = data.x_test[:40], data.y_test[:40]
    network0 = TwoLayer.random(25, 30, bias=scripts, output_bias=scripts, seed=3, dtype=torch.float32)
    if scripts:
        protocol = PUBLISHED if way == "published" else Variant("epoch", "step", "previous")
        options = dict(lr=0.01, attack_steps=4, protocol=protocol)
    else:
        options = dict(lr=0.1, momentum=0.9, schedule="cosine", attack_steps=10)
    rows = measured(way)
    assert len(rows) == 2
    for row, epsilon, C0 in zip(rows, (0.2, 0.4), (2.0, 5.0), strict=True):
        ball = LazyBall(network0, C0)
        fit = train_adversarially(network0, x, y, epsilon, ball, max_epochs=3, clip=clip, seed=3, **options)
        network = fit.network
        exact = network.to(dtype=torch.float64)
        right = y_test * exact(x_test.double()) > 0
        g = exact.gradient(x_test.double())
        moved = x_test.double() - epsilon * y_test[:, None] * g / g.norm(dim=1, keepdim=True)
        stepped = right & (y_test * exact(moved if clip is None else moved.clamp(*clip)) > 0)
        searched = pgd(network, x_test, y_test, epsilon, restarts=5, clip=clip, seed=3)
        assert (row["trained_epsilon"], row["epsilon"], row["C0"]) == (epsilon, epsilon, C0)
        assert row["radius"] == pytest.approx(C0 / math.sqrt(30))
        assert row["network"] == f"adversarial at {epsilon}, C0 = {C0:g}"
        assert row["scaled_deviation"] == pytest.approx(math.sqrt(30) * fit.deviation, rel=1e-5)
        assert (row["images"], row["train_images"]) == (40, 96)
        assert row["correct"] == int(right.sum())
        assert row["survived_one_step"] == int(stepped.sum())
        assert row["survived_pgd"] == int((right & ~searched.success).sum())
        assert row["robust_pgd"] == row["survived_pgd"] / 40
        assert row["missed_by_one_step"] == pytest.approx(row["robust_one_step"] - row["robust_pgd"])
        if clip is None:
            within = flip(exact, x_test.double()).perturbation <= epsilon
            assert row["survived_ray"] == int((right & ~within).sum())
            assert row["flipped_within"] == pytest.approx(float((right & within).sum() / right.sum()))
        else:
            assert row["survived_ray"] is row["robust_ray"] is row["flipped_within"] is row["missed_by_ray"] is None
        assert row["stopped_because"] == fit.stopped_because.value
        assert row["epochs"] == fit.epochs
        outside = row["scaled_deviation"] > C0 * (1 + 1e-6)
        assert outside <= (way == "published")  # only projection once an epoch leaves a network outside


def test_a_ray_and_a_step_agree_where_the_sign_turns_once():
    """The step of the whole budget lies on the ray: where it flips, the exact flip is no further away."""
    rows = measured(runs=((0.3, 10.0),), budgets=lattice(0.02, 2.0, 0.3, 2**0.5))
    assert len(rows) == 13
    assert all(row["survived_ray"] <= row["survived_one_step"] for row in rows)
    assert all(row["survived_pgd"] <= row["correct"] for row in rows)
    survived = [row["survived_ray"] for row in rows]
    assert survived == sorted(survived, reverse=True)
    assert survived[0] > survived[-1]
    assert {row["budgets"] for row in rows} == {"many"}


def test_standard_training_is_that_of_train():
    rows = measured(runs=((None, 4.0), (None, 1000.0)), budgets=(0.1, 0.3))
    data = load_data("digits", size=5, normalize=True)
    network0 = TwoLayer.random(25, 30, seed=3, dtype=torch.float32)
    assert [(row["network"], row["epsilon"]) for row in rows] == [
        (f"standard, C0 = {C0}", epsilon) for C0 in (4, 1000) for epsilon in (0.1, 0.3)
    ]
    for row, C0 in zip(rows[::2], (4.0, 1000.0), strict=True):
        fit = train(network0, data.x_train[:96], data.y_train[:96], ball=LazyBall(network0, C0), max_epochs=3, seed=3)
        assert row["epochs"] == fit.epochs
        assert row["scaled_deviation"] == pytest.approx(math.sqrt(30) * fit.deviation, rel=1e-4)
        assert row["training"] == "standard"
        assert row["trained_epsilon"] is row["converged"] is row["robust_train_accuracy"] is None


def test_the_lattice_is_the_same_for_every_range():
    assert lattice(0.1, 0.61, 0.3, 2**0.5) == (0.1061, 0.15, 0.2121, 0.3, 0.4243, 0.6)
    assert lattice(0.3, 0.3, 0.3, 2) == (0.3,)
    assert set(lattice(0.1, 1, 0.3, 2**0.5)) < set(lattice(0.01, 10, 0.3, 2**0.25))


def test_left_and_right_share_what_they_both_train():
    left, right = (plan([f"wang2022-fig4-{side}"], Settings()) for side in ("left", "right"))
    both = plan(["wang2022-fig4-left", "wang2022-fig4-right"], Settings())
    assert len(both.cells) == len(left.cells) + len(right.cells) - 3  # text, d = 100, m = 1000: a cell a seed

    def runs(planned):
        return {
            (tuple(sorted((k, str(v)) for k, v in cell.parameters.items() if k != "runs")), cell.seed, tuple(run))
            for cell in planned.cells
            for run in cell.parameters["runs"]
        }

    assert runs(both) == runs(left) | runs(right)
    assert len(runs(left) & runs(right)) == 3  # epsilon = 0.3 at C0 = 10
    assert sum(len(cell.parameters["runs"]) for cell in both.cells) == len(runs(both))


@pytest.mark.parametrize("name", ADVERSARIAL)
@pytest.mark.parametrize("protocol", ["text", "published"])
def test_every_experiment_finds_its_own_rows_and_no_others(name, protocol):
    settings = Settings(protocol=protocol)
    table = pl.DataFrame(
        [row | {"normalize": None} for row in rows_of(plan(ADVERSARIAL, settings))],
        schema_overrides={"normalize": pl.Boolean},
    )
    table = pl.concat([table, lazy_row(table)])
    experiment = EXPERIMENTS[name]
    own = pl.concat([experiment.select(table, settings), experiment.select(table, settings, COMPARED)]).unique()
    wanted = {str(row | {"normalize": None}) for row in rows_of(plan([name], settings))}
    assert set(map(str, own.to_dicts())) == wanted
    assert set(experiment.select(table, settings)["protocol"]) == {protocol}
    assert len(EXPERIMENTS["wang2022-fig5"].select(table, settings)) == 1  # the lazy row, none of the others


def rows_of(planned):
    """What the cells of a plan would give, without their numbers."""
    for cell in planned.cells:
        p = cell.parameters
        for epsilon, C0 in p["runs"]:
            for budget in p["budgets"] or [epsilon]:
                yield {
                    "measure": "adversarial-attacks", "seed": cell.seed,
                    "size": p["size"], "width": p["width"], "C0": float(C0), "bias": p["bias"],
                    "training": "standard" if epsilon is None else "adversarial", "trained_epsilon": epsilon,
                    "epsilon": budget, "budgets": "many" if p["budgets"] else "own", "protocol": p["protocol"],
                    "train_images": p["images"],
                }  # fmt: skip


def lazy_row(table):
    row = {
        "measure": "lazy-flip",
        "seed": 0,
        "size": 5,
        "width": 1000,
        "C0": 10.0,
        "bias": False,
        "protocol": "text",
        "normalize": True,
    }
    return pl.DataFrame([row | {name: None for name in table.columns if name not in row}], schema=table.schema)


def test_the_slice_has_both_protocols_and_each_with_one_effect_of_the_other():
    experiment, settings = EXPERIMENTS["wang2022-fig4-left"], Settings()
    rows = pl.DataFrame(list(rows_of(plan([experiment.name], settings))))
    compared = experiment.select(rows, settings, COMPARED)
    assert set(compared["protocol"]) == set(VARIANTS)
    assert set(compared["size"]) == {10}
    counts = compared["protocol"].value_counts()["count"].to_list()
    assert counts == [counts[0]] * 8
    text, scripts = VARIANTS["text"], VARIANTS["published"]
    for name, way in VARIANTS.items():
        like = text if name.startswith("text") else scripts
        changed = [field for field, value in vars(way).items() if value != vars(like)[field]]
        assert len(changed) == (name not in ("text", "published"))
    assert len(EXPERIMENTS["wang2022-fig4-right"].select(rows, settings, COMPARED)) == 0


def test_the_fixed_values_are_those_of_the_spec():
    left, right = EXPERIMENTS["wang2022-fig4-left"], EXPERIMENTS["wang2022-fig4-right"]
    for preset in ("quick", "standard", "paper"):
        drawn = [group.parameters for group in left.groups[preset] if group.part == MAIN]
        assert {(given["width"], C0) for given in drawn for _, C0 in given["runs"]} == {(1000, 10.0)}
        drawn = [group.parameters for group in right.groups[preset]]
        assert {(given["size"], epsilon) for given in drawn for epsilon, _ in given["runs"]} == {(10, 0.3)}
    for experiment in (left, right):
        for group in experiment.groups["standard"]:
            assert group.parameters["images"] <= 4000 and group.seeds == 3
