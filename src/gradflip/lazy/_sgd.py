"""Standard training inside the lazy regime: mini-batch SGD on the logistic loss, stopped at the surface of a ball."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import FileError, UsageError
from gradflip._seeds import generator
from gradflip.lazy._ball import LazyBall, with_rows
from gradflip.lazy._history import Recorder
from gradflip.networks import TwoLayer

if TYPE_CHECKING:
    import polars as pl

Check = Literal["step", "epoch"]
Keep = Literal["inside", "outside"]
Shuffle = Literal["every-epoch", "once"]


_NUMBERS = ("steps", "epochs", "deviation", "left_at", "converged", "robust_accuracy")


class StopReason(enum.Enum):
    """Why a training stopped."""

    LEFT_BALL = "left-ball"
    """An iterate was outside the ball."""
    MAX_EPOCHS = "max-epochs"
    """All epochs were run and no iterate that was looked at left the ball."""
    PLATEAU = "plateau"
    """The robust training accuracy had not risen for 20 epochs (adversarial training)."""
    DIVERGED = "diverged"
    """The loss was not finite."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A trained network and how it came about.

    Attributes:
        network: The network returned: by default the last iterate inside the ball.
        history: A row per epoch, before the first and at the end (see `gradflip.lazy.Recorder` for the columns).
        stopped_because: Why training stopped.
        steps: SGD steps behind `network`.
        epochs: The same in epochs, a fraction where it stopped within one.
        deviation: max_j |w_j - w_(j,0)| of `network`, `unit` scaling.
        left_at: The same for the first iterate seen outside the ball; `None` if none was.
        converged: Of adversarial training, whether doubling the epochs moved the robust training accuracy by less than
            0.01; else `None`.
        robust_accuracy: Of adversarial training with test data, their share that PGD-100 with 5 restarts from the
            inputs themselves and from random points does not flip; else `None`.
    """

    network: TwoLayer
    history: pl.DataFrame
    stopped_because: StopReason
    steps: int
    epochs: float
    deviation: float
    left_at: float | None
    converged: bool | None = None
    robust_accuracy: float | None = None

    def save(self, path: str | Path) -> None:
        """Write the network and how it came about to one safetensors file, which `TwoLayer.load` reads too.

        Args:
            path: The file, `.safetensors`.

        Raises:
            UsageError: If the activation is not a built-in one.
            FileError: If the file cannot be written.
        """
        numbers = {name: getattr(self, name) for name in _NUMBERS} | {"stopped_because": self.stopped_because.value}
        numbers["history"] = self.history.to_dict(as_series=False)
        self.network.save(path, about={"fit": json.dumps(numbers)})

    @staticmethod
    def load(path: str | Path) -> Fit:
        """Read what `save` wrote.

        Args:
            path: The file.

        Returns:
            A `Fit`.

        Raises:
            FileError: If the file is missing or damaged, or holds a network without a training.
        """
        import polars as pl
        from safetensors import safe_open

        network = TwoLayer.load(path)
        try:
            with safe_open(str(path), framework="pt") as opened:
                numbers = json.loads((opened.metadata() or {})["fit"])
            schema = {name: pl.Int64 if name == "step" else pl.Float64 for name in numbers["history"]}
            history = pl.DataFrame(numbers.pop("history"), schema=schema)
            why = StopReason(numbers.pop("stopped_because"))
            return Fit(network, history, why, **{name: numbers[name] for name in _NUMBERS})
        except Exception as error:  # a header that is no JSON, or lacks something
            raise FileError(f"{path} holds a network but no training of it: {error!r}; use TwoLayer.load.") from error


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

    The top weights and the output bias stay as they are. A `sqrt-d` network is trained in `unit` scaling, on x /
    sqrt(d), and returned in its own: `lr` means the same in both.

    Args:
        network0: The initialisation.
        x: Training inputs.
        y: Labels, -1 or +1.
        ball: The ball that must not be left, around `network0`; `None` for none.
        lr: Learning rate.
        batch_size: Examples a step.
        max_epochs: Passes over the data at most.
        check: Whether the ball is checked after every step (the paper's text) or once an epoch (its published runs).
        keep: Whether the last iterate inside the ball that was looked at is returned, or the first outside (published
            runs).
        shuffle: New batches every epoch, or one order for all (published runs).
        seed: Seed of the order of the examples.
        test: Inputs and labels whose error the history records.
        record_every: Epochs between two rows of the history; more than 1 where an epoch is only a few steps.
        progress: Called with the share of `max_epochs` done.

    Returns:
        A `Fit`.

    Raises:
        UsageError: If a shape, a label or a setting is not as stated.

    Shape:
        x `(n, d)`, y `(n,)`. Two matrix products a step; the check costs next to nothing (`train_through`).

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
    """One trajectory through several balls around one initialisation: the `Fit` that `train` gives for each of them.

    The check after every step is exact and nearly free. In one step neuron j moves by at most (lr / sqrt m) |a_j|
    sup|sigma'| sum_i |c_i| |x_i|, c the derivative of the mean loss; the sum of these since the last look bounds the
    deviation, and only where it passes the radius is the deviation computed.

    Args:
        network0: The initialisation.
        x: Training inputs.
        y: Labels, -1 or +1.
        balls: The balls, all around `network0`; without any, one `Fit` of the whole training.
        lr: Learning rate.
        batch_size: Examples a step.
        max_epochs: Passes over the data at most.
        check: As for `train`.
        keep: As for `train`.
        shuffle: As for `train`.
        seed: Seed of the order of the examples.
        test: Inputs and labels whose error the history records.
        record_every: Epochs between two rows of the history; more than 1 where an epoch is only a few steps.
        progress: Called with the share of `max_epochs` done.

    Returns:
        A `Fit` for each ball, in the order given.

    Raises:
        UsageError: If a shape, a label or a setting is not as stated.

    Shape:
        x `(n, d)`, y `(n,)`.
    """
    unit = network0.rescale("unit")
    factor = 1.0 if network0.scaling == "unit" else 1 / math.sqrt(network0.dim)
    _check_settings(lr, batch_size, max_epochs, record_every, check, keep, shuffle)
    if lr > torch.finfo(unit.W.dtype).max:
        raise UsageError(f"lr must be positive and finite in {unit.W.dtype}, the type of the network, got {lr}.")
    for ball in balls:
        if ball.deviation(unit) != 0:
            raise UsageError("each ball must be around network0; build it as LazyBall(network0, C0).")
    points, labels = check_examples(unit, x, y, "x", "y")
    test_points, test_labels = check_examples(unit, *test, "test x", "test y") if test else (None, None)
    if test_points is not None:
        test_points = test_points * factor
    descent = _Descent(unit, points * factor, labels, lr)
    recorder = Recorder(unit, descent.points, descent.labels, test_points, test_labels)

    order = sorted(range(len(balls)), key=lambda i: balls[i].radius)
    fits: dict[int, Fit] = {}

    def finish(i: int, trained: Tensor, why: StopReason, steps: int, left_at: float | None) -> None:
        # a copy, since training may go on in this memory
        network = with_rows(unit, trained.mT.clone(memory_format=torch.contiguous_format)).rescale(network0.scaling)
        if balls and keep == "inside" and network.scaling != "unit":
            network = balls[i].project(network)  # the rescaling rounds, perhaps out of the ball
        epochs = steps / descent.steps_an_epoch(batch_size)
        seen = [row for row in recorder.rows if row["step"] <= steps]
        final = [] if seen[-1]["step"] == steps else [recorder.row(epochs, steps, trained.mT, None)]
        history = recorder.frame([*seen, *final])
        deviation = descent.deviation(trained)
        fits[i] = Fit(network, history, why, steps, epochs, deviation, left_at)

    def finish_open(trained: Tensor, why: StopReason, steps: int) -> list[Fit]:
        for i in order or [0]:
            finish(i, trained, why, steps, None)
        return [fits[i] for i in sorted(fits)]

    def all_left(deviation: float) -> bool:
        """Finish the balls that the current iterate is outside of; whether none is open any more."""
        while order and deviation > balls[order[0]].radius:
            chosen, steps = (inside, inside_steps) if keep == "inside" else (descent.trained, step)
            finish(order.pop(0), chosen, StopReason.LEFT_BALL, steps, deviation)
        return bool(balls) and not order

    draw = generator(seed, "batches")
    permutation = torch.randperm(len(labels), generator=draw)
    inside, inside_steps = descent.trained.clone(), 0  # the last iterate looked at, in all balls still open
    bound, step = 0.0, 0
    free = 0  # steps that stay inside whatever they are: on a device that is not the host none of them waits for it
    recorder.add(0.0, 0, descent.trained.mT, None)
    for epoch in range(max_epochs):
        if shuffle == "every-epoch" and epoch:
            permutation = torch.randperm(len(labels), generator=draw)
        for batch in descent.batches(permutation.to(labels.device), batch_size):
            radius = balls[order[0]].radius if order else math.inf
            signal = descent.gradient(batch)
            if free > 0:
                descent.note(signal)
                descent.move(batch)
                step, free = step + 1, free - 1
                continue
            bound += descent.noted()
            reach = descent.reach(signal)
            if math.isnan(bound + reach):
                return finish_open(inside, StopReason.DIVERGED, inside_steps)
            look = check == "step" and bound + reach > radius
            if look:
                inside.copy_(descent.trained)
                inside_steps = step
            descent.move(batch)
            step += 1
            bound += reach
            if look:
                bound = descent.deviation()
                if all_left(bound):
                    return [fits[i] for i in sorted(fits)]
            if descent.waits:
                free = descent.steps_within(balls[order[0]].radius - bound if check == "step" and order else math.inf)
        if (epoch + 1) % record_every == 0:
            recorder.add(epoch + 1.0, step, descent.trained.mT, descent.passed())
        if (check == "epoch" or not balls) and not bool(descent.trained.isfinite().all()):
            return finish_open(inside, StopReason.DIVERGED, inside_steps)
        if check == "epoch" and all_left(descent.deviation()):
            return [fits[i] for i in sorted(fits)]
        if check == "epoch" or not balls:
            inside.copy_(descent.trained)
            inside_steps = step
        if progress:
            progress((epoch + 1) / max_epochs)
    return finish_open(descent.trained, StopReason.MAX_EPOCHS, step)


@dataclass(frozen=True)
class _Signal:
    """What one step tells of itself, still on its device: sum of |c| |x| times the batch size, sum of margins."""

    pull: Tensor
    margins: Tensor
    count: int


@dataclass(frozen=True)
class _Batch:
    """Views of one step's examples in the buffers of a `_Descent`."""

    inputs: Tensor
    labels: Tensor
    lengths: Tensor
    margins: Tensor
    slopes: Tensor


class _Descent:
    """The mutable state of one trajectory, and buffers that live as long as it does.

    `trained` holds [W, b] transposed, `(k, m)`: both products of a step then read it along its rows.
    """

    def __init__(self, network: TwoLayer, x: Tensor, y: Tensor, lr: float) -> None:
        self.network, self.labels = network, y
        ones = x.new_ones(len(x), 1)
        self.points = x if network.bias is None else torch.cat([x, ones], dim=1)
        start = network.W if network.bias is None else torch.cat([network.W, network.bias[:, None]], dim=1)
        self._start = start.mT.contiguous()
        self.trained = self._start.clone()
        self._moved = torch.empty_like(self._start)
        self._top = network.a / math.sqrt(network.width)
        self._lr = lr
        self._lengths = torch.linalg.vector_norm(self.points, dim=1)
        sigma = network.activation
        self._relu = sigma.is_relu
        steepest = math.inf if sigma.lipschitz is None else float(network.a.abs().max()) * sigma.lipschitz
        # a sum of float32 terms errs by far less than 1e-5
        self._rate = lr / math.sqrt(network.width) * steepest * (1 + 1e-5)
        # each entry of W rounds by half a unit in the last place a step
        largest = float(torch.linalg.vector_norm(start, dim=1).max())
        self._rounding = 2 * torch.finfo(network.W.dtype).eps * largest
        # a step moves a neuron by at most this, as |c| sums to at most 1
        self._worst = self._rate * float(self._lengths.max()) + self._rounding
        self.waits = x.device.type != "cpu"  # whether reading a number waits for the device
        self._noted, self._notes = x.new_zeros((), dtype=torch.float64), 0
        # an epoch's examples in its order
        self._inputs, self._signs = torch.empty_like(self.points), torch.empty_like(y)
        self._sizes, self._margins = torch.empty_like(y), torch.empty_like(y)

    def steps_an_epoch(self, batch_size: int) -> int:
        return math.ceil(len(self.labels) / batch_size)

    def batches(self, permutation: Tensor, batch_size: int) -> Iterator[_Batch]:
        """The examples of an epoch, gathered at once."""
        torch.index_select(self.points, 0, permutation, out=self._inputs)
        torch.index_select(self.labels, 0, permutation, out=self._signs)
        torch.index_select(self._lengths, 0, permutation, out=self._sizes)
        hidden = self.points.new_empty(min(batch_size, len(permutation)), self.network.width)
        columns = (self._inputs, self._signs, self._sizes, self._margins)
        for inputs, signs, sizes, margins in zip(*(torch.split(c, batch_size) for c in columns), strict=True):
            yield _Batch(inputs, signs, sizes, margins, hidden[: len(inputs)])

    def gradient(self, batch: _Batch) -> _Signal:
        """Scale the batch to the gradient's two factors."""
        sigma, u = self.network.activation, batch.slopes
        torch.mm(batch.inputs, self.trained, out=u)
        if self._relu:
            f = torch.mv(u.relu_(), self._top)
            u.sign_()
        else:
            f = torch.mv(sigma(u), self._top)
            u.copy_(sigma.derivative(u))
        if self.network.output_bias:
            f += self.network.output_bias
        torch.mul(f, batch.labels, out=batch.margins)
        pull = torch.sigmoid(-batch.margins)  # the loss falls by this much a unit of the margin
        signal = _Signal(torch.dot(pull, batch.lengths), batch.margins.sum(), len(f))
        batch.inputs.mul_(pull.mul_(batch.labels)[:, None])
        u.mul_(self._top)
        return signal

    def reach(self, signal: _Signal) -> float:
        """How far a neuron may move by the step, NaN if f is not finite."""
        if not math.isfinite(float(signal.margins)):
            return math.nan
        total = float(signal.pull) / signal.count
        return self._rate * total + self._rounding if total else self._rounding

    def note(self, signal: _Signal) -> None:
        """Add the step to those noted, on the device."""
        self._noted += (signal.pull + 0 * signal.margins) / signal.count
        self._notes += 1

    def noted(self) -> float:
        """How far a neuron may have moved by the steps noted, NaN if f was not finite; they are then forgotten."""
        if not self._notes:
            return 0.0
        total, count = float(self._noted), self._notes
        self._noted.zero_()
        self._notes = 0
        return self._rate * total + count * self._rounding if total else count * self._rounding

    def steps_within(self, distance: float) -> int:
        """How many steps cannot take a neuron further than this; at most until the end of an epoch or so."""
        return int(min(max(0.0, distance) / self._worst, len(self.labels)))

    def move(self, batch: _Batch) -> None:
        """Take the step: W += (lr / batch size) slopes^T inputs, transposed."""
        self.trained.addmm_(batch.inputs.mT, batch.slopes, alpha=self._lr / len(batch.inputs))

    def passed(self) -> tuple[float, float]:
        """Mean loss and share of errors over the epoch's batches as they passed."""
        loss = torch.nn.functional.softplus(-self._margins.to(torch.float64)).mean()
        return float(loss), float((self._margins <= 0).to(torch.float64).mean())

    def deviation(self, trained: Tensor | None = None) -> float:
        """max_j |w_j - w_(j,0)|: all neurons in the network's type, the largest again in float64."""
        trained = self.trained if trained is None else trained
        distances = torch.linalg.vector_norm(torch.sub(trained, self._start, out=self._moved), dim=0)
        largest = distances >= (1 - 1e-4) * distances.max()
        moved = trained[:, largest].to(torch.float64) - self._start[:, largest].to(torch.float64)
        return float(torch.linalg.vector_norm(moved, dim=0).max())


def check_examples(network: TwoLayer, x: Tensor, y: Tensor, x_name: str, y_name: str) -> tuple[Tensor, Tensor]:
    """Checked inputs and labels in the type of the network.

    Args:
        network: Gives dimension, type and device.
        x: Inputs.
        y: Labels.
        x_name: How the caller calls them.
        y_name: The same of the labels.

    Returns:
        Both of them.

    Raises:
        UsageError: If a shape, an entry or a label is not as it must be.
    """
    if x.ndim != 2 or x.shape[1] != network.dim or not len(x):
        raise UsageError(f"{x_name} must have shape (n, {network.dim}) with n at least 1, got {tuple(x.shape)}.")
    if y.shape != x.shape[:1]:
        raise UsageError(f"{y_name} must have one label per row of {x_name}, {len(x)}, got shape {tuple(y.shape)}.")
    if x.device != network.W.device or y.device != network.W.device:
        raise UsageError(f"{x_name} and {y_name} must be on the device of the network, {network.W.device}.")
    if not bool(torch.isfinite(x).all()):
        raise UsageError(f"{x_name} must be finite, got {int((~torch.isfinite(x)).sum())} NaN or infinite entries.")
    wrong = y[(y != 1) & (y != -1)]
    if len(wrong):
        raise UsageError(f"{y_name} must hold only -1 and +1, got {float(wrong[0]):g}.")
    return x.detach().to(network.W.dtype), y.detach().to(network.W.dtype)


def _check_settings(
    lr: float, batch_size: int, max_epochs: int, record_every: int, check: str, keep: str, shuffle: str
) -> None:
    if not 0 < lr < math.inf:
        raise UsageError(f"lr must be positive and finite, got {lr}.")
    counts = (("batch_size", batch_size, 1), ("max_epochs", max_epochs, 0), ("record_every", record_every, 1))
    for name, count, least in counts:
        if isinstance(count, bool) or not isinstance(count, int) or count < least:
            raise UsageError(f"{name} must be an integer >= {least}, got {count!r}.")
    for name, given, known in (
        ("check", check, get_args(Check)), ("keep", keep, get_args(Keep)), ("shuffle", shuffle, get_args(Shuffle)),
    ):  # fmt: skip
        if given not in known:
            raise UsageError(f"{name} must be {' or '.join(map(repr, known))}, got {given!r}.")
