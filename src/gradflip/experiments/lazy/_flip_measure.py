"""The measure of Figures 2, 3, 5, 6, 7: train in the lazy regime, then flip every test image exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gradflip.data import Split, load_data
from gradflip.experiments.lazy._pictures import pictures
from gradflip.lazy import Fit, LazyBall, train_through
from gradflip.networks import TwoLayer
from gradflip.rays import Flip, FlipStatus, flip
from gradflip.sweep import Measured


def measure(parameters: dict[str, Any], seed: int, progress: Callable[[float], None]) -> Measured:
    """Train once and flip every test image: a row per C0, and an observation per C0 and test image.

    Columns of a row. What was trained: `data classes size dim normalize antialias width bias output_bias protocol
    C0`. How it went: `stopped_because epochs steps`, `scaled_deviation` and `left_at` (sqrt(m) max_j |w_j - w_(j,0)|
    of the network kept and of the first one seen outside, null if none was), `train_error test_error
    linearization_error signs_changed`. Counts of the `images` test images: `correct` ones, and of these
    `flipped never flat boundary`. Means over the correct images that flip: `input_norm gradient_norm step perturbation
    relative`, and the quantities that are flat in theory: `relative_sqrt_d` (rho sqrt d), `gradient_flat`
    (|g| / sqrt d), `step_flat` (s* d / sqrt(|x|^2 + b)), `relative_flat` (rho sqrt d / sqrt(1 + b / |x|^2)), b = 1
    with biases, else 0.
    Coefficients of variation over the same images: `gradient_norm_cv step_cv relative_cv`. Averaged as in the
    published scripts, with 0 for misclassified images: `published_perturbation`, and `published_gradient_norm` over
    all images.

    Args:
        parameters: As `lazy_cell` makes them.
        seed: The seed of weights and batches.
        progress: Called with the fraction done.

    Returns:
        Rows and observations.
    """
    device = parameters["device"]
    split = load_data(
        parameters["data"],
        tuple(parameters["classes"]),
        parameters["size"],
        normalize=parameters["normalize"],
        antialias=parameters["antialias"],
    ).to(device=device)
    network0 = TwoLayer.random(
        split.dim,
        parameters["width"],
        bias=parameters["bias"],
        output_bias=parameters["output_bias"],
        seed=seed,
        dtype=torch.float32,
        device=device,
    )
    balls = [LazyBall(network0, C0) for C0 in parameters["C0s"]]
    fits = train_through(
        network0,
        split.x_train,
        split.y_train,
        balls=balls,
        lr=parameters["lr"],
        batch_size=parameters["batch_size"],
        max_epochs=parameters["max_epochs"],
        check=parameters["check"],
        keep=parameters["keep"],
        shuffle=parameters["shuffle"],
        seed=seed,
        test=(split.x_test, split.y_test),
        record_every=parameters["record_every"],
        progress=lambda share: progress(0.95 * share),
    )
    rows, parts = [], []
    for ball, fit in zip(balls, fits, strict=True):
        flips = flip(fit.network.to(dtype=torch.float64), split.x_test)
        rows.append(_row(parameters, split, ball, fit, flips))
        parts.append(_observations(parameters, split, ball, fit, flips))
    columns: dict[str, list[Any]] = {name: [entry for part in parts for entry in part[name]] for name in parts[0]}
    return Measured(rows, columns)


def _row(parameters: dict[str, Any], split: Split, ball: LazyBall, fit: Fit, flips: Flip) -> dict[str, Any]:
    root = math.sqrt(parameters["width"])
    last = fit.history.row(-1, named=True)
    right = split.y_test * flips.value > 0
    counted = right & (flips.status == FlipStatus.FLIPPED)
    statuses = {status.name.lower(): int((right & (flips.status == status)).sum()) for status in FlipStatus}
    statuses.pop("not_found")  # an exact search always decides
    d, b = split.dim, float(parameters["bias"])
    norm2 = flips.input_norm**2
    scales: dict[str, Tensor] = {
        "input_norm": flips.input_norm,
        "gradient_norm": flips.gradient_norm,
        "step": flips.step,
        "perturbation": flips.perturbation,
        "relative": flips.relative,
        "relative_sqrt_d": flips.relative * math.sqrt(d),
        "gradient_flat": flips.gradient_norm / math.sqrt(d),
        "step_flat": flips.step * d / (norm2 + b).sqrt(),
        "relative_flat": flips.relative * math.sqrt(d) / (1 + b / norm2).sqrt(),
    }
    variation = {f"{name}_cv": scales[name][counted] for name in ("gradient_norm", "step", "relative")}
    zero_filled = torch.where(counted, flips.perturbation, 0.0)
    return {
        "data": parameters["data"],
        "classes": "/".join(map(str, parameters["classes"])),
        "size": parameters["size"],
        "dim": d,
        "normalize": parameters["normalize"],
        "antialias": parameters["antialias"],
        "width": parameters["width"],
        "bias": parameters["bias"],
        "output_bias": parameters["output_bias"],
        "protocol": parameters["protocol"],
        "C0": ball.C0,
        "stopped_because": fit.stopped_because.value,
        "epochs": fit.epochs,
        "steps": fit.steps,
        "scaled_deviation": root * fit.deviation,
        "left_at": None if fit.left_at is None else root * fit.left_at,
        "train_error": _error(fit.network, split.x_train, split.y_train),
        "test_error": 1 - float(right.to(torch.float64).mean()),
        "linearization_error": last["linearization_error"],
        "signs_changed": last["signs_changed"],
        "images": len(flips),
        "correct": int(right.sum()),
        **statuses,
        **{name: _finite(values[counted].mean()) for name, values in scales.items()},
        **{name: _finite(values.std() / values.mean()) for name, values in variation.items()},
        "published_perturbation": _finite(zero_filled.mean()),
        "published_gradient_norm": _finite(flips.gradient_norm.mean()),
    }


def _observations(
    parameters: dict[str, Any], split: Split, ball: LazyBall, fit: Fit, flips: Flip
) -> dict[str, list[Any]]:
    n = len(flips)
    constant = {name: parameters[name] for name in ("size", "width", "normalize", "bias")}
    frame = flips.to_frame()
    counted = (split.y_test * flips.value > 0) & (flips.status == FlipStatus.FLIPPED)
    return {
        **{name: [value] * n for name, value in constant.items()},
        "C0": [ball.C0] * n,
        "image": list(range(n)),
        "label": [int(label) for label in split.y_test.tolist()],
        "value": frame["value"].to_list(),
        "gradient_norm": frame["gradient_norm"].to_list(),
        "step": [value if math.isfinite(value) else None for value in frame["step"]],
        "relative": [value if math.isfinite(value) else None for value in frame["relative"]],
        "status": frame["status"].to_list(),
        "picture": pictures(fit.network, split.x_test, flips, counted),
    }


def _error(network: TwoLayer, x: Tensor, y: Tensor) -> float:
    return float((y * network(x) <= 0).to(torch.float64).mean())


def _finite(number: Tensor) -> float | None:
    """A float, or null for the mean of no values."""
    return float(number) if bool(torch.isfinite(number)) else None
