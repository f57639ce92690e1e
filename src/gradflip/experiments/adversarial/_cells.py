"""The cells of adversarial training: runs of one network at several budgets or radii, trained together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gradflip.data import DATA_SETS
from gradflip.experiments._family import Family, alike
from gradflip.experiments._settings import Settings
from gradflip.sweep import Cell, Measure

ADVERSARIAL_ATTACKS = Measure(
    "adversarial-attacks",
    version=1,
    reference="gradflip.experiments.adversarial._attacks_measure:measure",
    hashed_as="gradflip.experiments._adversarial_attacks:measure",
    renamed=(("deviation", "scaled_deviation"),),
)
"""Train adversarially within the ball, then attack the test images in three ways."""

Run = tuple[float | None, float]
"""(epsilon that is trained against, or None for standard training; C0)."""


@dataclass(frozen=True)
class Way:
    """How networks are trained and attacked: what the paper's text and its published scripts do differently.

    Source: docs/mathematics/published-protocol.md, "Adversarial protocols".

    Attributes:
        clip: Whether perturbed images stay in the pixel box [0, 1].
        projection: Onto the ball after every `"step"` or once an `"epoch"`.
        stop: By the `"best"` robust training accuracy so far or by the `"previous"` one.
        scripts: Whether all else is as in the scripts: biases, no antialiasing, stale examples, plain SGD of rate 0.01.
    """

    clip: bool = False
    projection: str = "step"
    stop: str = "best"
    scripts: bool = False


_TEXT = Way()
_SCRIPTS = Way(clip=True, projection="epoch", stop="previous", scripts=True)
WAYS: dict[str, Way] = {
    "text": _TEXT,
    "text + clip": replace(_TEXT, clip=True),
    "text + stop rule": replace(_TEXT, stop="previous"),
    "text + projection": replace(_TEXT, projection="epoch"),
    "published": _SCRIPTS,
    "published − clip": replace(_SCRIPTS, clip=False),
    "published − stop rule": replace(_SCRIPTS, stop="best"),
    "published − projection": replace(_SCRIPTS, projection="step"),
}
"""The two protocols, and each of them with one of the three effects taken from the other."""


@dataclass(frozen=True)
class Effort:
    """How much an experiment on adversarial training computes.

    Attributes:
        seeds: How many initialisations.
        images: Training images, the first of the file.
        test_images: Test images, the first of the file.
        max_epochs: Passes over the data at most. A small data set passes as often as gives `min_steps`.
        min_steps: Steps of SGD that training may take at least, however few make an epoch.
        script_epochs: Passes of the published scripts' plain SGD.
        script_steps: Steps of their attack.
    """

    seeds: int
    images: int
    test_images: int
    max_epochs: int
    min_steps: int
    script_epochs: int = 60
    script_steps: int = 20


def adversarial_cell(
    settings: Settings,
    effort: Effort,
    way: str,
    size: int,
    width: int,
    seed: int,
    runs: Sequence[Run],
    budgets: Sequence[float] | None = None,
) -> Cell:
    """The cell that trains one network at several (epsilon, C0), and attacks what came of each.

    Args:
        settings: The user's choice.
        effort: How much.
        way: A name of `WAYS`.
        size: Image size.
        width: Hidden units.
        seed: Of the weights, the batches and the attack's random starts.
        runs: What is trained.
        budgets: At which all are attacked; each at the one it was trained against if not given.

    Returns:
        A cell.
    """
    chosen = WAYS[way]
    images = min(effort.images, settings.data_set.train_count)
    steps_an_epoch = -(-images // 32)
    epochs = effort.script_epochs if chosen.scripts else max(effort.max_epochs, -(-effort.min_steps // steps_an_epoch))
    parameters: dict[str, Any] = {
        "data": settings.data,
        "classes": list(settings.classes),
        "size": size,
        "antialias": not chosen.scripts,
        "width": width,
        "bias": chosen.scripts,
        "output_bias": chosen.scripts,
        "images": effort.images,
        "test_images": effort.test_images,
        "protocol": way,
        "clip": chosen.clip,
        "attack": "epoch" if chosen.scripts else "batch",
        "projection": chosen.projection,
        "stop": chosen.stop,
        "lr": 0.01 if chosen.scripts else 0.1,
        "momentum": 0.0 if chosen.scripts else 0.9,
        "schedule": "constant" if chosen.scripts else "cosine",
        "attack_steps": effort.script_steps if chosen.scripts else 10,
        "batch_size": 32,
        "max_epochs": epochs,
        "runs": [list(run) for run in runs],
        "budgets": None if budgets is None else list(budgets),
        "device": settings.device,
    }
    return Cell(ADVERSARIAL_ATTACKS, parameters, seed, cost=_cost(parameters), label=_label(parameters, seed))


def merged(cells: list[Cell]) -> list[Cell]:
    """Cells that differ only in what they train as one that trains it all: nothing is computed twice.

    Args:
        cells: Of several experiments.

    Returns:
        Cells in the order of their first appearance.
    """
    return [_union(group) for group in alike(cells, but=("runs",))]


def _union(group: list[Cell]) -> Cell:
    first = group[0]
    found = {tuple(run) for cell in group for run in cell.parameters["runs"]}
    runs = sorted(found, key=lambda run: (run[0] or 0.0, run[1]))
    parameters = dict(first.parameters) | {"runs": [list(run) for run in runs]}
    return Cell(
        first.measure,
        parameters,
        first.seed,
        cost=_cost(parameters),
        label=_label(parameters, first.seed),
    )


def _cost(parameters: Mapping[str, Any]) -> float:
    """Roughly the seconds on one core: the products of training, and of PGD on the test images."""
    data_set = DATA_SETS[parameters["data"]]
    product = 2 * (data_set.dim(parameters["size"]) + 20) * parameters["width"]
    images = min(parameters["images"], data_set.train_count)
    test_images = min(parameters["test_images"], data_set.test_count)
    trained = images * parameters["max_epochs"] * (2 * parameters["attack_steps"] + 3)
    attacked = test_images * 500 * len(parameters["budgets"] or [None])
    return float(len(parameters["runs"]) * product * (trained + attacked) / 6e10)


def _label(parameters: Mapping[str, Any], seed: int) -> str:
    dim = DATA_SETS[parameters["data"]].dim(parameters["size"])
    width, protocol = parameters["width"], parameters["protocol"]
    return f"adversarial, {protocol}, d = {dim}, m = {width}, {len(parameters['runs'])} trainings, seed {seed}"


ADVERSARIAL = Family(
    name="adversarial",
    settings=tuple(Settings.model_fields),
    merge=merged,
    columns={
        "protocol": lambda cell: cell.parameters["protocol"],
        "d": lambda cell: DATA_SETS[cell.parameters["data"]].dim(cell.parameters["size"]),
        "m": lambda cell: cell.parameters["width"],
        "trainings": lambda cell: len(cell.parameters["runs"]),
        "seed": lambda cell: cell.seed,
        "epochs at most": lambda cell: cell.parameters["max_epochs"],
    },
)
"""Networks trained inside a ball against perturbed inputs (Wang et al. 2022, Algorithm 1)."""
