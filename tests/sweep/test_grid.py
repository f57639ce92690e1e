import json
import pickle
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradflip._errors import UsageError
from gradflip.sweep import Cell, Measure, grid

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text
values = st.recursive(scalars, lambda v: st.lists(v, max_size=3) | st.dictionaries(text, v, max_size=3), max_leaves=8)
parameter_sets = st.dictionaries(text, values, max_size=4)


def cell(parameters=None, *, version=1, seed=0, **rest):
    return Cell(Measure("package.module:function", version), parameters or {}, seed, **rest)


@given(parameter_sets, st.integers(0, 2**63 - 1), st.floats(1e-3, 1e3), text)
def test_a_cell_survives_json_and_pickle(parameters, seed, cost, label):
    before = cell(parameters, seed=seed, cost=cost, label=label)
    for after in [Cell.from_json(json.loads(json.dumps(before.to_json()))), pickle.loads(pickle.dumps(before))]:
        assert after == before and after.hash == before.hash
        assert after.to_json() == before.to_json()


@given(parameter_sets)
def test_the_hash_does_not_depend_on_the_order_of_parameters(parameters):
    assert cell(parameters).hash == cell(dict(reversed(parameters.items()))).hash


def test_the_hash_is_pinned():
    # It names files on disk: if it changes, every run folder there is starts anew.
    assert cell({"dim": 3, "name": "é"}, seed=7).hash == "1e116385c24e397d"


def test_cost_and_label_are_not_part_of_the_identity():
    assert cell({"a": 1}, cost=5.0, label="five").hash == cell({"a": 1}).hash
    assert cell({"a": 1}, cost=5.0) == cell({"a": 1})


@pytest.mark.parametrize(
    "other",
    [
        Cell(Measure("package.module:other"), {"a": 1}, 0),
        cell({"a": 1}, version=2),
        cell({"a": 2}),
        cell({"a": 1.0}),
        cell({"a": True}),
        cell({"b": 1}),
        cell({"a": 1}, seed=1),
    ],
)
def test_another_measure_version_parameter_or_seed_is_another_cell(other):
    assert other.hash != cell({"a": 1}).hash and other != cell({"a": 1})


def test_parameters_are_a_frozen_copy():
    given_parameters = {"a": [1, {"b": 2}]}
    kept = cell(given_parameters)
    before = kept.to_json()
    given_parameters["a"].append(3)
    assert kept.to_json() == before
    with pytest.raises(TypeError):
        kept.parameters["a"] = 0
    with pytest.raises(TypeError):
        kept.parameters["a"][1]["b"] = 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cell({"a": float("nan")}), r"parameters\.a must be finite, got nan"),
        (lambda: cell({"a": [0, {"b": float("inf")}]}), r"parameters\.a\[1\]\.b must be finite, got inf"),
        (lambda: cell({"a": {1: 2}}), r"keys of parameters\.a must be strings, got 1"),
        (lambda: cell({"a": {1, 2}}), r"parameters\.a must be None, a bool, an int, a float or a str, got set"),
        (lambda: cell({"a": "\ud800"}), "UTF-8"),
        (lambda: cell({}, seed=-1), "seed must be an integer in"),
        (lambda: cell({}, seed=2**63), "seed must be an integer in"),
        (lambda: cell({}, version=True), "version must be an integer in"),
        (lambda: cell({}, cost=0), "cost must be positive and finite, got 0"),
        (lambda: cell({}, cost=float("nan")), "cost must be positive"),
        (lambda: Measure("module.function"), "measure must read 'package.module:function'"),
        (lambda: Cell(Measure("m:f"), [1], 0), "parameters must be a mapping, got list"),
        (lambda: Cell.from_json({"measure": "m:f"}), "not a cell"),
        (lambda: grid(dim="abc"), "dim must be a list of values, got the string 'abc'"),
    ],
)
def test_a_bad_cell_is_refused_by_name(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_grid_is_the_product_in_the_order_given():
    assert grid(b=(1, 2), a=[3, 4]) == [{"b": 1, "a": 3}, {"b": 1, "a": 4}, {"b": 2, "a": 3}, {"b": 2, "a": 4}]
    assert grid() == [{}]
    assert grid(a=range(0)) == []


def test_importing_the_sweep_imports_neither_torch_nor_polars_nor_tomlkit():
    code = "import sys, gradflip.sweep; print({'torch', 'polars', 'tomlkit', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"
