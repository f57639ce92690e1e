"""Axes and legends as Vega-Lite says them."""

import altair as alt
import polars as pl
import pytest

from gradflip.drawing import colored, faded, linear_x, linear_y, log_x, log_y, power_x, selection, share_y


@pytest.mark.parametrize("make", [linear_x, log_x, power_x, linear_y, log_y])
def test_an_axis_ends_where_its_domain_does(make):
    said = make("n", "a number", [0.7, 9.0]).to_dict()
    assert said["field"] == "n"
    assert said["type"] == "quantitative"
    assert said["title"] == "a number"
    assert said["scale"]["domain"] == [0.7, 9.0]
    assert said["scale"]["nice"] is False
    assert said["scale"].get("type") == (None if make in (linear_x, linear_y) else "log")


@pytest.mark.parametrize(
    ("make", "ticks"), [(log_x, [1, 2, 5, 10, 20]), (power_x, [1, 10]), (log_y, [1, 2, 5, 10, 20])]
)
def test_a_logarithmic_axis_has_its_own_ticks_unless_some_are_given(make, ticks):
    assert make("n", "", [0.7, 30.0]).to_dict()["axis"]["values"] == ticks
    assert make("n", "", [0.7, 30.0], [3, 7]).to_dict()["axis"]["values"] == [3, 7]


def test_only_a_clamped_axis_draws_what_lies_outside_at_its_end():
    assert "clamp" not in log_y("n", "", [1, 9]).to_dict()["scale"]
    assert log_y("n", "", [1, 9], clamp=True).to_dict()["scale"]["clamp"] is True


def test_shares_have_a_tick_at_every_quarter():
    assert share_y("robust", "").to_dict()["axis"]["values"] == [0, 0.25, 0.5, 0.75, 1]
    assert share_y("robust", "").to_dict()["scale"]["domain"] == [0, 1]


def test_colours_repeat_where_there_are_more_curves_and_a_legend_can_be_given():
    said = colored(["a", "b", "c"], "curve", colors=["red", "blue"]).to_dict()
    assert said["scale"] == {"domain": ["a", "b", "c"], "range": ["red", "blue", "red"]}
    assert said["sort"] == ["a", "b", "c"]
    assert said["legend"]["orient"] == "bottom"
    own = colored(["a"], "curve", legend=alt.Legend(orient="right")).to_dict()
    assert own["legend"] == {"orient": "right"}


def test_curves_that_are_not_chosen_fade():
    chosen = selection("step")
    chart = alt.Chart(pl.DataFrame({"x": [1]})).mark_point().encode(opacity=faded(chosen, 0.5, 0.05))
    said = chart.add_params(chosen).to_dict()
    (parameter,) = said["params"]
    assert (parameter["name"], parameter["select"]["fields"], parameter["bind"]) == ("chosen_step", ["curve"], "legend")
    opacity = said["encoding"]["opacity"]
    assert opacity["condition"] == [{"param": "chosen_step", "value": 0.5}]
    assert opacity["value"] == 0.05
