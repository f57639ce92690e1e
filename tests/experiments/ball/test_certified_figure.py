"""The bracket as a figure: edges are means over seeds, cells reach half-way, and the caption says how open it is."""

import polars as pl
import pytest

from gradflip.experiments import EXPERIMENTS, Settings
from gradflip.experiments.ball._certified_figure import certified_figure

EXPERIMENT = EXPERIMENTS["ball-certified"]


def table(C0s=(1.0, 10.0), dims=(100, 784), seeds=2, violations=0):
    rows = []
    for dim in dims:
        for C0 in C0s:
            for seed in range(seeds):
                for k, epsilon in enumerate((0.1, 0.2, 0.4, 0.8)):
                    error = (0.0, 0.1, 0.6, 1.0)[k] + 0.02 * seed * (0 < k < 3)
                    found = (0.9, 0.7, 0.2, 0.0)[k]
                    rows.append({
                        "cell": f"{dim}-{C0}", "measure": "ball-certified", "seed": seed,
                        "line": f"d = {dim}, C0 = {C0:g}",
                        "data": "digits", "classes": "0/1", "dim": dim, "width": 1000, "C0": C0, "points": 50,
                        "epsilon": epsilon * C0, "epsilon_sqrt_d": epsilon * C0 * dim**0.5,
                        "certified_single": error / 2,
                        "certified_error": error, "certified_accuracy": 1 - error, "robust_both": found / 2,
                        "attainable_accuracy": found, "best": "class +1 alone" if k else "both classes",
                        "violations": violations,
                    })  # fmt: skip
    return pl.DataFrame(rows)


def certified(rows):
    return certified_figure(EXPERIMENT, rows, pl.DataFrame(), Settings())


def test_edges_are_means_over_seeds_and_every_shape_has_two_panels():
    figure = certified(table())
    assert len(figure.panels) == 4
    row = figure.numbers.filter(dim=784, C0=10.0, epsilon=2.0).row(0, named=True)
    assert row["certified_accuracy"] == pytest.approx(1 - 0.11)
    assert row["attainable_accuracy"] == pytest.approx(0.7)
    assert (row["seeds"], row["best"]) == (2, "class +1 alone")
    titles = [panel.to_dict()["title"]["text"] for panel in figure.panels]
    assert titles[0] == "the bracket, d = 100, m = 1,000"
    assert titles[-1] == "proved for every network, d = 784, m = 1,000"


def test_the_caption_says_how_open_the_bracket_is_and_that_nothing_contradicts_it():
    caption = certified(table(seeds=1)).caption
    # at 50 %: proved 0.9 -> 0.4 between 0.2 and 0.4, found 0.7 -> 0.2 likewise: 2^(0.8 - 0.4) = 1.32
    assert "1.32 to 1.32 at 50%" in caption
    assert "No network contradicts a certificate" in caption
    assert "50 test images, 1 seed (means)" in caption
    broken = table(C0s=(1.0,), dims=(100,), seeds=1).with_columns(pl.Series("violations", [0, 0, 3, 0]))
    assert "3 networks contradict a certificate" in certified(broken).caption


def test_a_single_C0_has_no_map_and_cells_meet_half_way():
    assert len(certified(table(C0s=(10.0,), dims=(100,))).panels) == 1
    both = certified(table(dims=(100,)))
    cells = both.panels[1].to_dict()
    (data,) = cells["datasets"].values()
    ordered = sorted((cell for cell in data if cell["C0"] == 1), key=lambda cell: cell["bottom"])
    for lower, upper in zip(ordered, ordered[1:], strict=False):
        assert lower["top"] == pytest.approx(upper["bottom"])


def test_the_experiment_draws_it_and_says_where_nothing_was_measured(tmp_path):
    figure = EXPERIMENT.draw(table(), pl.DataFrame(), Settings())
    figure.save(tmp_path)
    assert (tmp_path / "ball-certified.png").stat().st_size > 10_000
    with pytest.raises(ValueError, match="nothing of ball-certified was measured"):
        EXPERIMENT.draw(table().clear(), pl.DataFrame(), Settings())
