"""The family of lazy training: a cell is a trajectory, described by everything that determines its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradflip.data import DATA_SETS
from gradflip.experiments._family import Family, group_by
from gradflip.experiments._group import Group
from gradflip.experiments._settings import Settings
from gradflip.sweep import Cell, Measure

if TYPE_CHECKING:
    import polars as pl

LAZY_FLIP = Measure(
    "lazy-flip",
    version=2,
    reference="gradflip.experiments.lazy._flip_measure:measure",
    hashed_as="gradflip.experiments._lazy_flip:measure",
    renamed=(("deviation", "scaled_deviation"),),
)
"""Train in the ball, then flip every test image exactly."""


def trainings(
    sizes: Sequence[int],
    widths: Sequence[int],
    C0s: Sequence[int],
    *,
    seeds: int,
    max_epochs: int,
    min_steps: int = 0,
    normalize: bool,
    bias: bool,
) -> tuple[Group, ...]:
    """Make a group for each image size and width: every C0 is read off the same trajectory.

    Args:
        sizes: Images of size x size pixels; the input dimension is size^2.
        widths: Numbers of hidden units m.
        C0s: Constants of the balls.
        seeds: Number of initialisations.
        max_epochs: Largest number of epochs; on a small data set as many as make `min_steps` steps.
        min_steps: Number of SGD steps that training may take in any case.
        normalize: Whether inputs have norm 1.
        bias: Whether hidden biases are trained.

    Returns:
        Groups, widths varying fastest.
    """
    return tuple(
        Group(
            f"d = {size**2}, m = {width}",
            {
                "size": size, "width": width, "C0": tuple(C0s), "max_epochs": max_epochs, "min_steps": min_steps,
                "normalize": normalize, "bias": bias,
            },
            seeds=seeds,
        )
        for size in sizes
        for width in widths
    )  # fmt: skip


def lazy_cell(measure: Measure, group: Group, settings: Settings, seed: int) -> Cell:
    """Make the cell that trains one network and flips the test images at every C0 that it crosses.

    The published protocol differs in six points: an output bias, biases also in Figures 2, 3 and 7, images sampled
    without antialiasing, one order of the examples for all epochs, a check once per epoch, and the first network
    outside the ball is analysed (docs/mathematics/published-protocol.md, "Standard training").

    Args:
        measure: What computes it.
        group: As `trainings` makes it.
        settings: The user's choice.
        seed: The seed of weights and batches.

    Returns:
        A cell.
    """
    given = group.parameters
    size, width, bias = given["size"], given["width"], given["bias"]
    published = settings.protocol == "published"
    steps_per_epoch = -(-settings.data_set.train_count // 64)
    epochs = max(given["max_epochs"], -(-given["min_steps"] // steps_per_epoch))
    parameters: dict[str, Any] = {
        "data": settings.data,
        "classes": list(settings.classes),
        "size": size,
        "normalize": given["normalize"],
        "antialias": not published,
        "width": width,
        "bias": bias,
        "output_bias": published and bias,
        "C0s": list(given["C0"]),
        "lr": 0.1,
        "batch_size": 64,
        "max_epochs": epochs,
        "record_every": max(1, 50 // steps_per_epoch),
        "check": "epoch" if published else "step",
        "keep": "outside" if published else "inside",
        "shuffle": "once" if published else "every-epoch",
        "protocol": settings.protocol,
        "device": settings.device,
    }
    # a step costs two products of (64, d) and (d, m) plus about as much as 150 more inputs; C0 <= 10 leaves early
    share = min(1.0, 0.05 * max(given["C0"]) / 10 + 0.95 * (max(given["C0"]) > 20))
    cost = (settings.data_set.dim(size) + 150) * width * epochs * steps_per_epoch * share * 1e-9
    label = f"{group.label}, seed {seed}"
    return Cell(measure, parameters, seed, cost=cost, label=label)


def merged(cells: list[Cell]) -> list[Cell]:
    """Merge cells that share a trajectory into one with the C0s of all, so that nothing is computed twice.

    Args:
        cells: Of several experiments.

    Returns:
        Cells in the order of their first appearance.
    """
    return [_union(group) for group in group_by(cells, but=("C0s", "max_epochs"))]


def _union(group: list[Cell]) -> Cell:
    longest = max(group, key=lambda cell: cell.cost)
    constants = sorted({C0 for cell in group for C0 in cell.parameters["C0s"]})
    epochs = max(cell.parameters["max_epochs"] for cell in group)
    parameters = dict(longest.parameters) | {"C0s": constants, "max_epochs": epochs}
    return Cell(longest.measure, parameters, longest.seed, cost=longest.cost, label=longest.label)


def _C0s(cell: Cell) -> str:
    return ", ".join(map(str, cell.parameters["C0s"]))


def _rows_of(group: Group, _: Settings) -> pl.Expr:
    import polars as pl

    given = group.parameters
    fixed = [pl.col(name) == given[name] for name in ("size", "width", "normalize", "bias")]
    return pl.all_horizontal(fixed) & pl.col("C0").is_in([float(C0) for C0 in given["C0"]])


def _described(groups: Sequence[Group], _: Mapping[str, str]) -> dict[str, str]:
    titles = {"size": "image sizes", "width": "widths m"}
    first = groups[0]
    return {
        **{title: _listed([group.parameters[name] for group in groups]) for name, title in titles.items()},
        "C0": _listed(first.parameters["C0"]),
        "seeds": str(first.seeds),
        "epochs at most": str(first.parameters["max_epochs"]),
    }


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, dict.fromkeys(values)))


LAZY = Family(
    name="lazy",
    networks="lazily trained networks",
    subject="a lazily trained network",
    nothing="no network of {name} has a flip to draw; see the table for what happened.",
    settings=tuple(Settings.model_fields),
    columns={
        "d": lambda cell: DATA_SETS[cell.parameters["data"]].dim(cell.parameters["size"]),
        "m": lambda cell: cell.parameters["width"],
        "C0": _C0s,
        "seed": lambda cell: cell.seed,
        "epochs at most": lambda cell: cell.parameters["max_epochs"],
    },
    describe=_described,
    chapter="gradflip.experiments.lazy._chapter:CHAPTER",
    cell=lazy_cell,
    merge=merged,
    rows_of=_rows_of,
    choices={"width": "width m", "C0": "C0"},
)
"""Networks trained inside a ball around their initialisation (Wang et al. 2022)."""
