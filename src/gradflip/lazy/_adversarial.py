"""Projected adversarial training (Algorithm 1): SGD on attacked examples, every neuron drawn back onto its ball."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip._seeds import generator
from gradflip.attacks import TwoLayerStack, ascend, pgd, rounded_budget
from gradflip.lazy._ball import LazyBall
from gradflip.lazy._checkpoint import read_checkpoint, write_checkpoint
from gradflip.lazy._examples import check_examples
from gradflip.lazy._fit import Fit, StopReason
from gradflip.lazy._variants import Variant, variant
from gradflip.networks import TwoLayer

if TYPE_CHECKING:
    import polars as pl

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
        protocol: The paper's text, its published scripts, or another `Variant`.
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

    Source: Wang et al. (2022), Algorithm 1; docs/mathematics/lazy-training.md, "Adversarial training";
        docs/mathematics/published-protocol.md, "Adversarial protocols" for the published scripts.
    """
    _check_settings([epsilon], lr, batch_size, attack_steps, max_epochs, momentum, schedule)
    chosen = variant(protocol)
    points, labels = _examples([network0], [ball], x, y, clip)
    trainer = _Trainer(
        [network0], [ball], points, labels, [epsilon], lr, batch_size, attack_steps, max_epochs, chosen, clip, warm,
        momentum, schedule, [seed],
    )  # fmt: skip
    settings: dict[str, Any] = {
        "epsilon": epsilon, "radius": ball.radius, "lr": lr, "batch_size": batch_size, "attack_steps": attack_steps,
        "max_epochs": max_epochs, "protocol": asdict(chosen), "clip": list(clip) if clip else None, "warm": warm,
        "momentum": momentum, "schedule": schedule, "seed": seed, "examples": len(points),
        "data": float(points.to(torch.float64).sum()), "start": float(network0.W.to(torch.float64).sum()),
    }  # fmt: skip
    if checkpoint is not None:
        kept = read_checkpoint(checkpoint, settings)
        if kept is not None:
            trainer.state.restore(*kept)
    while trainer.open():
        trainer.epoch()
        if checkpoint is not None:
            write_checkpoint(checkpoint, settings, *trainer.state.kept())
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
    """`train_adversarially` of many runs on the same examples as one batched computation.

    Narrow networks train faster so; the results are those of the single runs up to the rounding of their type. A run
    that stops drops out.

    Args:
        networks0: The initialisation of each run, of one shape and activation.
        x: Training inputs.
        y: Labels.
        epsilons: Budget of each run.
        balls: Ball of each run.
        seeds: Seed of each run.
        lr: As for `train_adversarially`, like all others.
        batch_size: Examples a step.
        attack_steps: Steps of an attack.
        max_epochs: Passes over the data.
        protocol: Text, published or a `Variant`.
        clip: Box.
        warm: Whether attacks go on from the epoch before.
        momentum: Of SGD.
        schedule: Of the learning rate.
        test: For `Fit.robust_accuracy`.
        progress: Called with the share of `max_epochs` done.

    Returns:
        A `Fit` for each run, in order.

    Raises:
        UsageError: If a shape, a label or a setting is not as stated, or the networks differ in form.

    Shape:
        x `(n, d)`, y `(n,)`. Memory for the runs together.
    """
    _check_settings(epsilons, lr, batch_size, attack_steps, max_epochs, momentum, schedule)
    chosen = variant(protocol)
    counts = {len(networks0), len(epsilons), len(balls), len(seeds)}
    if len(counts) != 1 or 0 in counts:
        raise UsageError(
            "networks0, epsilons, balls and seeds must have one entry for each run, got "
            f"{len(networks0)}, {len(epsilons)}, {len(balls)} and {len(seeds)}."
        )
    points, labels = _examples(networks0, balls, x, y, clip)
    trainer = _Trainer(
        networks0, balls, points, labels, epsilons, lr, batch_size, attack_steps, max_epochs, chosen, clip, warm,
        momentum, schedule, seeds,
    )  # fmt: skip
    while trainer.open():
        trainer.epoch()
        if progress:
            progress(trainer.epochs / max_epochs)
    return trainer.fits(test)


class _State:
    """All that trainings go on from: weights, velocities, perturbations, orders, histories; a leading axis of runs."""

    def __init__(self, networks0: Sequence[TwoLayer], n: int, seeds: Sequence[int]) -> None:
        self.W = torch.stack([network.W for network in networks0])
        biases = [network.bias for network in networks0 if network.bias is not None]
        self.bias = torch.stack(biases) if biases else None
        self.W_speed = torch.zeros_like(self.W)
        self.bias_speed = None if self.bias is None else torch.zeros_like(self.bias)
        self.p = self.W.new_zeros(len(networks0), n, self.W.shape[2])
        self.best_W, self.best_bias = self.W.clone(), None if self.bias is None else self.bias.clone()
        self.permutation = torch.arange(n).repeat(len(networks0), 1)
        self.draws = [generator(seed, "adversarial batches") for seed in seeds]
        self.logs = [_Log() for _ in networks0]

    def tensors(self) -> dict[str, Tensor]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def keep(self, rows: list[int]) -> None:
        """Go on with some of the runs."""
        for name, value in self.tensors().items():
            setattr(self, name, value[rows])
        self.draws, self.logs = [self.draws[i] for i in rows], [self.logs[i] for i in rows]

    def kept(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return tensors and numbers of a single run, for a checkpoint."""
        return self.tensors() | {"draw": self.draws[0].get_state()}, vars(self.logs[0])

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Go on from what `kept` gave."""
        self.draws[0].set_state(tensors.pop("draw"))
        for name, value in tensors.items():
            getattr(self, name).copy_(value)
        vars(self.logs[0]).update(numbers)


class _Log:
    """What a training knows of itself."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.best, self.last, self.waited, self.best_epoch, self.steps = -1.0, -1.0, 0, 0, 0
        self.diverged = False

    def compare(self, accuracy: float, *, with_best: bool) -> bool:
        """Whether these weights are kept: by the text the best so far, in the scripts the last."""
        risen = accuracy > (self.best if with_best else self.last) + PROGRESS
        self.waited = 0 if risen else self.waited + 1
        self.last = accuracy
        if accuracy > self.best or not with_best:
            self.best, self.best_epoch = accuracy, len(self.rows)
            return True
        return False


class _Trainer:
    """Epochs of SGD on a state's weights, which the attack reads where they are."""

    def __init__(
        self, networks0: Sequence[TwoLayer], balls: Sequence[LazyBall], x: Tensor, y: Tensor,
        epsilons: Sequence[float], lr: float, batch_size: int, attack_steps: int, max_epochs: int, protocol: Variant,
        clip: tuple[float, float] | None, warm: bool, momentum: float, schedule: Schedule, seeds: Sequence[int],
    ) -> None:  # fmt: skip
        self.networks0, self.balls, self.x, self.y, self.epsilons = list(networks0), list(balls), x, y, list(epsilons)
        self.lr, self.batch_size, self.attack_steps, self.max_epochs = lr, batch_size, attack_steps, max_epochs
        self.clip, self.warm = clip, warm
        self.fresh, self.with_best = protocol.attack == "batch", protocol.stop == "best"
        self.every_step = protocol.projection == "step"
        self.momentum, self.schedule = momentum, schedule
        self.runs = list(range(len(self.networks0)))  # those that still train, by their place
        self.state = _State(self.networks0, len(x), seeds)
        self.start = _State(self.networks0, 0, seeds)
        self.done: dict[int, tuple[_Log, Tensor, Tensor | None, StopReason]] = {}
        self._gather()

    @property
    def epochs(self) -> int:
        """Epochs done, of the runs that still train."""
        return len(self.state.logs[0].rows) if self.runs else self.max_epochs

    def open(self) -> bool:
        """Whether a run still trains; those that have ended drop out."""
        ended: dict[int, StopReason] = {}
        for i, log in enumerate(self.state.logs if self.runs else []):
            if log.diverged:
                ended[i] = StopReason.DIVERGED
            elif log.waited > (PATIENCE - 1 if self.with_best else PATIENCE):
                ended[i] = StopReason.PLATEAU
            elif len(log.rows) >= self.max_epochs:
                ended[i] = StopReason.MAX_EPOCHS
        if ended:
            self._finish(ended)
        return bool(self.runs)

    def epoch(self) -> None:
        """One pass over the data of every run that still trains, and what follows from it."""
        state, k = self.state, self.epochs
        lr = self.lr if self.schedule == "constant" else 0.5 * self.lr * (1 + math.cos(math.pi * k / self.max_epochs))
        if k == 0 or self.fresh:
            for i, draw in enumerate(state.draws):
                state.permutation[i] = torch.randperm(len(self.x), generator=draw)
        if not self.every_step:
            self.project()  # of the epoch before: what is returned is measured before it
        if not self.fresh:
            self._attack_all()
        steps = min(self.attack_steps, WARM_STEPS) if self.warm and k else self.attack_steps
        loss, correct = self._pass(state.permutation.to(self.x.device), lr, steps if self.fresh else 0)
        deviations = self.distances().amax(dim=1).tolist()
        for i, log in enumerate(state.logs):
            log.steps += -(-len(self.x) // self.batch_size)
            log.rows.append({
                "epoch": k + 1.0, "step": float(log.steps), "loss": loss[i], "robust_train_accuracy": correct[i],
                "deviation": deviations[i],
            })  # fmt: skip
            if not math.isfinite(loss[i]):
                log.diverged = True
                continue
            if log.compare(correct[i], with_best=self.with_best):
                state.best_W[i] = state.W[i]
                if state.bias is not None and state.best_bias is not None:
                    state.best_bias[i] = state.bias[i]

    def project(self) -> None:
        """Draw every row of [W, b] outside its ball back onto it."""
        state, start, distance = self.state, self.start, self.distances()
        run, row = (distance > self._radius).nonzero(as_tuple=True)
        if not len(run):
            return
        # a little inside, by the rounding of a row in the type of the network
        own = start.W[run, row]
        longest = torch.linalg.vector_norm(own, dim=1) + self._radius[run, 0]
        target = (self._radius[run, 0] - 4 * torch.finfo(own.dtype).eps * longest).clamp(min=0.0)
        factor = (target / distance[run, row]).to(own.dtype)
        state.W[run, row] = torch.lerp(own, state.W[run, row], factor[:, None])
        if state.bias is not None and start.bias is not None:
            state.bias[run, row] = torch.lerp(start.bias[run, row], state.bias[run, row], factor)

    def distances(self) -> Tensor:
        """|w_j - w_(j,0)|, `(runs, m)`."""
        state, start = self.state, self.start
        distance: Tensor = torch.linalg.vector_norm(state.W - start.W, dim=2)
        if state.bias is None or start.bias is None:
            return distance
        return torch.hypot(distance, state.bias - start.bias)

    def fits(self, test: tuple[Tensor, Tensor] | None) -> list[Fit]:
        """What became of every run."""
        return [self._fit(i, *self.done[i], test) for i in range(len(self.networks0))]

    def _gather(self) -> None:
        """What depends on which runs still train."""
        some, state = [self.networks0[i] for i in self.runs], self.state
        self._radius = self.x.new_tensor([self.balls[i].radius for i in self.runs])[:, None]
        self._epsilon = self.x.new_tensor([self.epsilons[i] for i in self.runs])[:, None]
        self._budget = rounded_budget(self.x, self._epsilon)
        a, c = torch.stack([network.a for network in some]), self.x.new_tensor([n.output_bias or 0.0 for n in some])
        self._stack = TwoLayerStack(state.W, state.bias, a, c, some[0].activation)

    def _finish(self, ended: dict[int, StopReason]) -> None:
        state = self.state
        for i, why in ended.items():
            bias = None if state.best_bias is None else state.best_bias[i].clone()
            self.done[self.runs[i]] = (state.logs[i], state.best_W[i].clone(), bias, why)
        rest = [i for i in range(len(self.runs)) if i not in ended]
        self.runs = [self.runs[i] for i in rest]
        if rest:
            state.keep(rest)
            self.start.keep(rest)
            self._gather()

    def _attack_all(self) -> None:
        """Attack the whole set from the inputs themselves, as the published scripts do once an epoch."""
        state, runs = self.state, len(self.runs)
        length = 2.5 * self._epsilon / self.attack_steps
        for part in torch.split(torch.arange(len(self.x), device=self.x.device), 1024):
            x, y = self.x[part].expand(runs, -1, -1), self.y[part].expand(runs, -1)
            p = state.p.new_zeros(x.shape)
            ascend(self._stack.gradient, x, y, p, self._budget[:, part], length, self.attack_steps, self.clip)
            state.p[:, part] = p

    def _pass(self, order: Tensor, lr: float, steps: int) -> tuple[list[float], list[float]]:
        """Mean loss and share still correct, each batch under attack before its step."""
        state, runs = self.state, torch.arange(len(self.runs), device=self.x.device)[:, None]
        loss = correct = self.x.new_zeros(len(self.runs), dtype=torch.float64)
        length = 2.5 * self._epsilon / max(1, steps)
        for part in torch.split(order, self.batch_size, dim=1):
            x, y, p = self.x[part], self.y[part], state.p[runs, part]
            if steps:
                p = p if self.warm else p.zero_()
                ascend(self._stack.gradient, x, y, p, self._budget.gather(1, part), length, steps, self.clip)
                state.p[runs, part] = p
            margins = self._step(x.add_(p), y, lr)
            if self.every_step:
                self.project()
            loss = loss + torch.nn.functional.softplus(-margins).sum(dim=1)
            correct = correct + (margins > 0).sum(dim=1)
        return (loss / len(self.x)).tolist(), (correct / len(self.x)).tolist()

    def _step(self, x: Tensor, y: Tensor, lr: float) -> Tensor:
        """Take a step of SGD on one batch of every run; its margins before the step."""
        state, stack = self.state, self._stack
        u = stack.pre_activations(x)
        margins = y * stack.values(u)
        pull = torch.sigmoid(-margins) * y / x.shape[1]
        q = stack.pulls(u).mul_(pull[..., None])
        if self.momentum:
            state.W_speed.mul_(self.momentum).baddbmm_(q.mT, x)
            state.W.add_(state.W_speed, alpha=lr)
        else:
            state.W.baddbmm_(q.mT, x, alpha=lr)
        if state.bias is not None and state.bias_speed is not None:
            state.bias_speed.mul_(self.momentum).add_(q.sum(dim=1))
            state.bias.add_(state.bias_speed, alpha=lr)
        return margins

    def _fit(
        self, i: int, log: _Log, W: Tensor, bias: Tensor | None, why: StopReason, test: tuple[Tensor, Tensor] | None
    ) -> Fit:
        import polars as pl

        about = self.networks0[i]
        network = TwoLayer(W, about.a, bias, about.output_bias, about.activation)
        found = [row["robust_train_accuracy"] for row in log.rows]
        best = [max(found[:k]) for k in range(1, len(found) + 1)] if self.with_best else found
        converged = len(best) > 1 and abs(best[-1] - best[len(best) // 2 - 1]) < 0.01
        robust = None
        if test is not None:
            test_x, test_y = check_examples(about, *test, "test x", "test y")
            robust = pgd(network, test_x, test_y, self.epsilons[i], restarts=5, clip=self.clip).robust_accuracy
        columns = ("epoch", "step", "loss", "robust_train_accuracy", "deviation")
        history: pl.DataFrame = pl.DataFrame(log.rows, schema=dict.fromkeys(columns, pl.Float64))
        history = history.with_columns(pl.col("step").cast(pl.Int64))
        steps = int(log.rows[log.best_epoch - 1]["step"]) if log.best_epoch else 0
        deviation = self.balls[i].deviation(network)
        return Fit(network, history, why, steps, float(log.best_epoch), deviation, None, converged, robust)


def _examples(
    networks0: Sequence[TwoLayer], balls: Sequence[LazyBall], x: Tensor, y: Tensor, clip: tuple[float, float] | None
) -> tuple[Tensor, Tensor]:
    """Checked inputs and labels; the networks must be of one form and in the middle of their balls."""
    first = networks0[0]
    for network0, ball in zip(networks0, balls, strict=True):
        if network0.scaling != "unit":
            raise UsageError(
                "network0 must be in 'unit' scaling for adversarial training; use network0.rescale('unit')."
            )
        same = network0.W.shape == first.W.shape and (network0.bias is None) == (first.bias is None)
        if not same or network0.activation.name != first.activation.name or network0.W.dtype != first.W.dtype:
            raise UsageError("networks0 must all have the same shape, type, activation and biases.")
        if ball.deviation(network0) != 0:
            raise UsageError("ball must be around network0; build it as LazyBall(network0, C0).")
    points, labels = check_examples(first, x, y, "x", "y")
    if clip is not None and not bool(((points >= clip[0]) & (points <= clip[1])).all()):
        raise UsageError(f"x must lie in the box clip={clip}; leave clip out or scale the inputs.")
    return points, labels


def _check_settings(
    epsilons: Sequence[float], lr: float, batch_size: int, attack_steps: int, max_epochs: int,
    momentum: float, schedule: str,
) -> None:  # fmt: skip
    for name, number in (*(("epsilon", epsilon) for epsilon in epsilons), ("lr", lr)):
        if not 0 < number < math.inf:
            raise UsageError(f"{name} must be positive and finite, got {number}.")
    if not 0 <= momentum < 1:
        raise UsageError(f"momentum must be in [0, 1), got {momentum}.")
    for name, count in (("batch_size", batch_size), ("attack_steps", attack_steps), ("max_epochs", max_epochs)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UsageError(f"{name} must be an integer >= 1, got {count!r}.")
    if schedule not in get_args(Schedule):
        raise UsageError(f"schedule must be {' or '.join(map(repr, get_args(Schedule)))}, got {schedule!r}.")
