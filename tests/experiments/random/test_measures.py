"""The measures of random networks: rows and observations against the parts and the laws they are made of."""

import dataclasses
import importlib
import math

import numpy as np
import polars as pl
import pytest
import scipy.stats
import torch

from gradflip._seeds import generator
from gradflip.experiments import EXPERIMENTS, Group, Plan, Settings, plan_of, run
from gradflip.experiments.lazy._cells import trainings
from gradflip.experiments.random import _joint_law_measure as joint_law
from gradflip.experiments.random._draws import blocks, half_normal_distance, quantile, relative_sqrt_d
from gradflip.gaussian import draw_two_layer
from gradflip.rays import flip_draws
from gradflip.theory import limits

FLIPS = {"activation": "relu", "dim": 12, "width": 30, "draws": 4000, "explicit_draws": 4000, "steps": [0.5, 1.0, 2.0]}
WIDTH = {"activation": "relu", "dim": 400, "width": 5, "draws": 3000, "lines": [["over m", "width"], ["over d", "dim"]]}
JOINT = {"activation": "tanh", "dim": 10, "width": 40, "draws": 3000, "explicit_draws": 3000, "steps": [0.5, 2.0],
         "reach": 3.6, "bins": 12}  # fmt: skip
DEPTH = {"activation": "tanh", "weight_variance": 1.0, "shape": "equal widths", "widths": [60, 60, 60], "draws": 600,
         "ray_draws": 200, "attack_steps": 8}  # fmt: skip


def measured(kind, parameters, seed=3):
    module = importlib.import_module(f"gradflip.experiments.random._{kind.replace('-', '_')}_measure")
    shares = []
    found = module.measure(parameters, seed, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    return found.rows, pl.DataFrame(found.observations)


def apart(first, second, draws):
    """How many standard errors two shares of as many independent draws are apart."""
    p = (first + second) / 2
    return abs(first - second) / math.sqrt(2 * max(p * (1 - p), 1e-9) / draws)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [("flip-probability", FLIPS), ("any-width", WIDTH), ("joint-law", JOINT), ("depth", DEPTH)],
)
def test_a_seed_gives_the_same_rows_again_and_another_seed_others(kind, parameters):
    small = parameters | {"draws": 50} | ({"explicit_draws": 50} if "explicit_draws" in parameters else {})
    once, again, other = (measured(kind, small, seed) for seed in (1, 1, 2))
    assert once[0] == again[0]
    assert once[1].equals(again[1])
    assert once[0] != other[0]


def test_flips_of_the_exact_law_are_those_drawn_by_hand():
    rows, _ = measured("flip-probability", FLIPS)
    known = limits("relu")
    rays = draw_two_layer(12, 30, draws=4000, generator=generator(3, "exact law, relu, d = 12, m = 30"))
    for row, s in zip(rows, FLIPS["steps"], strict=True):
        assert row["step"] == pytest.approx(s * known.nu / known.tau**2)
        assert row["flips"] == int((rays.value * rays.at(row["step"]) < 0).sum())
        assert row["flip_probability"] == row["flips"] / 4000
        assert row["limit"] == pytest.approx(math.erf(s / math.sqrt(2)))
        assert row["from_limit"] == pytest.approx(row["flip_probability"] - row["limit"])


@pytest.mark.parametrize("activation", ["relu", "tanh", "abs", "leaky_relu"])
def test_explicit_networks_flip_as_often_as_those_of_the_exact_law_at_any_size(activation):
    rows, _ = measured("flip-probability", FLIPS | {"activation": activation})
    for row in rows:  # 12 comparisons: false alarm below 1e-3
        assert apart(row["flip_probability"], row["explicit_flip_probability"], 4000) < 4
    assert abs(rows[-1]["from_limit"]) > 0.02  # and the limit is another law at this size


def test_without_explicit_networks_their_columns_are_null():
    rows, _ = measured("flip-probability", FLIPS | {"explicit_draws": 0, "draws": 20})
    assert all(row["explicit_flips"] is None and row["explicit_draws"] is None for row in rows)


def test_a_large_network_flips_as_often_as_in_the_limit():
    rows, _ = measured("flip-probability", FLIPS | {"dim": 10**6, "width": 3000, "draws": 4000, "explicit_draws": 0})
    for row in rows:
        assert abs(row["from_limit"]) < 5 * math.sqrt(0.25 / 4000)


def test_quantiles_and_shares_of_any_width_are_those_of_its_observations():
    rows, networks = measured("any-width", WIDTH)
    assert [(row["line"], row["along"], row["position"]) for row in rows] == [
        ("over m", "width", 5),
        ("over d", "dim", 400),
    ]
    row = rows[0]
    values = networks["relative_sqrt_d"].fill_null(math.inf).sort()
    assert row["flipped"] + row["never"] + row["flat"] + row["zero"] + row["not_found"] == len(values) == 3000
    assert row["unflipped"] == pytest.approx(values.is_infinite().sum() / 3000)
    for level in (5, 25, 50, 75, 95):
        here = row[f"q{level:02d}"]
        at_most = (values <= (math.inf if here is None else here)).sum()
        below = (values < (math.inf if here is None else here)).sum()
        assert below < level / 100 * 3000 <= at_most
    known = limits("relu")
    grid = np.linspace(0, 8, 4001)
    law = scipy.stats.halfnorm.cdf(grid)
    sample = np.searchsorted(values.to_numpy() * known.tau / known.nu, grid, side="right") / 3000
    assert row["distance"] == pytest.approx(np.abs(law - sample).max(), abs=2e-3)


@pytest.mark.parametrize(("width", "share"), [(1, 1.0), (2, 0.74), (5, 0.24), (10, 0.05)])
def test_narrow_relu_networks_never_flip_as_often_as_the_spec_says(width, share):
    draws = 300 if share == 1.0 else WIDTH["draws"]  # a network that may never flip does not, in every draw
    rows, _ = measured("any-width", WIDTH | {"width": width, "draws": draws})
    assert rows[0]["unflipped"] == pytest.approx(share, abs=0.03)


def test_a_network_that_is_0_at_its_input_counts_as_never_flipping():
    found = flip_draws(draw_two_layer(9, 1, draws=200, generator=generator(0, "test")))
    values = relative_sqrt_d(found, 9)
    assert int((found.value == 0).sum()) > 50
    assert bool(values.isinf().all())
    assert half_normal_distance(values) == 1.0


def test_the_distance_to_the_half_normal_is_that_of_scipy():
    values = torch.randn(500, generator=generator(0, "test"), dtype=torch.float64).abs() * 1.2
    assert half_normal_distance(values) == pytest.approx(scipy.stats.kstest(values, scipy.stats.halfnorm.cdf).statistic)
    values[:200] = math.inf
    law = scipy.stats.halfnorm.cdf(values[200:].sort().values)
    steps = np.arange(301) / 500
    expected = max((steps[1:] - law).max(), (law - steps[:-1]).max(), 1 - 0.6)
    assert half_normal_distance(values) == pytest.approx(expected)


def test_a_quantile_is_a_draw_and_null_where_it_is_infinite():
    ordered = torch.tensor([1.0, 2.0, 3.0, math.inf], dtype=torch.float64)
    assert [quantile(ordered, level) for level in (0.05, 0.25, 0.26, 0.75, 0.76)] == [1.0, 1.0, 2.0, 3.0, None]


def test_blocks_add_up_and_hold_at_least_one_draw():
    assert list(blocks(10, 2**23)) == [2] * 5
    assert list(blocks(3, 2**30)) == [1, 1, 1]
    assert list(blocks(0, 5)) == []


def test_implicit_and_explicit_networks_have_the_same_joint_law():
    rows, seen = measured("joint-law", JOINT)
    for row in rows:
        assert row["tests"] == 22
        critical = scipy.stats.ks_2samp(np.arange(3000.0), np.arange(3000.0) + 0.5).statistic  # of about 0
        assert critical < row["ks"] < math.sqrt(math.log(2 * 44 / 1e-3) / 3000)
        assert row["correlation"] == pytest.approx(row["explicit_correlation"], abs=0.1)
    counts = seen.filter(what="count").group_by("s").agg(pl.sum("count"))["count"].to_list()
    assert all(2900 <= count <= 3000 for count in counts)  # a few lie beyond the bins
    bands = seen.filter(what="band")
    assert (bands["low"] < bands["middle"]).all()
    assert (bands["middle"] < bands["high"]).all()
    width = seen.filter(what="count").select((pl.col("f_to") - pl.col("f")).alias("width"))["width"]
    assert width.to_list() == pytest.approx([7.2 / 12] * len(width))


def test_samples_of_another_law_are_far_apart():
    one, other = (np.random.default_rng(seed).normal(size=(3000, 2)) for seed in (0, 1))
    directions = np.array([[0.6], [0.8]])
    assert joint_law._largest_distance(one, other, directions) < 0.05
    turned = other @ np.array([[1.0, 0.9], [0.0, math.sqrt(1 - 0.81)]])  # the same marginals, correlated
    assert joint_law._largest_distance(one, turned, directions) > 0.07
    a, b = one[:, 0], other[:50, 1] + 0.2
    assert joint_law._two_sample(a, b) == pytest.approx(scipy.stats.ks_2samp(a, b).statistic)


@pytest.mark.parametrize("s", [0.5, 1.0, 2.0])
def test_the_limit_of_the_joint_law_is_that_of_z_less_s_times_its_sign(s):
    z = np.random.default_rng(0).normal(size=200_000)
    after = z - s * np.sign(z)
    assert joint_law._limit_correlation(s) == pytest.approx(np.corrcoef(z, after)[0, 1], abs=0.01)
    assert joint_law._limit_distance(after, s) < 1.95 / math.sqrt(200_000)  # exceeded with probability 0.001
    assert joint_law._limit_distance(after + 0.1, s) > 0.02


def test_larger_networks_only_are_drawn_without_explicit_ones_and_without_observations():
    rows, seen = measured("joint-law", JOINT | {"explicit_draws": 0, "draws": 2000, "dim": 1000, "width": 1000})
    for row in rows:
        assert row["ks"] is row["explicit_draws"] is None
        assert row["correlation"] == pytest.approx(row["limit_correlation"], abs=0.06)
        assert row["distance"] < 0.06
    assert len(seen) == 0


def test_deep_networks_of_moderate_width_flip_as_often_as_in_the_limit_and_on_the_ray_as_by_steps():
    rows, attacks = measured("depth", DEPTH)
    (row,) = rows
    known = limits("tanh", depth=2)
    assert row["limit"] == pytest.approx(math.erf(1 / math.sqrt(2)))
    assert abs(row["from_limit"]) < 0.1
    assert row["limit_q50"] == pytest.approx(known.relative_quantile(0.5))
    assert row["q25"] < row["q50"] < row["q75"]
    assert row["q50"] == pytest.approx(row["limit_q50"], rel=0.35)
    assert row["widths"] == "60-60-60"
    assert sum(row[name] for name in ("flipped", "never", "flat", "zero", "not_found")) == 200
    shares = {(way, s): flips / 200 for way, s, flips in attacks.select("way", "s", "flips").iter_rows()}
    assert len(shares) == 16
    assert apart(shares["one step", 1.0], row["flip_probability"], 200) < 4
    assert apart(shares["one step", 0.25], shares["several steps", 0.25], 200) < 4  # one of several is one


def test_a_deep_and_narrow_network_does_not_flip():
    (row,), _ = measured("depth", DEPTH | {"activation": "relu", "shape": "width 2", "widths": [60, 2, 2, 2, 2]})
    assert row["flip_probability"] < 0.2
    assert row["unflipped"] > 0.5
    assert row["q75"] is None


TINY = dataclasses.replace(
    EXPERIMENTS["montanari2022-any-width"],
    name="tiny",
    groups={
        "quick": tuple(Group(f"m = {m}", WIDTH | {"width": m, "draws": 40, "lines": [["m", "width"]]}) for m in (3, 5))
    },
)
LAZY = dataclasses.replace(
    EXPERIMENTS["wang2022-fig2"],
    name="lazy",
    groups={"quick": trainings((5,), (30,), (3,), seeds=1, max_epochs=3, normalize=False, bias=True)},
)


def test_rows_of_both_families_share_a_table_and_are_the_same_with_one_worker_and_two(tmp_path):
    settings = Settings(seeds=2)
    cells = (*LAZY.cells(settings), *TINY.cells(settings))
    planned = Plan((LAZY, TINY), settings, cells)
    assert [family.name for family in planned.families] == ["lazy", "random"]
    outcomes = [run(planned, tmp_path / str(n), workers=n) for n in (1, 2)]
    assert [outcome.summary.failed for outcome in outcomes] == [(), ()]
    for name in ("table", "observations"):
        frames = [pl.read_parquet(outcome.folder.path / f"{name}.parquet") for outcome in outcomes]
        assert frames[0].equals(frames[1])
    table = pl.read_parquet(tmp_path / "1" / "table.parquet")
    assert len(LAZY.select(table, settings)) == 2
    own = TINY.select(table, settings)
    assert own["width"].to_list() == [3, 3, 5, 5]
    assert own["seed"].to_list() == [0, 1, 0, 1]
    assert own["C0"].null_count() == len(own)
    assert outcomes[0].folder.spec["versions"].keys() == {"gradflip", "lazy-flip", "random-any-width"}
    with pytest.raises(OSError, match="is not of this version"):
        plan_of(outcomes[0].folder)  # neither experiment is registered
