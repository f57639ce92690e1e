"""Projected adversarial training within a lazy ball (Algorithm 1), of one run or of several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.lazy._ball import LazyBall
from gradflip.lazy._examples import check_examples
from gradflip.lazy._fit import Fit
from gradflip.lazy._settings import SGD, Schedule, TrainingAttack, check_count
from gradflip.lazy.adversarial._checkpoint import read_checkpoint, write_checkpoint
from gradflip.lazy.adversarial._trainer import Run, Trainer
from gradflip.lazy.adversarial._variants import Variant, variant
from gradflip.networks import TwoLayer


def train_adversarially(
    network0: TwoLayer,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    epsilon: float,
    ball: LazyBall,
    *,
    lr: float = 0.01,
    batch_size: int = 32,
    attack_steps: int = 100,
    max_epochs: int = 1000,
    protocol: Variant | Literal["text", "published"] = "text",
    clip: tuple[float, float] | None = None,
    warm: bool = True,
    momentum: float = 0.0,
    schedule: Schedule = "constant",
    seed: int = 0,
    test: tuple[Float[Tensor, "k d"], Float[Tensor, " k"]] | None = None,
    checkpoint: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> Fit:
    """Train W (and b) within a lazy ball against perturbations of norm at most epsilon.

    By default, as in the text of the paper, every batch is attacked before its step, after every step each row of W is
    projected onto the ball, and training stops when the robust training accuracy, measured on each batch under its own
    attack before its step, has not risen by 1e-4 above its best for 20 epochs; the network of the best epoch is
    returned. See `gradflip.lazy.Variant` for what the published scripts do instead.

    A warm attack continues from the perturbation that the example had an epoch ago, with at most 10 steps, each 2.5
    epsilon / 10 long. It changes the examples trained on, never the evaluation, which always starts cold: 100 steps
    from the input and from four random points.

    Args:
        network0: The initialisation.
        x: Training inputs.
        y: Labels, -1 or +1.
        epsilon: Budget, the L2 norm of the perturbation.
        ball: The ball around `network0`.
        lr: Learning rate.
        batch_size: Examples per step.
        attack_steps: Steps K of an attack that starts at the input, each 2.5 epsilon / K long.
        max_epochs: Upper limit of the passes over the data.
        protocol: The text of the paper, its published scripts, or another `Variant`.
        clip: Box in which attacked inputs stay in training and evaluation; (0, 1) in the published scripts.
        warm: Whether attacks on single batches continue from the previous epoch.
        momentum: Momentum of SGD, 0 for none.
        schedule: Constant learning rate, or one that falls to 0 as a cosine over `max_epochs`.
        seed: Seed of the order of the examples.
        test: Inputs and labels on which `Fit.robust_accuracy` is measured.
        checkpoint: File to which the state is written after every epoch. An interrupted run resumes from it, and ends
            with the same weights.
        progress: Called after each epoch with the fraction of `max_epochs` completed.

    Returns:
        The trained network and its record; `history` has the columns `epoch step loss robust_train_accuracy deviation`
        and one row per epoch.

    Raises:
        UsageError: If a shape, a label or a setting is wrong, or the checkpoint belongs to another training.
        FileError: If the checkpoint cannot be read or written.

    Shape:
        x `(n, d)`, y `(n,)`. Two matrix products per attack step, two per step of SGD.

    Source: Wang et al. (2022), Algorithm 1; docs/mathematics/lazy-training.md, "Adversarial training";
        docs/mathematics/published-protocol.md, "Adversarial protocols" for the published scripts.
    """
    chosen, run = variant(protocol), Run(network0, ball, epsilon, seed)
    check_count("max_epochs", max_epochs)
    sgd, attack = SGD(lr, batch_size, max_epochs, momentum, schedule), TrainingAttack(attack_steps, warm, clip)
    points, labels = _examples([run], x, y, clip)
    trainer = Trainer([run], points, labels, sgd, attack, chosen)
    settings = _checkpoint_settings(run, points, sgd, attack, chosen)
    if checkpoint is not None:
        kept = read_checkpoint(checkpoint, settings)
        if kept is not None:
            trainer.state.restore(*kept)
    while trainer.drop_ended():
        trainer.epoch()
        if checkpoint is not None:
            write_checkpoint(checkpoint, settings, *trainer.state.to_checkpoint())
        if progress:
            progress(trainer.epochs / max_epochs)
    return trainer.fits(test)[0]


def train_many_adversarially(
    networks0: Sequence[TwoLayer],
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    epsilons: Sequence[float],
    balls: Sequence[LazyBall],
    *,
    seeds: Sequence[int],
    lr: float = 0.01,
    batch_size: int = 32,
    attack_steps: int = 100,
    max_epochs: int = 1000,
    protocol: Variant | Literal["text", "published"] = "text",
    clip: tuple[float, float] | None = None,
    warm: bool = True,
    momentum: float = 0.0,
    schedule: Schedule = "constant",
    test: tuple[Float[Tensor, "k d"], Float[Tensor, " k"]] | None = None,
    progress: Callable[[float], None] | None = None,
) -> list[Fit]:
    """Train several runs on the same examples as one batched computation.

    The results are those of `train_adversarially` for each run, up to rounding; narrow networks train faster this way.
    A run that stops drops out of the batch.

    Args:
        networks0: The initialisation of each run, of one shape and activation.
        x: Training inputs.
        y: Labels, -1 or +1.
        epsilons: Budget of each run.
        balls: Ball of each run.
        seeds: Seed of each run.
        lr: Learning rate; this and the settings below are as for `train_adversarially`.
        batch_size: Examples per step.
        attack_steps: Steps of an attack that starts at the input.
        max_epochs: Upper limit of the passes over the data.
        protocol: The text of the paper, its published scripts, or another `Variant`.
        clip: Box in which attacked inputs stay.
        warm: Whether attacks on single batches continue from the previous epoch.
        momentum: Momentum of SGD.
        schedule: Schedule of the learning rate.
        test: Inputs and labels on which `Fit.robust_accuracy` is measured.
        progress: Called after each epoch with the fraction of `max_epochs` completed.

    Returns:
        A `Fit` per run, in order.

    Raises:
        UsageError: If a shape, a label or a setting is wrong, or the networks differ in form.

    Shape:
        x `(n, d)`, y `(n,)`. Memory for all runs at once.

    Source: docs/mathematics/lazy-training.md, "Adversarial training".
    """
    chosen = variant(protocol)
    counts = {len(networks0), len(epsilons), len(balls), len(seeds)}
    if len(counts) != 1 or 0 in counts:
        raise UsageError(
            "networks0, epsilons, balls and seeds must have one entry for each run, got "
            f"{len(networks0)}, {len(epsilons)}, {len(balls)} and {len(seeds)}."
        )
    runs = [Run(*parts) for parts in zip(networks0, balls, epsilons, seeds, strict=True)]
    check_count("max_epochs", max_epochs)
    sgd, attack = SGD(lr, batch_size, max_epochs, momentum, schedule), TrainingAttack(attack_steps, warm, clip)
    points, labels = _examples(runs, x, y, clip)
    trainer = Trainer(runs, points, labels, sgd, attack, chosen)
    while trainer.drop_ended():
        trainer.epoch()
        if progress:
            progress(trainer.epochs / max_epochs)
    return trainer.fits(test)


def _examples(runs: Sequence[Run], x: Tensor, y: Tensor, clip: tuple[float, float] | None) -> tuple[Tensor, Tensor]:
    """Checked inputs and labels; the networks must be of one form."""
    first = runs[0].network0
    for network0 in (run.network0 for run in runs):
        same = network0.W.shape == first.W.shape and (network0.bias is None) == (first.bias is None)
        if not same or network0.activation.name != first.activation.name or network0.W.dtype != first.W.dtype:
            raise UsageError("networks0 must all have the same shape, type, activation and biases.")
    points, labels = check_examples(first, x, y, "x", "y")
    if clip is not None and not bool(((points >= clip[0]) & (points <= clip[1])).all()):
        raise UsageError(f"x must lie in the box clip={clip}; leave clip out or scale the inputs.")
    return points, labels


def _checkpoint_settings(run: Run, points: Tensor, sgd: SGD, attack: TrainingAttack, chosen: Variant) -> dict[str, Any]:
    """What a checkpoint must agree in; the keys are those of its file format."""
    return {
        "epsilon": run.epsilon, "radius": run.ball.radius, "lr": sgd.lr, "batch_size": sgd.batch_size,
        "attack_steps": attack.steps, "max_epochs": sgd.max_epochs, "protocol": asdict(chosen),
        "clip": list(attack.clip) if attack.clip else None, "warm": attack.warm, "momentum": sgd.momentum,
        "schedule": sgd.schedule, "seed": run.seed, "examples": len(points),
        "data": float(points.to(torch.float64).sum()), "start": float(run.network0.W.to(torch.float64).sum()),
    }  # fmt: skip
