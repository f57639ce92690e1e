"""Standard training in the lazy regime: mini-batch SGD on the logistic loss, stopped at the surface of a ball."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip._seeds import generator
from gradflip.lazy._ball import LazyBall
from gradflip.lazy._descent import Batch, Descent
from gradflip.lazy._examples import check_examples
from gradflip.lazy._fit import Fit, StopReason
from gradflip.lazy._history import Recorder
from gradflip.lazy._rows import with_rows
from gradflip.lazy._settings import SGD, check_count, check_word
from gradflip.networks import TwoLayer

Check = Literal["step", "epoch"]
Keep = Literal["inside", "outside"]
Shuffle = Literal["every-epoch", "once"]


def train(
    network0: TwoLayer,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    *,
    ball: LazyBall | None = None,
    lr: float = 0.1,
    batch_size: int = 64,
    max_epochs: int = 1000,
    check: Check = "step",
    keep: Keep = "inside",
    shuffle: Shuffle = "every-epoch",
    seed: int = 0,
    test: tuple[Float[Tensor, "k d"], Float[Tensor, " k"]] | None = None,
    record_every: int = 1,
    progress: Callable[[float], None] | None = None,
) -> Fit:
    """Train W (and b) by SGD on log(1 + exp(-y f)) until an iterate leaves the ball.

    Top weights and output bias are not trained. A `sqrt-d` network is trained in `unit` scaling, on x / sqrt(d), and
    returned in its own scaling, so that `lr` means the same in both.

    Args:
        network0: The initialisation.
        x: Training inputs.
        y: Labels, -1 or +1.
        ball: The ball around `network0` at whose surface training stops; `None` for none.
        lr: Learning rate.
        batch_size: Examples per step.
        max_epochs: Upper limit of the passes over the data.
        check: Whether the ball is checked after every step (text of the paper) or once per epoch (published runs).
        keep: Whether to return the last checked iterate inside the ball (text), or the first outside (published runs).
        shuffle: New batches every epoch, or one order for all epochs (published runs).
        seed: Seed of the order of the examples.
        test: Inputs and labels whose error the history records.
        record_every: Epochs between two rows of the history; above 1 where an epoch is only a few steps.
        progress: Called after each epoch with the fraction of `max_epochs` completed.

    Returns:
        The trained network and its record.

    Raises:
        UsageError: If a shape, a label or a setting is wrong.

    Shape:
        x `(n, d)`, y `(n,)`. Two matrix products per step; the check after every step is nearly free.

    Source: Wang et al. (2022), Section 5.1; docs/mathematics/lazy-training.md, "SGD up to the surface".
    """
    balls = [] if ball is None else [ball]
    fits = train_through(
        network0, x, y, balls=balls, lr=lr, batch_size=batch_size, max_epochs=max_epochs, check=check, keep=keep,
        shuffle=shuffle, seed=seed, test=test, record_every=record_every, progress=progress,
    )  # fmt: skip
    return fits[0]


def train_through(
    network0: TwoLayer,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    *,
    balls: Sequence[LazyBall],
    lr: float = 0.1,
    batch_size: int = 64,
    max_epochs: int = 1000,
    check: Check = "step",
    keep: Keep = "inside",
    shuffle: Shuffle = "every-epoch",
    seed: int = 0,
    test: tuple[Float[Tensor, "k d"], Float[Tensor, " k"]] | None = None,
    record_every: int = 1,
    progress: Callable[[float], None] | None = None,
) -> list[Fit]:
    """Train once through several balls around one initialisation: the `Fit` that `train` returns for each of them.

    The check after every step is exact and nearly free: bounds of how far each step moves a neuron, summed since the
    last exact deviation, bound the deviation, which is computed only where the bound exceeds the radius.

    Args:
        network0: The initialisation.
        x: Training inputs.
        y: Labels, -1 or +1.
        balls: Balls around `network0`; without any, one `Fit` of the whole training.
        lr: Learning rate.
        batch_size: Examples per step.
        max_epochs: Upper limit of the passes over the data.
        check: As for `train`.
        keep: As for `train`.
        shuffle: As for `train`.
        seed: Seed of the order of the examples.
        test: Inputs and labels whose error the history records.
        record_every: Epochs between two rows of the history; above 1 where an epoch is only a few steps.
        progress: Called after each epoch with the fraction of `max_epochs` completed.

    Returns:
        A `Fit` per ball, in the given order.

    Raises:
        UsageError: If a shape, a label or a setting is wrong.

    Shape:
        x `(n, d)`, y `(n,)`.

    Source: docs/mathematics/lazy-training.md, "SGD up to the surface".
    """
    unit = network0.rescale("unit")
    factor = 1.0 if network0.scaling == "unit" else 1 / math.sqrt(network0.dim)
    sgd, rules = SGD(lr, batch_size, max_epochs), _Rules(check, keep, shuffle, record_every)
    if lr > torch.finfo(unit.W.dtype).max:
        raise UsageError(f"lr must be positive and finite in {unit.W.dtype}, the type of the network, got {lr}.")
    for ball in balls:
        if ball.deviation(unit) != 0:
            raise UsageError("each ball must be around network0; build it as LazyBall(network0, C0).")
    points, labels = check_examples(unit, x, y, "x", "y")
    test_points, test_labels = check_examples(unit, *test, "test x", "test y") if test else (None, None)
    if test_points is not None:
        test_points = test_points * factor
    descent = Descent(unit, points * factor, labels, lr)
    recorder = Recorder(unit, descent.points, descent.labels, test_points, test_labels)
    trajectory = _Trajectory(network0, balls, sgd, rules, seed, descent, recorder)
    return trajectory.run(progress)


@dataclass(frozen=True)
class _Rules:
    """When the balls are checked, which iterate is kept, how batches are drawn, how often a row is recorded."""

    check: Check
    keep: Keep
    shuffle: Shuffle
    record_every: int

    def __post_init__(self) -> None:
        check_count("record_every", self.record_every)
        check_word("check", self.check, get_args(Check))
        check_word("keep", self.keep, get_args(Keep))
        check_word("shuffle", self.shuffle, get_args(Shuffle))


class _Iterate(NamedTuple):
    """Weights as `Descent.trained` holds them, and the steps that lead to them."""

    trained: Tensor
    steps: int


class _Trajectory:
    """One SGD trajectory through balls around its start.

    Attributes:
        open: Indices of the balls that no checked iterate was outside of, smallest first.
        fits: Results by ball, for those that training is done with.
        steps: Steps done.
        inside: The last iterate that was checked, inside all open balls.
        bound: Upper bound of the deviation of the current iterate.
        free: Number of next steps that stay inside whatever they are: none of them waits for an accelerator.
    """

    def __init__(
        self, network0: TwoLayer, balls: Sequence[LazyBall], sgd: SGD, rules: _Rules, seed: int, descent: Descent,
        recorder: Recorder,
    ) -> None:  # fmt: skip
        self._network0, self._balls, self._sgd, self._rules = network0, balls, sgd, rules
        self._descent, self._recorder = descent, recorder
        self._generator = generator(seed, "batches")
        self._permutation = self._shuffled()
        self.open = sorted(range(len(balls)), key=lambda i: balls[i].radius)
        self.fits: dict[int, Fit] = {}
        self.steps = 0
        self.inside = _Iterate(descent.trained.clone(), 0)
        self.bound = 0.0
        self.free = 0
        recorder.add(0.0, 0, descent.trained.mT, None)

    def run(self, progress: Callable[[float], None] | None) -> list[Fit]:
        """Train until every ball is left, the loss diverges or the epochs are done."""
        for epoch in range(self._sgd.max_epochs):
            if not self._epoch(epoch):
                break
            if progress:
                progress((epoch + 1) / self._sgd.max_epochs)
        else:
            self._finish(StopReason.MAX_EPOCHS, self._now())
        return [self.fits[i] for i in sorted(self.fits)]

    def _epoch(self, epoch: int) -> bool:
        """One pass over the data; whether training continues."""
        descent, rules = self._descent, self._rules
        if rules.shuffle == "every-epoch" and epoch:
            self._permutation = self._shuffled()
        order = self._permutation.to(descent.labels.device)
        if not all(self._step(batch) for batch in descent.batches(order, self._sgd.batch_size)):
            return False
        if (epoch + 1) % rules.record_every == 0:
            self._recorder.add(epoch + 1.0, self.steps, descent.trained.mT, descent.passed())
        if rules.check == "step" and self._balls:
            return True  # checked after every step
        if not bool(descent.trained.isfinite().all()):
            return self._finish(StopReason.DIVERGED, self.inside)
        if rules.check == "epoch" and not self._leave(descent.deviation()):
            return False
        self._remember()
        return True

    def _step(self, batch: Batch) -> bool:
        """One step of SGD; whether training continues."""
        descent, every_step = self._descent, self._rules.check == "step"
        statistics = descent.gradient(batch)
        if self.free > 0:
            descent.note(statistics)
            descent.move(batch)
            self.steps, self.free = self.steps + 1, self.free - 1
            return True
        self.bound += descent.noted()
        reach = descent.reach(statistics)
        if math.isnan(self.bound + reach):
            return self._finish(StopReason.DIVERGED, self.inside)
        may_leave = every_step and self.bound + reach > self._radius()
        if may_leave:
            self._remember()
        descent.move(batch)
        self.steps += 1
        self.bound += reach
        if may_leave:
            self.bound = descent.deviation()
            if not self._leave(self.bound):
                return False
        if descent.waits:
            self.free = descent.steps_within(self._radius() - self.bound if every_step and self.open else math.inf)
        return True

    def _leave(self, deviation: float) -> bool:
        """Finish the balls that the current iterate is outside of; whether training continues."""
        while self.open and deviation > self._radius():
            kept = self.inside if self._rules.keep == "inside" else self._now()
            i = self.open.pop(0)
            self.fits[i] = self._fit(i, StopReason.LEFT_BALL, kept, deviation)
        return bool(self.open) or not self._balls

    def _finish(self, why: StopReason, kept: _Iterate) -> bool:
        """Finish the balls that are still open, or the training without a ball; training does not continue."""
        for i in self.open or [0]:
            self.fits[i] = self._fit(i, why, kept, None)
        return False

    def _fit(self, i: int, why: StopReason, kept: _Iterate, left_at: float | None) -> Fit:
        unit, scaling = self._descent.network, self._network0.scaling
        # a copy, since training may continue in this memory
        trained = kept.trained.mT.clone(memory_format=torch.contiguous_format)
        network = with_rows(unit, trained).rescale(scaling)
        if self._balls and self._rules.keep == "inside" and scaling != "unit":
            network = self._balls[i].project(network)  # the rescaling rounds, perhaps out of the ball
        epochs = kept.steps / self._sgd.steps_per_epoch(len(self._descent.labels))
        history = self._recorder.until(epochs, kept.steps, kept.trained.mT)
        return Fit(network, history, why, kept.steps, epochs, self._descent.deviation(kept.trained), left_at)

    def _now(self) -> _Iterate:
        return _Iterate(self._descent.trained, self.steps)

    def _remember(self) -> None:
        """Keep the current iterate, in the memory of the one before."""
        self.inside = _Iterate(self.inside.trained.copy_(self._descent.trained), self.steps)

    def _radius(self) -> float:
        """Radius of the smallest open ball."""
        return self._balls[self.open[0]].radius if self.open else math.inf

    def _shuffled(self) -> Tensor:
        return torch.randperm(len(self._descent.labels), generator=self._generator)
