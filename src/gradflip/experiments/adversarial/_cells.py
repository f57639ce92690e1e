"""The cells of adversarial training: runs of one network at several budgets or radii, trained together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from gradflip.data import DATA_SETS
from gradflip.experiments._family import Family, group_by
from gradflip.experiments._group import MAIN, Group
from gradflip.experiments._settings import Settings
from gradflip.sweep import Cell, Measure

if TYPE_CHECKING:
    import polars as pl

ADVERSARIAL_ATTACKS = Measure(
    "adversarial-attacks",
    version=1,
    reference="gradflip.experiments.adversarial._attacks_measure:measure",
    hashed_as="gradflip.experiments._adversarial_attacks:measure",
    renamed=(("deviation", "scaled_deviation"),),
)
"""Train adversarially within the ball, then attack the test images in three ways."""

Run = tuple[float | None, float]
"""The epsilon that is trained against, or None for standard training, and C0."""


@dataclass(frozen=True)
class Variant:
    """A protocol of training and attack: the points in which the paper's text and its published scripts differ.

    Source: docs/mathematics/published-protocol.md, "Adversarial protocols".

    Attributes:
        clip: Whether perturbed images stay in the pixel box [0, 1].
        projection: Onto the ball after every `"step"` or once an `"epoch"`.
        stop: By the `"best"` robust training accuracy so far or by the `"previous"` one.
        scripts: Whether all else follows the scripts: biases, no antialiasing, stale examples, plain SGD at rate 0.01.
    """

    clip: bool = False
    projection: str = "step"
    stop: str = "best"
    scripts: bool = False


_TEXT = Variant()
_SCRIPTS = Variant(clip=True, projection="epoch", stop="previous", scripts=True)
VARIANTS: dict[str, Variant] = {
    "text": _TEXT,
    "text + clip": replace(_TEXT, clip=True),
    "text + stop rule": replace(_TEXT, stop="previous"),
    "text + projection": replace(_TEXT, projection="epoch"),
    "published": _SCRIPTS,
    "published − clip": replace(_SCRIPTS, clip=False),
    "published − stop rule": replace(_SCRIPTS, stop="best"),
    "published − projection": replace(_SCRIPTS, projection="step"),
}
"""The two protocols, and each of them with one of three effects taken from the other."""


@dataclass(frozen=True)
class Workload:
    """The size of an experiment on adversarial training.

    Attributes:
        seeds: Number of initialisations.
        images: Training images, the first of the file.
        test_images: Test images, the first of the file.
        max_epochs: Largest number of epochs; on a small data set as many as make `min_steps` steps.
        min_steps: Number of SGD steps that training may take in any case.
        script_epochs: Epochs of the published scripts' plain SGD.
        script_steps: Steps of their attack.
    """

    seeds: int
    images: int
    test_images: int
    max_epochs: int
    min_steps: int
    script_epochs: int = 60
    script_steps: int = 20


def trainings(
    size: int,
    width: int,
    runs: Sequence[Run],
    workload: Workload,
    *,
    budgets: Sequence[float] | None = None,
    variants: Sequence[str | None] = (None,),
    part: str = MAIN,
) -> tuple[Group, ...]:
    """Make a group for each variant: networks of one shape, each trained at several (epsilon, C0).

    Args:
        size: Images of size x size pixels.
        width: Hidden units m.
        runs: What is trained.
        workload: The size of the experiment.
        budgets: The budgets at which all networks are attacked; each at its own if not given.
        variants: Names of `VARIANTS`; `None` for the protocol that the user chooses.
        part: The part of the experiment.

    Returns:
        Groups.
    """
    shape = {"size": size, "width": width, "runs": tuple(runs), "budgets": None if budgets is None else tuple(budgets)}
    return tuple(
        Group(
            f"d = {size**2}, m = {width}",
            {**shape, "variant": variant, **asdict(workload)},
            seeds=workload.seeds,
            part=part,
        )
        for variant in variants
    )


def adversarial_cell(measure: Measure, group: Group, settings: Settings, seed: int) -> Cell:
    """Make the cell that trains one network at several (epsilon, C0), and attacks each of the results.

    Args:
        measure: What computes it.
        group: As `trainings` makes it.
        settings: The user's choice.
        seed: The seed of weights, batches and the attack's random starts.

    Returns:
        A cell.
    """
    given = group.parameters
    variant = given["variant"] or settings.protocol
    size, width, budgets = given["size"], given["width"], given["budgets"]
    workload = Workload(**{name: given[name] for name in Workload.__dataclass_fields__})
    chosen = VARIANTS[variant]
    images = min(workload.images, settings.data_set.train_count)
    steps_per_epoch = -(-images // 32)
    epochs = (
        workload.script_epochs
        if chosen.scripts
        else max(workload.max_epochs, -(-workload.min_steps // steps_per_epoch))
    )
    parameters: dict[str, Any] = {
        "data": settings.data,
        "classes": list(settings.classes),
        "size": size,
        "antialias": not chosen.scripts,
        "width": width,
        "bias": chosen.scripts,
        "output_bias": chosen.scripts,
        "images": workload.images,
        "test_images": workload.test_images,
        "protocol": variant,
        "clip": chosen.clip,
        "attack": "epoch" if chosen.scripts else "batch",
        "projection": chosen.projection,
        "stop": chosen.stop,
        "lr": 0.01 if chosen.scripts else 0.1,
        "momentum": 0.0 if chosen.scripts else 0.9,
        "schedule": "constant" if chosen.scripts else "cosine",
        "attack_steps": workload.script_steps if chosen.scripts else 10,
        "batch_size": 32,
        "max_epochs": epochs,
        "runs": [list(run) for run in given["runs"]],
        "budgets": None if budgets is None else list(budgets),
        "device": settings.device,
    }
    return Cell(measure, parameters, seed, cost=_cost(parameters), label=_label(parameters, seed))


def merged(cells: list[Cell]) -> list[Cell]:
    """Merge cells that differ only in their runs into one with all of the runs, so that nothing is computed twice.

    Args:
        cells: Of several experiments.

    Returns:
        Cells in the order of their first appearance.
    """
    return [_union(group) for group in group_by(cells, but=("runs",))]


def _union(group: list[Cell]) -> Cell:
    first = group[0]
    every = {tuple(run) for cell in group for run in cell.parameters["runs"]}
    runs = sorted(every, key=lambda run: (run[0] or 0.0, run[1]))
    parameters = dict(first.parameters) | {"runs": [list(run) for run in runs]}
    return Cell(
        first.measure,
        parameters,
        first.seed,
        cost=_cost(parameters),
        label=_label(parameters, first.seed),
    )


def _cost(parameters: Mapping[str, Any]) -> float:
    """Rough cost in seconds on one core: the products of training, and of PGD on the test images."""
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


def _rows_of(group: Group, settings: Settings) -> pl.Expr:
    import polars as pl

    given = group.parameters
    own = [pl.col(name) == given[name] for name in ("size", "width")]
    own.append(pl.col("train_images") == given["images"])
    own.append(pl.col("budgets") == ("own" if given["budgets"] is None else "many"))
    own.append(pl.col("protocol") == (given["variant"] or settings.protocol))
    trained = [
        (pl.col("trained_epsilon").is_null() if epsilon is None else pl.col("trained_epsilon") == epsilon)
        & ((pl.col("C0") / C0 - 1).abs() < 1e-9)
        for epsilon, C0 in given["runs"]
    ]
    return pl.all_horizontal(own) & pl.any_horizontal(trained)


def _described(groups: Sequence[Group], _: Mapping[str, str]) -> dict[str, str]:
    runs = [run for group in groups for run in group.parameters["runs"]]
    budgets = [
        epsilon
        for group in groups
        for epsilon in group.parameters["budgets"] or [epsilon for epsilon, _ in group.parameters["runs"]]
        if epsilon is not None
    ]
    return {
        "image sizes": _listed([group.parameters["size"] for group in groups]),
        "widths m": _listed([group.parameters["width"] for group in groups]),
        "epsilon": _range(budgets),
        "C0": _range([C0 for _, C0 in runs]),
        "trainings": str(len(runs)),
        "seeds": str(groups[0].seeds),
        "training images at most": str(groups[0].parameters["images"]),
    }


def _listed(values: Sequence[int]) -> str:
    return ", ".join(map(str, sorted(set(values))))


def _range(values: Sequence[float]) -> str:
    ends = sorted(set(values))
    return f"{ends[0]:g}" if len(ends) == 1 else f"{ends[0]:g} to {ends[-1]:g}"


ADVERSARIAL = Family(
    name="adversarial",
    networks="adversarially trained networks",
    subject="a network trained adversarially within its ball",
    nothing="no network of {name} was trained; see the cells that failed for what happened.",
    settings=tuple(Settings.model_fields),
    columns={
        "protocol": lambda cell: cell.parameters["protocol"],
        "d": lambda cell: DATA_SETS[cell.parameters["data"]].dim(cell.parameters["size"]),
        "m": lambda cell: cell.parameters["width"],
        "trainings": lambda cell: len(cell.parameters["runs"]),
        "seed": lambda cell: cell.seed,
        "epochs at most": lambda cell: cell.parameters["max_epochs"],
    },
    describe=_described,
    chapter="gradflip.experiments.adversarial._chapter:CHAPTER",
    cell=adversarial_cell,
    merge=merged,
    rows_of=_rows_of,
)
"""Networks trained inside a ball against perturbed inputs (Wang et al. 2022, Algorithm 1)."""
