"""The state of adversarial training: all that an interrupted run needs in order to resume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gradflip._seeds import generator
from gradflip.networks import TwoLayer

PROGRESS = 1e-4
"""Rise of the robust training accuracy that counts as progress."""


class Log:
    """Record of one run, JSON values only.

    Attributes:
        rows: History, one row per epoch.
        best: Best robust training accuracy so far; with the stop rule `"previous"`, the last.
        last: That of the last epoch.
        waited: Epochs since the last progress.
        best_epoch: Epochs that lead to the weights to be returned.
        steps: SGD steps done.
        diverged: Whether the loss was not finite.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.rows: list[dict[str, float]] = []
        self.best, self.last, self.waited, self.best_epoch, self.steps = -1.0, -1.0, 0, 0, 0
        self.diverged = False

    def compare(self, accuracy: float, *, with_best: bool) -> bool:
        """Take the accuracy of an epoch into account.

        Args:
            accuracy: Robust training accuracy.
            with_best: Whether progress is measured against the best epoch; otherwise against the previous one.

        Returns:
            Whether the weights of this epoch are to be kept.
        """
        risen = accuracy > (self.best if with_best else self.last) + PROGRESS
        self.waited = 0 if risen else self.waited + 1
        self.last = accuracy
        if accuracy > self.best or not with_best:
            self.best, self.best_epoch = accuracy, len(self.rows)
            return True
        return False


class State:
    """Weights, velocities, perturbations, orders and records of several runs, along a leading axis.

    Attributes:
        W: Weights, `(runs, m, d)`.
        bias: Biases, `(runs, m)`, or `None`.
        W_speed: Velocity of W.
        bias_speed: Velocity of the biases.
        p: Perturbations of the training examples, `(runs, n, d)`.
        best_W: Weights to be returned.
        best_bias: Biases to be returned.
        permutation: Order of the examples, `(runs, n)`.
        draws: Random generator of each run.
        logs: Record of each run.
    """

    def __init__(self, networks0: Sequence[TwoLayer], n: int, seeds: Sequence[int]) -> None:
        """Start at the initialisations.

        Args:
            networks0: The initialisation of each run.
            n: Number of training examples.
            seeds: Seed of each run.
        """
        self.W = torch.stack([network.W for network in networks0])
        biases = [network.bias for network in networks0 if network.bias is not None]
        self.bias = torch.stack(biases) if biases else None
        self.W_speed = torch.zeros_like(self.W)
        self.bias_speed = None if self.bias is None else torch.zeros_like(self.bias)
        self.p = self.W.new_zeros(len(networks0), n, self.W.shape[2])
        self.best_W, self.best_bias = self.W.clone(), None if self.bias is None else self.bias.clone()
        self.permutation = torch.arange(n).repeat(len(networks0), 1)
        self.draws = [generator(seed, "adversarial batches") for seed in seeds]
        self.logs = [Log() for _ in networks0]

    def shuffle(self) -> None:
        """Draw a new order of the examples for every run."""
        for i, draw in enumerate(self.draws):
            self.permutation[i] = torch.randperm(self.permutation.shape[1], generator=draw)

    def keep_weights(self, i: int) -> None:
        """Make the current weights of a run those to be returned.

        Args:
            i: Index of the run.
        """
        self.best_W[i] = self.W[i]
        if self.bias is not None and self.best_bias is not None:
            self.best_bias[i] = self.bias[i]

    def select(self, runs: list[int]) -> None:
        """Drop all runs but some.

        Args:
            runs: Indices of those that remain.
        """
        for name, value in self._tensors().items():
            setattr(self, name, value[runs])
        self.draws, self.logs = [self.draws[i] for i in runs], [self.logs[i] for i in runs]

    def to_checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The state of a single run for a checkpoint.

        Returns:
            Its tensors and its JSON values.
        """
        return self._tensors() | {"draw": self.draws[0].get_state()}, vars(self.logs[0])

    def restore(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Resume from a checkpoint of a single run.

        Args:
            tensors: As `to_checkpoint` returns them.
            numbers: As `to_checkpoint` returns them.
        """
        self.draws[0].set_state(tensors.pop("draw"))
        for name, value in tensors.items():
            getattr(self, name).copy_(value)
        vars(self.logs[0]).update(numbers)

    def _tensors(self) -> dict[str, Tensor]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
