"""The measure of ball-lemmas: the steps of the proof of Theorem 3.1, for every network in the ball."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from gradflip._seeds import generator
from gradflip.data import Split, load_data
from gradflip.experiments.ball._claims import CHOSEN, FIXED, GRADIENT, INDEPENDENT
from gradflip.lazy import (
    Fit,
    LazyBall,
    crowding_perturbation,
    largest_gradient_change,
    sign_change_bound,
    smallest_gradient,
    switchable_neurons,
    train_through,
)
from gradflip.networks import TwoLayer
from gradflip.sweep import Measured

Row = dict[str, Any]
_NUMBERS = 2**24  # normal numbers in memory at once


def measure(parameters: dict[str, Any], seed: int, progress: Callable[[float], None]) -> Measured:
    """Measure one initialisation, or many new ones: a row per quantity and line of the figure on which it lies.

    Columns of a row: `part`, what was measured; `line`, what is fixed along it, and `over`, the column that
    varies. By part:

    `"start"` (W_0, over `dim` or `width`): `value0`, the root mean square of f(x; W_0) over inputs x uniform on the
    sphere, `gradient0`, the mean of |grad f|, `difference0`, that of the largest |grad f(x + delta) - grad f(x)| found
    over |delta| <= `reach` = constant / sqrt d.
    `"ball"` (a row per C0): `rise`, the mean of sup over the ball of |f| less |f(x; W_0)|, exact, and `rise_share`, its
    largest by C0, at most 1; `supremum`, the largest |f| at any of the inputs; `minimum`, the mean of the smallest
    |grad f| that was attained in the ball, `minimum_low`, of what no network of it goes below, `drop`, gradient0 -
    minimum, null where the gradient may vanish at an input: the ball cannot take more than there is.
    `"trained"` (a row per C0, at test images): `gradient`, `gradient_start` (the same images at W_0), `difference`;
    `test_error`, `scaled_deviation` (sqrt(m) max_j |w_j - w_(j,0)|), `steps`, `stopped_because`.
    `"fixed"` and `"moved"` (Lemma 4.3): how often in `draws` the number of neurons that can change sign exceeded its
    `bound`, `violations`, which should be in a share `gamma` at most; `neurons`, the mean number; of x itself also
    `probability`, of exceeding it, exact; of x + delta the length `constant` / sqrt d of delta.

    Args:
        parameters: By `part`: `"networks"` measures the first three, `"fixed"` and `"moved"` the others.
        seed: The seed of weights, batches and draws.
        progress: Called with the fraction done.

    Returns:
        Rows, no observations.
    """
    parts = {"networks": _networks, "fixed": _fixed, "moved": _moved}
    rows = parts[parameters["part"]](parameters, seed, progress)
    progress(1.0)
    return Measured(rows)


def _networks(parameters: Row, seed: int, progress: Callable[[float], None]) -> list[Row]:
    """Lemmas 4.1, 4.2 and 4.4 at W_0, at the worst network of the ball and at trained networks."""
    split = load_data(parameters["data"], tuple(parameters["classes"]), parameters["size"], normalize=True)
    dim, width, points = split.dim, parameters["width"], parameters["points"]
    network0 = TwoLayer.random(dim, width, seed=seed, dtype=torch.float32)
    start, which = network0.to(dtype=torch.float64), f"d = {dim}, m = {width}"
    x = _sphere(points, dim, generator(seed, f"ball, inputs, {which}"))
    reach = parameters["constant"] / math.sqrt(dim)
    draw = generator(seed, f"ball, starts, {which}")
    shape = {"dim": dim, "width": width}

    def differing(network: TwoLayer, at: Tensor) -> float:
        largest = largest_gradient_change(
            network, at, reach, starts=parameters["starts"], steps=parameters["steps"], generator=draw
        )
        return float(largest.mean())

    value0, norms0 = start(x), torch.linalg.vector_norm(start.gradient(x), dim=1)
    first = shape | {
        "part": "start",
        "value0": float(value0.square().mean().sqrt()),
        "gradient0": float(norms0.mean()),
        "difference0": differing(start, x),
        "constant": parameters["constant"],
    }
    rows = list(_on_lines(first, parameters["lines"]))
    progress(0.2)
    balls = [LazyBall(network0, C0) for C0 in parameters["C0s"]]
    for i, ball in enumerate(balls):
        for row in _on_lines(shape | {"C0": ball.C0} | _in_ball(ball, x, value0, norms0), parameters["lines"]):
            rows.append(row)
        progress(0.2 + 0.4 * (i + 1) / len(balls))
    fits = train_through(
        network0, split.x_train, split.y_train, balls=balls, max_epochs=parameters["max_epochs"], seed=seed,
        record_every=parameters["max_epochs"],
    )  # fmt: skip
    images = split.x_test[:points].to(torch.float64)
    start_norm = float(torch.linalg.vector_norm(start.gradient(images), dim=1).mean())
    for ball, fit in zip(balls, fits, strict=True):
        row = shape | {"part": "trained", "C0": ball.C0, "constant": parameters["constant"]}
        row |= _of_trained(fit, split, images) | {"gradient_start": start_norm}
        row["difference"] = differing(fit.network.to(dtype=torch.float64), images)
        rows += _on_lines({name: row[name] for name in _TRAINED}, parameters["lines"])
    return rows


_TRAINED = (
    "dim", "width", "part", "C0", "constant", "gradient", "gradient_start", "difference", "test_error",
    "scaled_deviation", "steps", "stopped_because",
)  # fmt: skip


def _of_trained(fit: Fit, split: Split, images: Tensor) -> Row:
    """The gradient of a trained network at some images, its error, and how training ended."""
    trained = fit.network.to(dtype=torch.float64)
    margins = split.y_test.to(torch.float64) * trained(split.x_test.to(torch.float64))
    return {
        "gradient": float(torch.linalg.vector_norm(trained.gradient(images), dim=1).mean()),
        "test_error": float((margins <= 0).to(torch.float64).mean()),
        "scaled_deviation": fit.deviation * math.sqrt(trained.width),
        "steps": fit.steps,
        "stopped_because": fit.stopped_because.value,
    }


def _in_ball(ball: LazyBall, x: Tensor, value0: Tensor, norms0: Tensor) -> Row:
    """The extremes over one ball at each input."""
    label = torch.ones(len(x), dtype=torch.float64)
    supremum = ball.max_value(x, label).maximum(ball.max_value(x, -label))
    rise = supremum - value0.abs()
    smallest = [smallest_gradient(ball, point) for point in x]
    minimum = sum(bracket.high for bracket in smallest) / len(x)
    return {
        "part": "ball",
        "rise": float(rise.mean()),
        "rise_share": float(rise.max()) / ball.C0,
        "supremum": float(supremum.max()),
        "minimum": minimum,
        "minimum_low": sum(bracket.low for bracket in smallest) / len(x),
        "drop": float(norms0.mean()) - minimum if all(bracket.low > 0 for bracket in smallest) else None,
    }


def _on_lines(row: Row, lines: list[str]) -> Iterator[Row]:
    """The row once for each line of the figure that it lies on."""
    for over in lines:
        held = {"dim": "d", "width": "m", "C0": "C0"}
        name = held.pop(over)
        if over not in row or row[over] is None:
            continue  # W_0 has no C0
        at = ", ".join(f"{letter} = {row[column]:g}" for column, letter in held.items() if column in row)
        yield row | {"line": f"over {name}, {at}", "over": over}


def _fixed(parameters: Row, seed: int, progress: Callable[[float], None]) -> list[Row]:
    """Lemma 4.3 at an input of norm 1: the pre-activations are independent N(0, 1), so no matrix is drawn."""
    from scipy.stats import binom

    width, draws = parameters["width"], parameters["draws"]
    draw = generator(seed, f"ball, pre-activations, m = {width}")
    counts: dict[float, list[Tensor]] = {C0: [] for C0 in parameters["C0s"]}
    size, done = max(1, _NUMBERS // width), 0
    while done < draws:
        u = torch.randn(min(size, draws - done), width, generator=draw, dtype=torch.float64).abs_()
        done += len(u)
        for C0, parts in counts.items():
            parts.append((u <= C0 / math.sqrt(width)).sum(dim=1))
        progress(done / draws)
    rows = []
    for C0, parts in counts.items():
        count = torch.cat(parts).to(torch.float64)
        share = math.erf(C0 / math.sqrt(2 * width))
        for gamma in parameters["gammas"]:
            bound = sign_change_bound(width, C0, gamma)
            exact = float(binom.sf(math.floor(bound), width, share))
            rows.append(_slab_row("fixed", FIXED, width, C0, gamma, count) | {"probability": exact})
    return rows


def _slab_row(part: str, line: str, width: int, C0: float, gamma: float, count: Tensor) -> Row:
    bound = sign_change_bound(width, C0, gamma)
    return {
        "part": part,
        "line": line,
        "width": width,
        "C0": C0,
        "gamma": gamma,
        "bound": bound,
        "neurons": float(count.mean()),
        "violations": int((count > bound).sum()),
        "draws": len(count),
    }


def _moved(parameters: Row, seed: int, progress: Callable[[float], None]) -> list[Row]:
    """Lemma 4.3 at x + delta, W_0 drawn anew each time: delta drawn apart from it, along the gradient, chosen."""
    dim, width, C0, draws = (parameters[name] for name in ("dim", "width", "C0", "draws"))
    draw = generator(seed, f"ball, moved inputs, d = {dim}, m = {width}")
    counts: dict[tuple[float, str], list[int]] = {}
    for i in range(draws):
        W = torch.randn(width, dim, generator=draw, dtype=torch.float64)
        a = 2.0 * torch.randint(2, (width,), generator=draw) - 1
        x, elsewhere = _sphere(2, dim, draw)
        network = TwoLayer(W, a)
        value, g = network(x), network.gradient(x)
        downhill = -value.sign() * g / torch.linalg.vector_norm(g)
        for constant in parameters["constants"]:
            reach = constant / math.sqrt(dim)
            deltas = {
                INDEPENDENT: reach * elsewhere,
                GRADIENT: reach * downhill,
                CHOSEN: crowding_perturbation(W, x, C0, reach),
            }
            for line, delta in deltas.items():
                counts.setdefault((constant, line), []).append(int(switchable_neurons(W, x + delta, C0)))
        progress((i + 1) / draws)
    return [
        _slab_row("moved", line, width, C0, gamma, torch.tensor(count, dtype=torch.float64))
        | {"dim": dim, "constant": constant}
        for (constant, line), count in counts.items()
        for gamma in parameters["gammas"]
    ]


def _sphere(count: int, dim: int, draw: torch.Generator) -> Tensor:
    """Inputs uniform on the unit sphere."""
    x = torch.randn(count, dim, generator=draw, dtype=torch.float64)
    unit: Tensor = x / torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return unit
