"""Epochs of projected adversarial training for several runs at once: attack, step, projection, stop rule.

Source: Wang et al. (2022), Algorithm 1; docs/mathematics/lazy-training.md, "Adversarial training".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.attacks import TwoLayerStack, ascend, pgd, rounded_budget
from gradflip.lazy._ball import LazyBall
from gradflip.lazy._examples import check_examples
from gradflip.lazy._fit import Fit, StopReason
from gradflip.lazy._settings import SGD, TrainingAttack
from gradflip.lazy.adversarial._state import Log, State
from gradflip.lazy.adversarial._variants import Variant
from gradflip.networks import TwoLayer

if TYPE_CHECKING:
    import polars as pl

PATIENCE = 20
"""Epochs without progress after which training stops."""

_BLOCK = 1024  # examples attacked at once, where the whole set is


@dataclass(frozen=True, eq=False)
class Run:
    """One of the runs that are trained together.

    Attributes:
        network0: The initialisation.
        ball: The ball around it.
        epsilon: Budget of the attack, an L2 norm.
        seed: Seed of the order of the examples.

    Raises:
        UsageError: If epsilon is not positive and finite, the network is not in `unit` scaling, or is not the centre of
            the ball.
    """

    network0: TwoLayer
    ball: LazyBall
    epsilon: float
    seed: int

    def __post_init__(self) -> None:
        """Check that the parts fit together."""
        if not 0 < self.epsilon < math.inf:
            raise UsageError(f"epsilon must be positive and finite, got {self.epsilon}.")
        if self.network0.scaling != "unit":
            raise UsageError(
                "network0 must be in 'unit' scaling for adversarial training; use network0.rescale('unit')."
            )
        if self.ball.deviation(self.network0) != 0:
            raise UsageError("ball must be around network0; build it as LazyBall(network0, C0).")


@dataclass(frozen=True, eq=False)
class _Outcome:
    """The end of a run: its record, the weights to be returned, and why it stopped."""

    log: Log
    W: Tensor
    bias: Tensor | None
    why: StopReason


class Trainer:
    """Epochs of SGD on the weights of a state, which the attack reads in place.

    Attributes:
        runs: All runs.
        active: Indices of those that still train.
        state: The state of the active runs.
    """

    def __init__(
        self, runs: Sequence[Run], x: Tensor, y: Tensor, sgd: SGD, attack: TrainingAttack, variant: Variant
    ) -> None:
        """Start at the initialisations.

        Args:
            runs: The runs, of networks of one form.
            x: Training inputs, checked.
            y: Their labels.
            sgd: The optimiser.
            attack: The attack on training examples.
            variant: The variant of the algorithm.
        """
        self.runs, self._x, self._y = list(runs), x, y
        self._sgd, self._attack, self._variant = sgd, attack, variant
        networks0, seeds = [run.network0 for run in runs], [run.seed for run in runs]
        self.active = list(range(len(self.runs)))
        self.state = State(networks0, len(x), seeds)
        self._start = State(networks0, 0, seeds)
        self._outcomes: dict[int, _Outcome] = {}
        self._gather()

    @property
    def epochs(self) -> int:
        """Epochs done by the active runs."""
        return len(self.state.logs[0].rows) if self.active else self._sgd.max_epochs

    def drop_ended(self) -> bool:
        """Drop the runs that have ended.

        Returns:
            Whether a run still trains.
        """
        ended: dict[int, StopReason] = {}
        patience = PATIENCE - 1 if self._variant.stop == "best" else PATIENCE
        for i, log in enumerate(self.state.logs if self.active else []):
            if log.diverged:
                ended[i] = StopReason.DIVERGED
            elif log.waited > patience:
                ended[i] = StopReason.PLATEAU
            elif len(log.rows) >= self._sgd.max_epochs:
                ended[i] = StopReason.MAX_EPOCHS
        if ended:
            self._finish(ended)
        return bool(self.active)

    def epoch(self) -> None:
        """One pass over the data for every active run, and its record."""
        state, done, fresh = self.state, self.epochs, self._variant.attack == "batch"
        if done == 0 or fresh:
            state.shuffle()
        if self._variant.projection == "epoch":
            self.project()  # of the previous epoch, since the network returned is the one before its projection
        if not fresh:
            self._attack_all()
        steps = self._attack.steps_in(done) if fresh else 0
        loss, correct = self._pass(state.permutation.to(self._x.device), self._sgd.rate(done), steps)
        deviations = self._distances().amax(dim=1).tolist()
        for i, log in enumerate(state.logs):
            log.steps += self._sgd.steps_per_epoch(len(self._x))
            log.rows.append({
                "epoch": done + 1.0, "step": float(log.steps), "loss": loss[i], "robust_train_accuracy": correct[i],
                "deviation": deviations[i],
            })  # fmt: skip
            if not math.isfinite(loss[i]):
                log.diverged = True
            elif log.compare(correct[i], with_best=self._variant.stop == "best"):
                state.keep_weights(i)

    def project(self) -> None:
        """Project every row of [W, b] onto its ball; rows inside stay as they are."""
        state, start, distance = self.state, self._start, self._distances()
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

    def fits(self, test: tuple[Tensor, Tensor] | None) -> list[Fit]:
        """The results, once no run trains any more.

        Args:
            test: Inputs and labels on which the robust accuracy is measured.

        Returns:
            A `Fit` per run.
        """
        return [self._fit(run, self._outcomes[i], test) for i, run in enumerate(self.runs)]

    def _distances(self) -> Tensor:
        """|w_j - w_(j,0)|, `(runs, m)`."""
        state, start = self.state, self._start
        distance: Tensor = torch.linalg.vector_norm(state.W - start.W, dim=2)
        if state.bias is None or start.bias is None:
            return distance
        return torch.hypot(distance, state.bias - start.bias)

    def _gather(self) -> None:
        """Collect what depends on which runs are active."""
        runs, state = [self.runs[i] for i in self.active], self.state
        self._radius = self._x.new_tensor([run.ball.radius for run in runs])[:, None]
        self._epsilon = self._x.new_tensor([run.epsilon for run in runs])[:, None]
        self._budget = rounded_budget(self._x, self._epsilon)
        networks0 = [run.network0 for run in runs]
        a = torch.stack([network.a for network in networks0])
        c = self._x.new_tensor([network.output_bias or 0.0 for network in networks0])
        self._stack = TwoLayerStack(state.W, state.bias, a, c, networks0[0].activation)

    def _finish(self, ended: dict[int, StopReason]) -> None:
        state = self.state
        for i, why in ended.items():
            bias = None if state.best_bias is None else state.best_bias[i].clone()
            self._outcomes[self.active[i]] = _Outcome(state.logs[i], state.best_W[i].clone(), bias, why)
        rest = [i for i in range(len(self.active)) if i not in ended]
        self.active = [self.active[i] for i in rest]
        if rest:
            state.select(rest)
            self._start.select(rest)
            self._gather()

    def _attack_all(self) -> None:
        """Attack the whole set from the inputs themselves, as the published scripts do once per epoch."""
        state, runs, attack = self.state, len(self.active), self._attack
        length = 2.5 * self._epsilon / attack.steps
        for part in torch.split(torch.arange(len(self._x), device=self._x.device), _BLOCK):
            x, y = self._x[part].expand(runs, -1, -1), self._y[part].expand(runs, -1)
            p = state.p.new_zeros(x.shape)
            ascend(self._stack.gradient, x, y, p, self._budget[:, part], length, attack.steps, attack.clip)
            state.p[:, part] = p

    def _pass(self, order: Tensor, lr: float, attack_steps: int) -> tuple[list[float], list[float]]:
        """Mean loss and share still correct, each batch under attack before its step; stale attacks if no steps."""
        state, attack = self.state, self._attack
        runs = torch.arange(len(self.active), device=self._x.device)[:, None]
        loss = correct = self._x.new_zeros(len(self.active), dtype=torch.float64)
        length = 2.5 * self._epsilon / max(1, attack_steps)
        for part in torch.split(order, self._sgd.batch_size, dim=1):
            x, y, p = self._x[part], self._y[part], state.p[runs, part]
            if attack_steps:
                p = p if attack.warm else p.zero_()
                budget = self._budget.gather(1, part)
                ascend(self._stack.gradient, x, y, p, budget, length, attack_steps, attack.clip)
                state.p[runs, part] = p
            margins = self._step(x.add_(p), y, lr)
            if self._variant.projection == "step":
                self.project()
            loss = loss + torch.nn.functional.softplus(-margins).sum(dim=1)
            correct = correct + (margins > 0).sum(dim=1)
        return (loss / len(self._x)).tolist(), (correct / len(self._x)).tolist()

    def _step(self, x: Tensor, y: Tensor, lr: float) -> Tensor:
        """Take a step of SGD on one batch of every run; returns its margins before the step."""
        state, stack, momentum = self.state, self._stack, self._sgd.momentum
        u = stack.pre_activations(x)
        margins = y * stack.values(u)
        weight = torch.sigmoid(-margins) * y / x.shape[1]  # minus the derivative of the mean loss in f
        q = stack.pulls(u).mul_(weight[..., None])
        if momentum:
            state.W_speed.mul_(momentum).baddbmm_(q.mT, x)
            state.W.add_(state.W_speed, alpha=lr)
        else:
            state.W.baddbmm_(q.mT, x, alpha=lr)
        if state.bias is not None and state.bias_speed is not None:
            state.bias_speed.mul_(momentum).add_(q.sum(dim=1))
            state.bias.add_(state.bias_speed, alpha=lr)
        return margins

    def _fit(self, run: Run, outcome: _Outcome, test: tuple[Tensor, Tensor] | None) -> Fit:
        about, log = run.network0, outcome.log
        network = TwoLayer(outcome.W, about.a, outcome.bias, about.output_bias, about.activation)
        robust = None
        if test is not None:
            test_x, test_y = check_examples(about, *test, "test x", "test y")
            robust = pgd(network, test_x, test_y, run.epsilon, restarts=5, clip=self._attack.clip).robust_accuracy
        steps = int(log.rows[log.best_epoch - 1]["step"]) if log.best_epoch else 0
        return Fit(
            network, _history(log), outcome.why, steps, float(log.best_epoch), run.ball.deviation(network), None,
            self._converged(log), robust,
        )  # fmt: skip

    def _converged(self, log: Log) -> bool:
        """Whether the second half of the epochs changed the robust training accuracy by less than 0.01."""
        accuracies = [row["robust_train_accuracy"] for row in log.rows]
        if self._variant.stop == "best":
            accuracies = [max(accuracies[:k]) for k in range(1, len(accuracies) + 1)]
        return len(accuracies) > 1 and abs(accuracies[-1] - accuracies[len(accuracies) // 2 - 1]) < 0.01


def _history(log: Log) -> pl.DataFrame:
    import polars as pl

    columns = ("epoch", "step", "loss", "robust_train_accuracy", "deviation")
    history = pl.DataFrame(log.rows, schema=dict.fromkeys(columns, pl.Float64))
    return history.with_columns(pl.col("step").cast(pl.Int64))
