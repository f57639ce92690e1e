"""The measure of `ball-certified`: errors proved for every network of the ball, and the best one trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from gradflip.attacks import pgd
from gradflip.certificates import FlipBudget, certify_jointly, flip_budget, opposite_groups
from gradflip.data import load_data
from gradflip.lazy import LazyBall, train_many_adversarially
from gradflip.networks import TwoLayer
from gradflip.sweep import Measured

RESTARTS = 5
_TRAINED_ON = ("both classes", "class -1 alone", "class +1 alone")


def measure(parameters: dict[str, Any], seed: int, progress: Callable[[float], None]) -> Measured:
    """Certify a ball and train in it: a row per budget, with the error of every network and the best accuracy.

    Columns. The ball: `line data classes size dim width C0 points`; the budget: `epsilon
    epsilon_sqrt_d`. Shares of the points that every network of the ball gets wrong at least: `certified_single` (one
    point at a time), and with joint certificates for the others, `certified_pairs`, `certified_fours` and
    `certified_eights` (groups of 2, 4 and 8), `certified_all` (one group); the largest of them, `certified_error`, and
    `certified_accuracy`, 1 minus that. Robust accuracies under PGD (100 steps, five starts) and at the points of all
    certificates, in the same L2 ball without a box: `robust_both` of the network trained adversarially at this budget,
    `robust_minus` and `robust_plus` of those trained on one class alone; the largest, `attainable_accuracy`, and its
    network, `best`. `violations` counts the networks that contradict a certificate; it must be 0.

    Args:
        parameters: JSON values: `data classes size width C0 epsilons images test_images max_epochs line`.
        seed: The seed of weights, batches and attack.
        progress: Called with the fraction done.

    Returns:
        Rows, and for each point the smallest budget of its own certificate as an observation.
    """
    split = load_data(parameters["data"], tuple(parameters["classes"]), parameters["size"], normalize=True)
    n, k = parameters["images"], parameters["test_images"]
    x, y, points, labels = split.x_train[:n], split.y_train[:n], split.x_test[:k], split.y_test[:k]
    network0 = TwoLayer.random(split.dim, parameters["width"], seed=seed, dtype=torch.float32)
    ball, epsilons = LazyBall(network0, parameters["C0"]), parameters["epsilons"]
    trained = _train(ball, x, y, epsilons, parameters["max_epochs"], seed, lambda share: progress(0.4 * share))
    alone = flip_budget(ball, points, labels)
    rows = []
    for i, epsilon in enumerate(epsilons):
        certified, own, broken = _certified(ball, points, labels, epsilon, alone, [nets[i] for nets in trained])
        robust = [_robust(nets[i], points, labels, epsilon, own, seed) for nets in trained]
        best = max(range(3), key=lambda which: robust[which])
        rows.append({
            "line": parameters["line"], "data": parameters["data"],
            "classes": "/".join(map(str, parameters["classes"])), "size": parameters["size"], "dim": split.dim,
            "width": parameters["width"], "C0": float(parameters["C0"]), "points": len(points),
            "epsilon": epsilon, "epsilon_sqrt_d": epsilon * math.sqrt(split.dim), **certified,
            **dict(zip(("robust_both", "robust_minus", "robust_plus"), robust, strict=True)),
            "attainable_accuracy": robust[best], "best": _TRAINED_ON[best], "violations": broken,
        })  # fmt: skip
        progress(0.4 + 0.6 * (i + 1) / len(epsilons))
    budgets = [value if math.isfinite(value) else None for value in alone.epsilon.tolist()]
    observations = {"line": [parameters["line"]] * len(points),
                    "point": list(range(len(points))), "flip_budget": budgets}  # fmt: skip
    return Measured(rows, observations)


def _train(
    ball: LazyBall,
    x: Tensor,
    y: Tensor,
    epsilons: list[float],
    epochs: int,
    seed: int,
    progress: Callable[[float], None],
) -> list[list[TwoLayer]]:
    """Networks trained against each budget: on both classes, and on each alone."""
    # where no network can have both classes right, the logistic loss gets both wrong rather than give one up
    networks = []
    for k, kept in enumerate((y != 0, y < 0, y > 0)):
        fits = train_many_adversarially(
            [ball.network0] * len(epsilons), x[kept], y[kept], epsilons, [ball] * len(epsilons),
            seeds=[seed] * len(epsilons), max_epochs=epochs, lr=0.1, momentum=0.9, schedule="cosine", attack_steps=10,
            batch_size=32,
        )  # fmt: skip
        networks.append([fit.network for fit in fits])
        progress((k + 1) / 3)
    return networks


def _certified(
    ball: LazyBall, x: Tensor, y: Tensor, epsilon: float, alone: FlipBudget, networks: list[TwoLayer]
) -> tuple[dict[str, float], list[Tensor], int]:
    """Shares certified, the points of the certificates, and how many networks contradict one."""
    single = (alone.epsilon <= epsilon) & alone.certificate.certified
    start, left = x.double(), ~single
    own = [torch.where(single[:, None], alone.certificate.perturbed, start)]
    needed = [(own[0], single, int(single.sum()))]
    shares = {"certified_single": needed[0][2] / len(x)}
    for name, groups in _groupings(x[left], y[left]):
        joint = certify_jointly(ball, x[left], y[left], epsilon, groups=groups)
        shares[name] = (needed[0][2] + int(joint.errors.sum())) / len(x)
        at = start.clone()
        at[left] = joint.perturbed
        own.append(at)
        needed.append((at, left, int(joint.errors.sum())))
    for name in ("certified_pairs", "certified_fours", "certified_eights", "certified_all"):
        shares.setdefault(name, shares["certified_single"])  # no points were left for them
    broken = 0
    for network in networks:
        exact = network.to(dtype=torch.float64)
        wrong = [int((y[which].double() * exact(at[which]) < 0).sum()) for at, which, _ in needed]
        broken += any(count < least for count, (_, _, least) in zip(wrong, needed, strict=True))
    error = max(shares.values())
    return shares | {"certified_error": error, "certified_accuracy": 1 - error}, own, broken


def _groupings(x: Tensor, y: Tensor) -> Iterator[tuple[str, Tensor | None]]:
    if bool((y > 0).any()) and bool((y < 0).any()):
        for pairs, name in ((1, "certified_pairs"), (2, "certified_fours"), (4, "certified_eights")):
            yield name, opposite_groups(x, y, pairs)
        yield "certified_all", None


def _robust(network: TwoLayer, x: Tensor, y: Tensor, epsilon: float, own: list[Tensor], seed: int) -> float:
    """The share of test points that survive both the points of the certificates and PGD."""
    exact = network.to(dtype=torch.float64)
    alive = y.double() * exact(x.double()) > 0
    for at in own:
        alive &= y.double() * exact(at) > 0
    standing = alive.nonzero()[:, 0]
    if len(standing):
        attack = pgd(network, x[standing], y[standing], epsilon, restarts=RESTARTS, seed=seed)
        alive[standing] &= ~attack.success
    return float(alive.double().mean())
