"""The measure of Figure 4: train adversarially within the ball, then attack the test images in three ways."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradflip.attacks import pgd
from gradflip.data import DATA_SETS, load_data
from gradflip.lazy import Fit, LazyBall, Variant, train_many_adversarially, train_through
from gradflip.networks import TwoLayer
from gradflip.rays import FlipStatus, flip
from gradflip.sweep import Measured

RESTARTS = 5


@dataclass(frozen=True)
class _Images:
    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor


def measure(parameters: dict[str, Any], seed: int, progress: Callable[[float], None]) -> Measured:
    """Train networks and attack them: a row per network and budget.

    Columns. What was trained: `data classes size dim antialias width bias output_bias train_images protocol clip
    training` (`"adversarial"` or `"standard"`), `C0 radius trained_epsilon` (null for standard training), in words
    `network`. How it went: `stopped_because epochs converged robust_train_accuracy`, `scaled_deviation` (sqrt(m) max_j
    |w_j - w_(j,0)| of the network attacked), `test_error`. Counts of the `images` test images at the budget
    `epsilon`: `correct` without a perturbation; `survived_one_step` (a single gradient step of length epsilon),
    `survived_ray` (no flip along the gradient ray within epsilon, exactly; null where pixels are clipped, as the ray
    leaves the box), `survived_pgd` (PGD, 100 steps, five starts); the same as shares of all images, `robust_one_step
    robust_ray robust_pgd`; what PGD finds beyond the others, `missed_by_one_step missed_by_ray`; and `flipped_within`,
    the share of the correct images whose exact flip lies within the budget. `budgets` says whether a network was
    attacked at its `"own"` budget or at `"many"`.

    Args:
        parameters: As `adversarial_cell` makes them.
        seed: The seed of weights, batches and the attack's starts.
        progress: Called with the fraction done.

    Returns:
        Rows; no observations.
    """
    images = _load(parameters)
    network0 = TwoLayer.random(
        images.x.shape[1],
        parameters["width"],
        bias=parameters["bias"],
        output_bias=parameters["output_bias"],
        seed=seed,
        dtype=torch.float32,
        device=parameters["device"],
    )
    trained = _train(parameters, seed, network0, images, lambda share: progress(0.8 * share))
    rows = []
    for k, (epsilon, ball, fit) in enumerate(trained):
        for budget in parameters["budgets"] or [epsilon]:
            rows.append(_row(parameters, epsilon, ball, fit) | _attacked(parameters, fit.network, images, budget, seed))
        progress(0.8 + 0.2 * (k + 1) / len(trained))
    return Measured(rows)


def _load(parameters: dict[str, Any]) -> _Images:
    split = load_data(
        parameters["data"],
        tuple(parameters["classes"]),
        parameters["size"],
        normalize=True,
        antialias=parameters["antialias"],
    ).to(device=parameters["device"])
    n, k = parameters["images"], parameters["test_images"]
    return _Images(split.x_train[:n], split.y_train[:n], split.x_test[:k], split.y_test[:k])


def _train(
    parameters: dict[str, Any], seed: int, network0: TwoLayer, images: _Images, progress: Callable[[float], None]
) -> list[tuple[float | None, LazyBall, Fit]]:
    """Train every run of the cell: standard ones on one trajectory, adversarial ones as one batch."""
    standard = [C0 for epsilon, C0 in parameters["runs"] if epsilon is None]
    attacked = [(epsilon, C0) for epsilon, C0 in parameters["runs"] if epsilon is not None]
    trained: list[tuple[float | None, LazyBall, Fit]] = []
    if standard:
        balls = [LazyBall(network0, C0) for C0 in standard]
        fits = train_through(
            network0, images.x, images.y, balls=balls, lr=0.1, batch_size=64, max_epochs=parameters["max_epochs"],
            seed=seed,
        )  # fmt: skip
        trained += [(None, ball, fit) for ball, fit in zip(balls, fits, strict=True)]
    if attacked:
        balls = [LazyBall(network0, C0) for _, C0 in attacked]
        fits = train_many_adversarially(
            [network0] * len(attacked),
            images.x,
            images.y,
            [epsilon for epsilon, _ in attacked],
            balls,
            seeds=[seed] * len(attacked),
            lr=parameters["lr"],
            batch_size=parameters["batch_size"],
            attack_steps=parameters["attack_steps"],
            max_epochs=parameters["max_epochs"],
            protocol=Variant(parameters["attack"], parameters["projection"], parameters["stop"]),
            clip=(0.0, 1.0) if parameters["clip"] else None,
            momentum=parameters["momentum"],
            schedule=parameters["schedule"],
            progress=progress,
        )
        trained += [(epsilon, ball, fit) for (epsilon, _), ball, fit in zip(attacked, balls, fits, strict=True)]
    return trained


def _row(parameters: dict[str, Any], epsilon: float | None, ball: LazyBall, fit: Fit) -> dict[str, Any]:
    standard = epsilon is None
    return {
        "data": parameters["data"],
        "classes": "/".join(map(str, parameters["classes"])),
        "size": parameters["size"],
        "dim": DATA_SETS[parameters["data"]].dim(parameters["size"]),
        "antialias": parameters["antialias"],
        "width": parameters["width"],
        "bias": parameters["bias"],
        "output_bias": parameters["output_bias"],
        "train_images": parameters["images"],
        "protocol": parameters["protocol"],
        "clip": parameters["clip"],
        "training": "standard" if standard else "adversarial",
        "budgets": "own" if parameters["budgets"] is None else "many",
        "C0": ball.C0,
        "radius": ball.radius,
        "trained_epsilon": epsilon,
        "network": f"{'standard' if standard else f'adversarial at {epsilon:g}'}, C0 = {ball.C0:g}",
        "stopped_because": fit.stopped_because.value,
        "epochs": fit.epochs,
        "converged": None if standard else fit.converged,
        "robust_train_accuracy": None if standard else max(fit.history["robust_train_accuracy"]),
        "scaled_deviation": math.sqrt(parameters["width"]) * fit.deviation,
    }


def _attacked(
    parameters: dict[str, Any], network: TwoLayer, images: _Images, budget: float, seed: int
) -> dict[str, Any]:
    clip = (0.0, 1.0) if parameters["clip"] else None
    exact, x, y = network.to(dtype=torch.float64), images.x_test.double(), images.y_test.double()
    right = y * exact(x) > 0
    g = exact.gradient(x)
    length = torch.linalg.vector_norm(g, dim=1)
    step = torch.where(length > 0, budget * y / length, 0.0)[:, None] * g
    stepped = x - step if clip is None else (x - step).clamp(*clip)
    alive = {"one_step": right & (y * exact(stepped) > 0)}
    if clip is None:
        flips = flip(exact, x)
        within = (flips.status == FlipStatus.FLIPPED) & (flips.perturbation <= budget)
        alive["ray"] = right & ~within
    searched = pgd(network, images.x_test, images.y_test, budget, steps=100, restarts=RESTARTS, clip=clip, seed=seed)
    alive["pgd"] = right & ~searched.success
    n, correct = len(y), int(right.sum())
    counts = {name: int(kept.sum()) for name, kept in alive.items()}
    robust = {name: None if name not in counts else counts[name] / n for name in ("one_step", "ray", "pgd")}
    return {
        "epsilon": budget,
        "images": n,
        "correct": correct,
        "test_error": 1 - correct / n,
        **{f"survived_{name}": counts.get(name) for name in ("one_step", "ray", "pgd")},
        **{f"robust_{name}": share for name, share in robust.items()},
        "missed_by_one_step": (counts["one_step"] - counts["pgd"]) / n,
        "missed_by_ray": None if clip else (counts["ray"] - counts["pgd"]) / n,
        "flipped_within": None if clip or not correct else 1 - counts["ray"] / correct,
    }
