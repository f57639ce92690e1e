"""Experiments as data: what a run computes, and which rows belong to whom."""

import importlib

import polars as pl
import pytest
from pydantic import ValidationError

from gradflip import UsageError
from gradflip.experiments import (
    EXPERIMENTS,
    MEASURES,
    PAPERS,
    SHAPES,
    Settings,
    bibtex,
    covered,
    plan,
    plan_of,
    select_experiments,
)
from gradflip.experiments._family import load
from gradflip.experiments.random._shapes import hidden_widths
from gradflip.sweep import RunFolder

PRESETS = ("quick", "standard", "paper")
LAZY = [name for name, experiment in EXPERIMENTS.items() if experiment.family.name == "lazy"]
ADVERSARIAL = [name for name, experiment in EXPERIMENTS.items() if experiment.family.name == "adversarial"]
BALL = [name for name, experiment in EXPERIMENTS.items() if experiment.family.name == "ball"]
RANDOM = [name for name, experiment in EXPERIMENTS.items() if experiment.family.name == "random"]


@pytest.mark.parametrize("preset", ["quick", "standard", "paper"])
@pytest.mark.parametrize("protocol", ["text", "published"])
def test_trajectories_that_several_figures_need_are_computed_once(preset, protocol):
    def trajectory(cell):
        return tuple(cell.parameters[name] for name in ("size", "width", "normalize", "bias")) + (cell.seed,)

    settings = Settings(preset=preset, protocol=protocol)
    cells = plan(LAZY, settings).cells
    assert len({trajectory(cell) for cell in cells}) == len(cells)
    alone = [plan([name], settings).cells for name in LAZY]
    assert len(cells) < sum(map(len, alone))
    wanted = {(trajectory(cell), C0) for part in alone for cell in part for C0 in cell.parameters["C0s"]}
    served = {(trajectory(cell), C0) for cell in cells for C0 in cell.parameters["C0s"]}
    assert served == wanted


def test_a_merged_trajectory_is_as_long_as_the_longest_of_those_it_serves():
    settings = Settings(data="mnist", preset="standard")
    epochs = {c.parameters["max_epochs"] for c in plan(LAZY, settings).cells}
    assert epochs == {200}


def test_settings_know_their_data_set_and_refuse_one_that_is_not_registered():
    assert Settings(data="mnist").data_set.train_count == 12_665
    with pytest.raises(
        ValidationError, match=r"unknown data set 'minst'; did you mean 'mnist'\? There are: digits, mnist"
    ):
        Settings(data="minst")


def test_a_run_of_a_whole_paper_is_named_for_it():
    assert str(plan(["wang2022"], Settings()).default_folder) == "runs/wang2022-digits-quick"
    published = plan(["wang2022-fig2", "wang2022-fig3"], Settings(data="mnist", protocol="published"))
    assert str(published.default_folder) == "runs/wang2022-fig2+wang2022-fig3-mnist-quick-published"


def test_the_published_protocol_differs_in_the_six_points_of_spec_6():
    text = plan(["wang2022-fig2"], Settings(protocol="text")).cells[0].parameters
    published = plan(["wang2022-fig2"], Settings(protocol="published")).cells[0].parameters
    changed = {name: (text[name], published[name]) for name in text if text[name] != published[name]}
    assert changed == {
        "protocol": ("text", "published"),
        "antialias": (True, False),
        "output_bias": (False, True),
        "check": ("step", "epoch"),
        "keep": ("inside", "outside"),
        "shuffle": ("every-epoch", "once"),
    }


def test_the_number_of_seeds_and_the_first_seed_are_the_users():
    cells = plan(["wang2022-fig3"], Settings(seeds=2, seed=7)).cells
    assert {cell.seed for cell in cells} == {7, 8}


def test_a_papers_name_stands_for_all_its_experiments():
    figures = ["1", "2", "3", "4-left", "4-right", "5", "6", "7"]
    assert [e.name for e in select_experiments(["wang2022"])] == [
        *(f"wang2022-fig{n}" for n in figures),
        "wang2022-one-step-vs-pgd",
    ]
    assert [e.name for e in select_experiments(["wang2022-fig3", "wang2022-fig2"])] == [
        "wang2022-fig2",
        "wang2022-fig3",
    ]


def test_an_unknown_experiment_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match=r"unknown experiment 'wang2022-fig22'; did you mean 'wang2022-fig2'\?"):
        select_experiments(["wang2022-fig22"])


def test_settings_refuse_what_is_not_a_setting():
    with pytest.raises(ValidationError, match="two different digits"):
        Settings(classes=(4, 4))
    with pytest.raises(ValidationError, match="Extra inputs"):
        Settings(widht=3)


def test_the_default_grids_are_those_of_the_spec():
    fig2, fig3 = EXPERIMENTS["wang2022-fig2"], EXPERIMENTS["wang2022-fig3"]
    standard, paper = Settings(preset="standard"), Settings(preset="paper")
    assert fig2.values("width", paper) == (1000, 10_000, 100_000)
    assert fig2.values("size", standard) == (5, 8, 10, 12, 14, 16, 20, 24, 28)
    assert fig3.values("C0", standard) == (10, 20, 30, 40)
    assert fig3.values("width", standard) == (1000,)
    for experiment in (fig2, fig3):
        assert max(experiment.values("width", standard)) <= 10_000
        assert max(experiment.values("max_epochs", standard)) <= 200
        assert {group.seeds for group in experiment.groups["standard"]} == {3}


def test_every_declared_experiment_is_complete():
    assert {name.split("-")[0] for name in LAZY} == {"wang2022"}
    assert len(LAZY) + len(ADVERSARIAL) + len(RANDOM) + len(BALL) == len(EXPERIMENTS)
    for name, experiment in EXPERIMENTS.items():
        assert experiment.name == name
        assert experiment.question.endswith("?")
        assert experiment.claims
        assert [preset["preset"] for preset in experiment.presets()] == list(PRESETS)
        assert all(all(preset.values()) for preset in experiment.presets())
        assert all(experiment.groups[preset] for preset in PRESETS)
        assert experiment.measure.name.startswith(f"{experiment.family.name}-")
        assert callable(load(experiment.figure))
        assert callable(load(experiment.measure.reference))


def test_a_measure_has_one_name_that_is_known_by_the_table_of_measures():
    for experiment in EXPERIMENTS.values():
        assert MEASURES[experiment.measure.name] == experiment.measure
    assert len({measure.hashed_as for measure in MEASURES.values()}) == len(MEASURES) == 9
    names = {"adversarial-attacks", "ball-certified", "ball-cone", "ball-lemmas", "lazy-flip"}
    random = {f"random-{kind}" for kind in ("flip-probability", "any-width", "joint-law", "depth")}
    assert set(MEASURES) == names | random


def test_the_four_experiments_of_montanari_and_wu_are_there():
    kinds = ["flip-probability", "any-width", "joint-law", "depth"]
    assert RANDOM == [f"montanari2022-{kind}" for kind in kinds]
    assert [EXPERIMENTS[name].measure.name for name in RANDOM] == [f"random-{kind}" for kind in kinds]
    assert [experiment.name for experiment in select_experiments(["montanari2022"])] == RANDOM


@pytest.mark.parametrize("name", RANDOM)
def test_every_ensemble_names_a_measure_that_exists_and_is_computed_once(name):
    for preset in PRESETS:
        cells = EXPERIMENTS[name].cells(Settings(preset=preset))
        assert len(set(cells)) == len(cells) > 0
        assert len({cell.label for cell in cells}) == len(cells)
    module, function = cells[0].measure.reference.split(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_quick_preset_of_random_networks_is_planned_for_less_than_three_minutes_on_two_cores():
    assert sum(cell.cost for cell in plan(["montanari2022"], Settings()).cells) < 2 * 180
    hours = sum(cell.cost for cell in plan(["montanari2022"], Settings(preset="standard")).cells) / 3600
    assert hours < 2 * 2


OTHER_DATA = Settings(data="mnist", classes=(3, 8), protocol="published", device="cuda")


def test_a_run_of_random_networks_does_not_depend_on_what_concerns_data_and_training():
    here, there = plan(["montanari2022"], Settings()), plan(["montanari2022"], OTHER_DATA)
    assert here.cells == there.cells
    assert here.spec == there.spec
    assert here.spec["settings"] == {"preset": "quick", "seed": 0}
    assert here.spec["versions"].keys() == {
        "gradflip",
        *(f"random-{kind}" for kind in ("flip-probability", "any-width", "joint-law", "depth")),
    }
    assert not here.uses_data
    assert str(there.default_folder) == "runs/montanari2022-quick"


def test_a_run_of_both_families_depends_on_all_settings_and_names_both():
    both = plan(["wang2022-fig2", "montanari2022-depth"], OTHER_DATA)
    assert both.uses_data
    assert both.spec["settings"]["data"] == "mnist"
    assert both.spec["versions"].keys() == {"gradflip", "lazy-flip", "random-depth"}
    folder = "runs/wang2022-fig2+montanari2022-depth-mnist-quick-published"
    assert str(both.default_folder) == folder
    assert (
        str(plan(["wang2022", "montanari2022"], Settings()).default_folder)
        == "runs/wang2022+montanari2022-digits-quick"
    )
    alone = [*plan(["wang2022-fig2"], OTHER_DATA).cells, *plan(["montanari2022-depth"], OTHER_DATA).cells]
    assert list(both.cells) == alone
    parts = [both.cells_of(family) for family in both.families]
    assert [*parts[0], *parts[1]] == alone


def test_seeds_repeat_every_ensemble():
    once, thrice = (plan(["montanari2022-depth"], Settings(**more)).cells for more in ({}, {"seeds": 3, "seed": 7}))
    assert {cell.seed for cell in thrice} == {7, 8, 9}
    assert len(thrice) == 3 * len(once)
    assert {str(cell.parameters) for cell in thrice} == {str(cell.parameters) for cell in once}


def test_the_plan_of_random_networks_is_read_back_from_its_folder(tmp_path):
    planned = plan(["montanari2022-depth"], Settings(preset="standard", seeds=2, seed=3))
    assert plan_of(RunFolder.create(tmp_path, planned.spec)).cells == planned.cells


def test_rows_are_selected_by_measure():
    table = pl.DataFrame({
        "measure": ["random-depth", "random-any-width", "lazy-flip"],
        "normalize": [None, None, True], "shape": ["width 2", None, None],
        "line": [None, "over m", None], "size": [None, None, 5], "width": [None, 7, 60], "C0": [None, None, 4.0],
        "bias": [None, None, True],
    })  # fmt: skip
    own = EXPERIMENTS["montanari2022-depth"].select(table, Settings())
    assert own["shape"].to_list() == ["width 2"]
    assert len(EXPERIMENTS["wang2022-fig2"].select(table, Settings())) == 0
    assert len(EXPERIMENTS["wang2022-fig2"].select(table.filter(pl.col("measure") != "lazy-flip"), Settings())) == 0
    assert len(EXPERIMENTS["montanari2022-depth"].select(pl.DataFrame(), Settings())) == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_have_the_depth_asked_for_and_the_widths_they_are_named_for(shape):
    for depth in range(1, 7):
        widths = hidden_widths(shape, 900, depth)
        assert len(widths) == depth
        assert min(widths) >= 2
        if shape == "bottleneck":
            assert sorted(widths)[0] == 30
            assert sorted(widths)[1:] == [900] * (depth - 1)
        if shape.startswith("width"):
            assert set(widths) == {int(shape[-1])}
    assert hidden_widths("polynomial", 900, 3) == [27_000, 900, 27_000]
    assert hidden_widths("decreasing", 900, 3) == [450, 225, 112]


def test_montanari_and_wu_cover_what_the_others_cover_and_more_and_nothing_that_stays_narrow():
    for activation in ("relu", "tanh"):
        for shape in SHAPES:
            by = {paper: covered(paper, activation, shape) for paper in PAPERS}
            assert (by["Montanari & Wu 2022"] == "all L") == (not shape.startswith("width"))
            assert all(by["Montanari & Wu 2022"] or not covers for covers in by.values())
    deep = [paper for paper in PAPERS if covered(paper, "tanh", "equal widths") == "all L"]
    assert deep == ["Montanari & Wu 2022"]


def test_the_papers_an_experiment_is_set_beside_are_cited_with_it():
    entries = bibtex("montanari2022-depth")
    for key in ("montanari2022adversarial", "daniely2020most", "bubeck2021single", "bartlett2021adversarial"):
        assert f"{{{key}," in entries
    assert "wang2022" not in entries
    assert bibtex("bartlett2021").count("@") == 2
    assert bibtex("ball-lemmas") == bibtex("wang2022-fig7")
