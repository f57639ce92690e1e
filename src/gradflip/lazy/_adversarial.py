"""Projected adversarial training (Algorithm 1): SGD on attacked examples, every neuron drawn back onto its ball."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip._seeds import generator
from gradflip.attacks import TwoLayerAscent, ascend, pgd, rounded_budget
from gradflip.lazy._ball import LazyBall
from gradflip.lazy._checkpoint import read_checkpoint, write_checkpoint
from gradflip.lazy._sgd import Fit, StopReason, check_examples
from gradflip.networks import TwoLayer

if TYPE_CHECKING:
    import polars as pl

Protocol = Literal["text", "published"]
Schedule = Literal["constant", "cosine"]

PATIENCE = 20
"""Epochs without progress after which training stops."""

PROGRESS = 1e-4
"""Rise of the robust training accuracy that counts as progress."""

WARM_STEPS = 10
"""Steps of a training attack that goes on from the perturbation of the epoch before."""


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
    protocol: Protocol = "text",
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

    By the text: every batch is attacked afresh, after every step each row of W is projected onto the ball, and training
    stops when the robust training accuracy, each batch under its own attack before its step, has not risen above its
    best by 1e-4 for 20 epochs; the network of the best epoch is returned. By the published scripts: the whole set is
    attacked once an epoch, SGD takes stale examples in one order for all epochs, the projection comes at the end of an
    epoch and training stops when the accuracy on the stale examples has not been 1e-4 above that of the epoch before
    for more than 20 epochs; the network returned is the last one before its projection.

    A warm attack goes on from the perturbation that the example had an epoch ago, with at most 10 steps, each a quarter
    of the budget at first as those of 10 steps are. It changes which examples are trained on, never the evaluation:
    that always starts cold, 100 steps from the input and from four random points.

    Args:
        network0: The initialisation.
        x: Training inputs.
        y: Labels, -1 or +1.
        epsilon: Budget, L2 norm of the perturbation.
        ball: The ball, around `network0`.
        lr: Learning rate.
        batch_size: Examples a step.
        attack_steps: K, steps of an attack that starts at the input; 2.5 epsilon / K long.
        max_epochs: Passes over the data at most.
        protocol: The paper's text, or its published scripts.
        clip: Box in which attacked inputs stay in training and evaluation; (0, 1) in the published scripts.
        warm: Whether attacks of the text's protocol go on from the epoch before.
        momentum: Of SGD, 0 for none.
        schedule: A constant learning rate, or one that falls to 0 as a cosine over `max_epochs`.
        seed: Seed of the order of the examples.
        test: Inputs and labels on which `Fit.robust_accuracy` is measured.
        checkpoint: A file to which the state is written after every epoch, and from which a training that was killed
            goes on, to the same final weights.
        progress: Called with the share of `max_epochs` done.

    Returns:
        A `Fit`; its history has `epoch step loss robust_train_accuracy deviation` an epoch.

    Raises:
        UsageError: If a shape, a label or a setting is not as stated, or the checkpoint is of another training.
        FileError: If the checkpoint cannot be read or written.

    Shape:
        x `(n, d)`, y `(n,)`. Two products a step of an attack, two for each step of SGD.

    Source: Wang et al. (2022), Algorithm 1; spec 3.4, spec 6 for the published scripts.
    """
    _check_settings(epsilon, lr, batch_size, attack_steps, max_epochs, protocol, momentum, schedule)
    if network0.scaling != "unit":
        raise UsageError("network0 must be in 'unit' scaling for adversarial training; use network0.rescale('unit').")
    if ball.deviation(network0) != 0:
        raise UsageError("ball must be around network0; build it as LazyBall(network0, C0).")
    points, labels = check_examples(network0, x, y, "x", "y")
    if clip is not None and not bool(((points >= clip[0]) & (points <= clip[1])).all()):
        raise UsageError(f"x must lie in the box clip={clip}; leave clip out or scale the inputs.")
    state = _State.start(network0, len(points), points.shape[1], seed)
    settings: dict[str, Any] = {
        "epsilon": epsilon, "radius": ball.radius, "lr": lr, "batch_size": batch_size, "attack_steps": attack_steps,
        "max_epochs": max_epochs, "protocol": protocol, "clip": list(clip) if clip else None, "warm": warm,
        "momentum": momentum, "schedule": schedule, "seed": seed, "examples": len(points),
        "data": float(points.to(torch.float64).sum()), "start": float(network0.W.to(torch.float64).sum()),
    }  # fmt: skip
    if checkpoint is not None:
        kept = read_checkpoint(checkpoint, settings)
        if kept is not None:
            state.restore(*kept)
    budget = rounded_budget(points, epsilon)
    trainer = _Trainer(network0, state, ball.radius, batch_size, momentum, clip, budget)
    published = protocol == "published"
    why = StopReason.MAX_EPOCHS
    while state.epoch < max_epochs:
        rate = lr if schedule == "constant" else 0.5 * lr * (1 + math.cos(math.pi * state.epoch / max_epochs))
        order = state.order(len(points), again=published)
        if published:
            trainer.project()  # of the epoch before: what is returned is measured before it
            state.p.zero_()
            for part in torch.split(torch.arange(len(points)), 1024):
                own = state.p[part]
                ascend(trainer.ascent, points[part], labels[part], own, budget[part], 2.5 * epsilon / attack_steps,
                       attack_steps, clip)  # fmt: skip
                state.p[part] = own
        steps, length = (0, 0.0) if published else _attack(epsilon, attack_steps, warm=warm and state.epoch > 0)
        loss, accuracy = trainer.epoch(points, labels, order, rate, steps, length, cold=not warm)
        state.note(loss, accuracy, trainer.deviation())
        if not math.isfinite(loss):
            why = StopReason.DIVERGED
            break
        state.compare(accuracy, published=published)
        if checkpoint is not None:
            write_checkpoint(checkpoint, settings, *state.kept())
        if progress:
            progress(state.epoch / max_epochs)
        if state.waited > (PATIENCE if published else PATIENCE - 1):
            why = StopReason.PLATEAU
            break
    return _fit(network0, ball, state, why, epsilon, clip, test, published)


def _attack(epsilon: float, attack_steps: int, *, warm: bool) -> tuple[int, float]:
    """Steps of a training attack, and their length."""
    steps = min(attack_steps, WARM_STEPS) if warm else attack_steps
    return steps, 2.5 * epsilon / steps


class _State:
    """All that a training goes on from: weights, velocity, perturbations, order, history."""

    def __init__(self, W: Tensor, bias: Tensor | None, n: int, dim: int, draw: torch.Generator) -> None:
        self.W, self.bias = W, bias
        self.W_speed, self.bias_speed = torch.zeros_like(W), None if bias is None else torch.zeros_like(bias)
        self.p = W.new_zeros(n, dim)
        self.best_W, self.best_bias = W.clone(), None if bias is None else bias.clone()
        self.best, self.last, self.waited, self.best_epoch = -1.0, -1.0, 0, 0
        self.epoch, self.steps = 0, 0
        self.rows: list[dict[str, float]] = []
        self.draw = draw
        self.permutation = torch.arange(n)

    @staticmethod
    def start(network: TwoLayer, n: int, dim: int, seed: int) -> _State:
        bias = None if network.bias is None else network.bias.clone()
        return _State(network.W.clone(), bias, n, dim, generator(seed, "adversarial batches"))

    def order(self, n: int, *, again: bool) -> Tensor:
        """The order of the examples of the next epoch; in the published scripts one order for all."""
        if self.epoch == 0 or not again:
            self.permutation = torch.randperm(n, generator=self.draw)
        return self.permutation.to(self.W.device)

    def note(self, loss: float, accuracy: float, deviation: float) -> None:
        self.epoch += 1
        self.rows.append({
            "epoch": float(self.epoch), "step": float(self.steps), "loss": loss, "robust_train_accuracy": accuracy,
            "deviation": deviation,
        })  # fmt: skip

    def compare(self, accuracy: float, *, published: bool) -> None:
        """Whether the epoch was progress; by the text above the best so far, in the scripts above the last."""
        risen = accuracy > (self.last if published else self.best) + PROGRESS
        self.waited = 0 if risen else self.waited + 1
        self.last = accuracy
        if accuracy > self.best or published:
            self.best, self.best_epoch = accuracy, self.epoch
            self.best_W.copy_(self.W)
            if self.bias is not None and self.best_bias is not None:
                self.best_bias.copy_(self.bias)

    def kept(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and numbers, for a checkpoint."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        tensors["draw"] = self.draw.get_state()
        names = ("best", "last", "waited", "best_epoch", "epoch", "steps", "rows")
        return tensors, {name: getattr(self, name) for name in names}

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Go on from what `kept` gave."""
        self.draw.set_state(tensors.pop("draw"))
        self.permutation = tensors.pop("permutation")
        for name, value in tensors.items():
            getattr(self, name).copy_(value)
        for name, value in numbers.items():
            setattr(self, name, value)


@dataclass(frozen=True)
class _Trainer:
    """Steps of SGD on a state's weights, which the attack reads where they are."""

    network0: TwoLayer
    state: _State
    radius: float
    batch_size: int
    momentum: float
    clip: tuple[float, float] | None
    budget: Tensor

    @property
    def ascent(self) -> TwoLayerAscent:
        return TwoLayerAscent(self.network)

    @property
    def network(self) -> TwoLayer:
        """The network whose weights are the state's memory."""
        about = self.network0
        return TwoLayer(self.state.W, about.a, self.state.bias, about.output_bias, about.activation)

    def epoch(
        self, x: Tensor, y: Tensor, order: Tensor, lr: float, steps: int, length: float, *, cold: bool
    ) -> tuple[float, float]:
        """One pass over the data: mean loss and share still correct, each batch under attack before its step."""
        state, ascent = self.state, self.ascent
        loss = correct = 0.0
        for part in torch.split(order, self.batch_size):
            inputs, signs, p = x[part], y[part], state.p[part]
            if steps:
                p = ascend(ascent, inputs, signs, p.zero_() if cold else p, self.budget[part], length, steps, self.clip)
                state.p[part] = p
            margins = self._step(inputs + p, signs, lr)
            state.steps += 1
            if steps:
                self.project()
            loss += float(torch.nn.functional.softplus(-margins).sum())
            correct += float((margins > 0).sum())
        return loss / len(x), correct / len(x)

    def _step(self, x: Tensor, y: Tensor, lr: float) -> Tensor:
        """Take a step of SGD on one batch; its margins before the step."""
        state, about = self.state, self.network0
        sigma, top = about.activation, about.a / math.sqrt(about.width)
        u = x @ state.W.mT if state.bias is None else torch.addmm(state.bias, x, state.W.mT)
        margins = y * (sigma(u) @ top + (about.output_bias or 0.0))
        pull = torch.sigmoid(-margins) * y / len(x)
        q = sigma.derivative(u).mul_(top).mul_(pull[:, None])
        if self.momentum:
            state.W_speed.mul_(self.momentum).addmm_(q.mT, x)
            state.W.add_(state.W_speed, alpha=lr)
        else:
            state.W.addmm_(q.mT, x, alpha=lr)
        if state.bias is not None and state.bias_speed is not None:
            state.bias_speed.mul_(self.momentum).add_(q.sum(dim=0))
            state.bias.add_(state.bias_speed, alpha=lr)
        return margins

    def project(self) -> None:
        """Draw every row of [W, b] outside the ball back onto it."""
        state, about = self.state, self.network0
        distance = self._distances()
        outside = (distance > self.radius).nonzero()[:, 0]
        if not len(outside):
            return
        # a little inside, by the rounding of a row in the type of the network
        longest = torch.linalg.vector_norm(about.W[outside], dim=1) + self.radius
        target = (self.radius - 4 * torch.finfo(state.W.dtype).eps * longest).clamp(min=0.0)
        factor = (target / distance[outside]).to(state.W.dtype)
        state.W[outside] = torch.lerp(about.W[outside], state.W[outside], factor[:, None])
        if state.bias is not None and about.bias is not None:
            state.bias[outside] = torch.lerp(about.bias[outside], state.bias[outside], factor)

    def deviation(self) -> float:
        return float(self._distances().max())

    def _distances(self) -> Tensor:
        state, about = self.state, self.network0
        distance: Tensor = torch.linalg.vector_norm(state.W - about.W, dim=1)
        if state.bias is None or about.bias is None:
            return distance
        return torch.hypot(distance, state.bias - about.bias)


def _fit(
    network0: TwoLayer,
    ball: LazyBall,
    state: _State,
    why: StopReason,
    epsilon: float,
    clip: tuple[float, float] | None,
    test: tuple[Tensor, Tensor] | None,
    published: bool,
) -> Fit:
    import polars as pl

    bias = None if state.best_bias is None else state.best_bias.clone()
    network = TwoLayer(state.best_W.clone(), network0.a, bias, network0.output_bias, network0.activation)
    accuracies = [row["robust_train_accuracy"] for row in state.rows]
    best = [max(accuracies[:k]) for k in range(1, len(accuracies) + 1)] if not published else accuracies
    converged = len(best) > 1 and abs(best[-1] - best[len(best) // 2 - 1]) < 0.01
    robust = None
    if test is not None:
        test_x, test_y = check_examples(network0, *test, "test x", "test y")
        robust = pgd(network, test_x, test_y, epsilon, steps=100, restarts=5, clip=clip).robust_accuracy
    columns = ("epoch", "step", "loss", "robust_train_accuracy", "deviation")
    history: pl.DataFrame = pl.DataFrame(state.rows, schema=dict.fromkeys(columns, pl.Float64))
    history = history.with_columns(pl.col("step").cast(pl.Int64))
    steps = int(state.rows[state.best_epoch - 1]["step"]) if state.best_epoch else 0
    deviation = ball.deviation(network)
    return Fit(network, history, why, steps, float(state.best_epoch), deviation, None, converged, robust)


def _check_settings(
    epsilon: float, lr: float, batch_size: int, attack_steps: int, max_epochs: int, protocol: str, momentum: float,
    schedule: str,
) -> None:  # fmt: skip
    for name, number in (("epsilon", epsilon), ("lr", lr)):
        if not 0 < number < math.inf:
            raise UsageError(f"{name} must be positive and finite, got {number}.")
    if not 0 <= momentum < 1:
        raise UsageError(f"momentum must be in [0, 1), got {momentum}.")
    for name, count in (("batch_size", batch_size), ("attack_steps", attack_steps), ("max_epochs", max_epochs)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UsageError(f"{name} must be an integer >= 1, got {count!r}.")
    for name, given, known in (("protocol", protocol, get_args(Protocol)), ("schedule", schedule, get_args(Schedule))):
        if given not in known:
            raise UsageError(f"{name} must be {' or '.join(map(repr, known))}, got {given!r}.")
