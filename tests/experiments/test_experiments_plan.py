"""Experiments as data: what a run computes, and which rows belong to whom."""

import pytest
from pydantic import ValidationError

from gradflip import UsageError
from gradflip.experiments import EXPERIMENTS, Experiment, LazyGrid, Settings, named, plan


@pytest.mark.parametrize("preset", ["quick", "standard", "paper"])
@pytest.mark.parametrize("protocol", ["text", "published"])
def test_trajectories_that_several_figures_need_are_computed_once(preset, protocol):
    def trajectory(cell):
        return tuple(cell.parameters[name] for name in ("size", "width", "normalize", "bias")) + (cell.seed,)

    settings = Settings(preset=preset, protocol=protocol)
    cells = plan(["wang2022"], settings).cells
    assert len({trajectory(cell) for cell in cells}) == len(cells)
    alone = [plan([name], settings).cells for name in EXPERIMENTS]
    assert len(cells) < sum(map(len, alone))
    wanted = {(trajectory(cell), C0) for part in alone for cell in part for C0 in cell.parameters["C0s"]}
    served = {(trajectory(cell), C0) for cell in cells for C0 in cell.parameters["C0s"]}
    assert served == wanted


def test_a_merged_trajectory_is_as_long_as_the_longest_of_those_it_serves():
    settings = Settings(data="mnist", preset="standard")
    epochs = {c.parameters["max_epochs"] for c in plan(["wang2022"], settings).cells}
    assert epochs == {200}


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
    assert [e.name for e in named(["wang2022"])] == [f"wang2022-fig{n}" for n in (2, 3, 5, 6, 7)]
    assert [e.name for e in named(["wang2022-fig3", "wang2022-fig2"])] == ["wang2022-fig2", "wang2022-fig3"]


def test_an_unknown_experiment_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match=r"unknown experiment 'wang2022-fig22'; did you mean 'wang2022-fig2'\?"):
        named(["wang2022-fig22"])


def test_settings_refuse_what_is_not_a_setting():
    with pytest.raises(ValidationError, match="two different digits"):
        Settings(classes=(4, 4))
    with pytest.raises(ValidationError, match="Extra inputs"):
        Settings(widht=3)


def test_the_default_grids_are_those_of_the_spec():
    fig2, fig3 = EXPERIMENTS["wang2022-fig2"], EXPERIMENTS["wang2022-fig3"]
    assert fig2.grids["paper"].widths == (1000, 10_000, 100_000)
    assert fig2.grids["standard"].sizes == (5, 8, 10, 12, 14, 16, 20, 24, 28)
    assert fig3.grids["standard"].C0s == (10, 20, 30, 40)
    assert fig3.grids["standard"].widths == (1000,)
    for experiment in (fig2, fig3):
        standard = experiment.grids["standard"]
        assert max(standard.widths) <= 10_000
        assert standard.max_epochs <= 200
        assert standard.seeds == 3


def test_every_declared_experiment_is_complete():
    for name, experiment in EXPERIMENTS.items():
        assert isinstance(experiment, Experiment)
        assert experiment.name == name
        assert experiment.question.endswith("?")
        assert set(experiment.grids) == {"quick", "standard", "paper"}
        assert all(isinstance(grid, LazyGrid) for grid in experiment.grids.values())
