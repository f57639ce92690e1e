"""What 0.1 let users call can be called in the same way now, but for differences that the changelog states."""

import json
from pathlib import Path

import pytest

from public_names import described

HERE = Path(__file__).parent
BEFORE = json.loads((HERE / "compat" / "public_0_1.json").read_text())

MOVED = """
Certificates moved from `gradflip.lazy` to `gradflip.certificates`, with the same names: `gradflip.lazy.certify`,
`.certify_jointly`, `.flip_budget`, `.opposite_groups`, `.verify`, `.Certificate`, `.FlipBudget`, `.JointCertificate`,
`.Verification` and `.JointVerification` of 0.1.
"""

CERTIFICATES = (
    "certify", "certify_jointly", "flip_budget", "opposite_groups", "verify", "Certificate", "FlipBudget",
    "JointCertificate", "Verification", "JointVerification",
)  # fmt: skip

CELL = "`Cell(measure, version, parameters, seed)` is now `Cell(Measure(name, version), parameters, seed)`"
FAMILY = "`Family.measure` and `Family.version` are gone, since a family has several measures"

FIGURES = (
    "`lazy_figure`, `histogram_figure` and `random_figure` of `gradflip.report` are gone: `experiment.draw` draws the "
    "figure of any experiment."
)
EXPERIMENTS = (
    "One `Experiment` stands for four classes of 0.1: `LazyExperiment`, `RandomExperiment`, `AdversarialExperiment` "
    "and `BallExperiment` are gone, and so are `LazyGrid` and `Ensemble`, which are `Group`."
)
RENAMED = (
    "`folder_settings` is now `plan_of`, `named` is now `select_experiments`, `WAYS` is now `VARIANTS`, of "
    "`gradflip.experiments`."
)

DIFFERENCES: dict[str, str] = {
    **{f"gradflip.lazy.{name}": MOVED for name in CERTIFICATES},
    "gradflip.lazy.Protocol": "`Protocol` of `gradflip.lazy` is now `Variant`, with the same fields",
    "gradflip.sweep.Cell": CELL,
    "gradflip.experiments.Family": FAMILY,
    "gradflip.experiments.Experiment": EXPERIMENTS,
    "gradflip.experiments.LazyExperiment": EXPERIMENTS,
    "gradflip.experiments.RandomExperiment": EXPERIMENTS,
    "gradflip.experiments.AdversarialExperiment": EXPERIMENTS,
    "gradflip.experiments.BallExperiment": EXPERIMENTS,
    "gradflip.experiments.LazyGrid": EXPERIMENTS,
    "gradflip.experiments.Ensemble": EXPERIMENTS,
    "gradflip.experiments.folder_settings": RENAMED,
    "gradflip.experiments.named": RENAMED,
    "gradflip.experiments.WAYS": RENAMED,
    "gradflip.report.draw": "`gradflip.report.draw` is now `experiment.draw(table, observations, settings)`",
    "gradflip.claims.Claim": "`Claim(kind, column, quantity, value, why, ...)` is now `Claim(statistic, expectation,",
    "gradflip.claims.Finding": "`Finding.found` is now `Finding.interval`",
    "gradflip.claims.judge": "`judge(found, value, tolerance)` is now `Equals(value, tolerance).verdict(interval)`",
    "gradflip.Flip": "The last field of `Flip`, a sentence `method`, is now `finder`, followed by `dtype`,",
    "gradflip.report.lazy_figure": FIGURES,
    "gradflip.report.histogram_figure": FIGURES,
    "gradflip.report.random_figure": FIGURES,
}
"""A name of 0.1 that is gone or is called in another way, and the words of CHANGELOG.md that say so.

The words must stand in CHANGELOG.md with the name in backticks, without its folder, and beside it the new one if there
is one. `gradflip.lazy.Protocol` stands for its members too.
"""


@pytest.fixture(scope="module")
def after():
    return described(second_names=True)


def compatible(before, after):
    """Whether every call that the first description allows means the same by the second."""
    if not isinstance(before, list) or not isinstance(after, list):
        return before == after
    known = {name_of(parameter) for parameter in before}
    new = [parameter for parameter in after if name_of(parameter) not in known]
    if [parameter for parameter in after if parameter not in new] != before:
        return False
    positional = [parameter for parameter in before if not parameter.startswith(("*", "..."))]
    behind = after[: len(positional)] == positional  # what is new does not shift what is given by position
    return behind and all("=" in parameter or parameter.startswith("...") for parameter in new)


def name_of(parameter):
    return parameter.lstrip("./*").partition("=")[0]


def different(after):
    return {name: said for name, said in BEFORE.items() if name not in after or not as_before(name, said, after)}


def as_before(name, said, after):
    if isinstance(said, str) and said.startswith("is "):  # compared by its first name, where that is still there
        return after[name] == after.get(said.removeprefix("is "), after[name])
    return compatible(said, after[name])


def listed(name):
    return [one for one in DIFFERENCES if name == one or name.startswith(f"{one}.")]


def test_every_public_name_of_0_1_is_called_as_before_or_its_difference_is_listed(after):
    unlisted = [
        f"{name} was {said}, is {after.get(name, 'gone')}"
        for name, said in different(after).items()
        if not listed(name)
    ]
    if unlisted:
        pytest.fail("not in DIFFERENCES:\n" + "\n".join(unlisted), pytrace=False)


def test_every_listed_difference_is_one(after):
    used = {one for name in different(after) for one in listed(name)}
    assert set(DIFFERENCES) == used


def test_every_listed_difference_is_in_the_changelog():
    changelog = " ".join((HERE.parent / "CHANGELOG.md").read_text().split())
    for name, words in DIFFERENCES.items():
        assert " ".join(words.split()) in changelog, name
        assert f"`{name.rpartition('.')[2]}" in words or f".{name.rpartition('.')[2]}" in words, name


def test_enough_is_described():
    folders = {"attacks", "claims", "data", "experiments", "gaussian", "lazy", "networks", "rays", "report", "sweep"}
    assert {name.split(".")[1] for name in BEFORE} >= folders | {"theory"}
    assert BEFORE["gradflip.flip"] == ["network", "x", "*finder=None", "*block=None"]
    assert BEFORE["gradflip.rays.flip"] == "is gradflip.flip"


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (["x", "*seed=0"], ["x", "*seed=0"], True),
        (["x", "*seed=0"], ["x", "*seed=0", "*steps=5"], True),
        (["x", "*seed=0"], ["x", "*steps=5", "*seed=0"], True),
        (["x", "y=1"], ["x", "y=1", "z=2"], True),
        (["x", "y=1"], ["x", "z=2", "y=1"], False),
        (["x", "*seed=0"], ["x", "*seed=1"], False),
        (["x", "*seed=0"], ["x", "seed=0"], False),
        (["x", "y"], ["y", "x"], False),
        (["x", "y"], ["x"], False),
        (["x"], ["x", "y"], False),
        (["x"], ["x", "*y"], False),
        (["x"], "attribute", False),
        ("attribute", "attribute", True),
        ("'plateau'", "'flat'", False),
    ],
)
def test_what_is_compatible(before, after, same):
    assert compatible(before, after) is same
