"""Contracts between modules that a new measure or family is under without being listed anywhere.

The contracts that name whole folders stand in `pyproject.toml`; `make layers` checks those.
"""

import re

import pytest

grimp = pytest.importorskip("grimp", reason="import-linter is not installed")

EXPERIMENTS = "gradflip.experiments"


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("gradflip", include_external_packages=True)


@pytest.fixture(scope="module")
def families(graph):
    return sorted(name for name in graph.find_children(EXPERIMENTS) if graph.find_children(name))


def test_every_folder_of_experiments_is_a_family(families):
    assert {f"{EXPERIMENTS}.{name}" for name in ("adversarial", "ball", "lazy", "random")} <= set(families)


def test_measures_do_not_draw(graph, families):
    measures = [name for family in families for name in graph.find_children(family) if name.endswith("_measure")]
    assert len(measures) >= 9
    for measure in measures:
        for drawing in ("altair", "vl_convert", "gradflip.drawing", "gradflip.report"):
            if drawing in graph.modules:
                assert graph.find_shortest_chain(measure, drawing, as_packages=True) is None


def test_families_do_not_know_each_other(graph, families):
    for one in families:
        for other in families:
            if one != other:
                assert graph.find_shortest_chain(one, other, as_packages=True) is None


def test_the_page_knows_no_family(graph, families):
    page = {"gradflip.report", *graph.find_descendants("gradflip.report")}
    known = {imported for module in page for imported in graph.find_modules_directly_imported_by(module)}
    assert not [name for name in known if any(re.match(rf"{family}(\.|$)", name) for family in families)]


def test_a_contract_that_is_broken_is_noticed(graph):
    assert graph.find_shortest_chain("gradflip.report", "altair", as_packages=True) is not None
