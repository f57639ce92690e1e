"""The measure of wang2022-fig1: iterates of training inside and outside the ball, and their multiples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gradflip._seeds import derived_seed
from gradflip.data import Split, load_data
from gradflip.experiments.ball._claims import IN_BALL, IN_CONE, OUTSIDE
from gradflip.lazy import LazyBall, WeightPlane, train
from gradflip.networks import TwoLayer
from gradflip.rays import Flip, FlipStatus, flip
from gradflip.sweep import Measured


def measure(parameters: dict[str, Any], seed: int, progress: Callable[[float], None]) -> Measured:
    """Train beyond the ball and scale the iterates: a row per iterate and scale, the picture as observations.

    Columns of a row: `dim width C0`; `line`, where the iterate W is; `steps` of SGD behind it, `scale` c; of c W the
    `scaled_deviation`, sqrt(m) max_j |c w_j - w_(j,0)|, and `in_ball`; `cone_deviation`, the least of that over all
    scales, and `in_cone`; `test_error`; means over the test images that W flips: `gradient_norm step perturbation
    relative`; and by how much c step, perturbation and relative of c W differ from those of W at any image, relative to
    them: `step_off perturbation_off relative_off`. Observations: points of the plane through the origin, W_0 and the
    last iterate, in multiples of W_0 (`along`) and in displacements sqrt(m) max_j |.| (`across`): `what` is `"ball"`,
    the boundary of the ball's section in order, or `"iterate"`, with `steps`, `in_ball`, `in_cone` of it and the share
    of W - W_0 that lies `outside` of the plane.

    Args:
        parameters: `data classes size width C0 scales`, and `stops`, the numbers of steps of the iterates.
        seed: The seed of weights and batches.
        progress: Called with the fraction done.

    Returns:
        Rows and observations.
    """
    split = load_data(parameters["data"], tuple(parameters["classes"]), parameters["size"], normalize=True)
    network0 = TwoLayer.random(split.dim, parameters["width"], seed=seed, dtype=torch.float64)
    ball = LazyBall(network0, parameters["C0"])
    iterates = _trained(network0, split, parameters["stops"], seed, lambda share: progress(0.7 * share))
    rows: list[dict[str, Any]] = []
    for i, (steps, network) in enumerate(iterates):
        rows += _scaled(parameters, ball, split, steps, network)
        progress(0.7 + 0.2 * (i + 1) / len(iterates))
    picture = _picture(ball, iterates)
    progress(1.0)
    return Measured(rows, picture)


def _trained(
    network0: TwoLayer, split: Split, stops: list[int], seed: int, progress: Callable[[float], None]
) -> list[tuple[int, TwoLayer]]:
    """Iterates of SGD without a ball, at the first ends of epochs at or after these numbers of steps."""
    x, y = split.x_train.to(torch.float64), split.y_train.to(torch.float64)
    an_epoch = -(-len(x) // 64)
    epochs = sorted({-(-stop // an_epoch) for stop in stops})
    iterates, network, done = [(0, network0)], network0, 0
    for count in epochs:
        fit = train(
            network, x, y, max_epochs=count - done, record_every=count - done,
            seed=derived_seed(seed, f"ball, batches after epoch {done}") % 2**31,
        )  # fmt: skip
        network, done = fit.network, count
        iterates.append((done * an_epoch, network))
        progress(done / epochs[-1])
    return iterates


def _scaled(
    parameters: dict[str, Any], ball: LazyBall, split: Split, steps: int, network: TwoLayer
) -> list[dict[str, Any]]:
    """Rows of an iterate and its multiples: where they are, and what flips them."""
    x, y, root = split.x_test.to(torch.float64), split.y_test.to(torch.float64), math.sqrt(network.width)
    cone = ball.cone_distance(network)
    own = flip(network, x)
    counted = own.status == FlipStatus.FLIPPED
    in_cone = cone.distance <= ball.radius
    line = IN_BALL if ball.contains(network) else IN_CONE if in_cone else OUTSIDE
    rows = []
    for scale in parameters["scales"]:
        multiple = TwoLayer(scale * network.W, network.a)
        flips = flip(multiple, x)
        rows.append({
            "line": line,
            "dim": network.dim,
            "width": network.width,
            "C0": ball.C0,
            "steps": steps,
            "scale": float(scale),
            "scaled_deviation": root * ball.deviation(multiple),
            "in_ball": ball.contains(multiple),
            "cone_deviation": root * cone.distance,
            "in_cone": in_cone,
            "test_error": float((y * flips.value <= 0).to(torch.float64).mean()),
            **_means(flips, counted),
            **_differences(own, flips, counted, scale),
        })
    return rows


def _means(flips: Flip, counted: Tensor) -> dict[str, float | None]:
    """Means over the counted images, null if there is none."""
    names = ("gradient_norm", "step", "perturbation", "relative")
    values = {name: getattr(flips, name)[counted] for name in names}
    return {name: float(value.mean()) if len(value) and bool(value.isfinite().all()) else None
            for name, value in values.items()}  # fmt: skip


def _differences(own: Flip, flips: Flip, counted: Tensor, scale: float) -> dict[str, float | None]:
    """The largest relative differences between quantities that homogeneity makes equal."""
    same = {"step": scale, "perturbation": 1.0, "relative": 1.0}
    off = {}
    for name, factor in same.items():
        before, after = getattr(own, name)[counted], factor * getattr(flips, name)[counted]
        largest = float(((after - before).abs() / before).max()) if len(before) else math.nan
        off[f"{name}_off"] = largest if math.isfinite(largest) else None
    return off


def _picture(ball: LazyBall, iterates: list[tuple[int, TwoLayer]]) -> dict[str, list[Any]]:
    """The boundary of the ball's section and the iterates, in the plane."""
    plane = WeightPlane(ball, iterates[-1][1])
    columns: dict[str, list[Any]] = {
        name: [] for name in ("what", "place", "along", "across", "steps", "in_ball", "in_cone", "outside")
    }
    for i, (along, across) in enumerate(plane.boundary()):
        entry = {"what": "ball", "place": i, "along": along, "across": across}
        for name, column in columns.items():
            column.append(entry.get(name))
    for i, (steps, network) in enumerate(iterates):
        along, across, outside = plane.place(network)
        inside = ball.cone_distance(network).distance <= ball.radius
        entry = {
            "what": "iterate", "place": i, "along": along, "across": across, "steps": steps,
            "in_ball": ball.contains(network), "in_cone": inside, "outside": outside,
        }  # fmt: skip
        for name, column in columns.items():
            column.append(entry[name])
    return columns
