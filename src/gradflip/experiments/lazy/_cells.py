"""The cells of lazy training: one trajectory each, described by everything that its numbers depend on."""

from __future__ import annotations

from typing import Any

from gradflip.data import DATA_SETS
from gradflip.experiments._family import Family, alike
from gradflip.experiments._settings import LazyGrid, Settings
from gradflip.sweep import Cell, Measure

LAZY_FLIP = Measure(
    "lazy-flip",
    version=2,
    reference="gradflip.experiments.lazy._flip_measure:measure",
    hashed_as="gradflip.experiments._lazy_flip:measure",
    renamed=(("deviation", "scaled_deviation"),),
)
"""Train in the ball, then flip every test image exactly."""


def lazy_cell(
    settings: Settings, grid: LazyGrid, size: int, width: int, seed: int, *, normalize: bool, bias: bool
) -> Cell:
    """The cell that trains one network and flips the test images at every C0 that it crosses.

    The published protocol differs in six points (docs/mathematics/published-protocol.md, "Standard training"): an
    output bias, biases also in Figures 2, 3 and 7, images
    sampled without antialiasing, one order of the examples for all epochs, a check once an epoch, and the first
    network outside kept.

    Args:
        settings: The user's choice.
        grid: Gives the C0s and the length of training.
        size: Image size.
        width: Hidden units.
        seed: Of the weights and batches.
        normalize: Whether inputs have norm 1.
        bias: Whether hidden biases are trained.

    Returns:
        A cell.
    """
    published = settings.protocol == "published"
    steps_an_epoch = -(-settings.data_set.train_count // 64)
    epochs = max(grid.max_epochs, -(-grid.min_steps // steps_an_epoch))
    parameters: dict[str, Any] = {
        "data": settings.data,
        "classes": list(settings.classes),
        "size": size,
        "normalize": normalize,
        "antialias": not published,
        "width": width,
        "bias": bias,
        "output_bias": published and bias,
        "C0s": list(grid.C0s),
        "lr": 0.1,
        "batch_size": 64,
        "max_epochs": epochs,
        "record_every": max(1, 50 // steps_an_epoch),
        "check": "epoch" if published else "step",
        "keep": "outside" if published else "inside",
        "shuffle": "once" if published else "every-epoch",
        "protocol": settings.protocol,
        "device": settings.device,
    }
    # a step costs two products of (64, d) and (d, m), and about as much again as 150 more inputs; C0 <= 10 leaves early
    share = min(1.0, 0.05 * max(grid.C0s) / 10 + 0.95 * (max(grid.C0s) > 20))
    dim = settings.data_set.dim(size)
    cost = (dim + 150) * width * epochs * steps_an_epoch * share * 1e-9
    label = f"d = {dim}, m = {width}, seed {seed}"
    return Cell(LAZY_FLIP, parameters, seed, cost=cost, label=label)


def merged(cells: list[Cell]) -> list[Cell]:
    """Cells that share a trajectory as one that serves the C0s of all: nothing is computed twice.

    Args:
        cells: Of several experiments.

    Returns:
        Cells in the order of their first appearance.
    """
    return [_union(group) for group in alike(cells, but=("C0s", "max_epochs"))]


def _union(group: list[Cell]) -> Cell:
    longest = max(group, key=lambda cell: cell.cost)
    constants = sorted({C0 for cell in group for C0 in cell.parameters["C0s"]})
    epochs = max(cell.parameters["max_epochs"] for cell in group)
    parameters = dict(longest.parameters) | {"C0s": constants, "max_epochs": epochs}
    return Cell(longest.measure, parameters, longest.seed, cost=longest.cost, label=longest.label)


def _C0s(cell: Cell) -> str:
    return ", ".join(map(str, cell.parameters["C0s"]))


LAZY = Family(
    name="lazy",
    settings=tuple(Settings.model_fields),
    merge=merged,
    columns={
        "d": lambda cell: DATA_SETS[cell.parameters["data"]].dim(cell.parameters["size"]),
        "m": lambda cell: cell.parameters["width"],
        "C0": _C0s,
        "seed": lambda cell: cell.seed,
        "epochs at most": lambda cell: cell.parameters["max_epochs"],
    },
)
"""Networks trained inside a ball around their initialisation (Wang et al. 2022)."""
