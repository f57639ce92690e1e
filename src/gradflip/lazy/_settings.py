"""Settings of the optimiser and of the attack inside adversarial training, checked once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from gradflip._errors import UsageError

Schedule = Literal["constant", "cosine"]

WARM_STEPS = 10
"""Steps of a warm training attack, at most."""


@dataclass(frozen=True)
class SGD:
    """Mini-batch SGD.

    Attributes:
        lr: Learning rate, at the start.
        batch_size: Examples per step.
        max_epochs: Upper limit of the passes over the data.
        momentum: Momentum, 0 for none.
        schedule: Constant learning rate, or one that falls to 0 as a cosine over `max_epochs`.

    Raises:
        UsageError: If a setting is out of range.
    """

    lr: float
    batch_size: int
    max_epochs: int
    momentum: float = 0.0
    schedule: Schedule = "constant"

    def __post_init__(self) -> None:
        """Check the settings."""
        if not 0 < self.lr < math.inf:
            raise UsageError(f"lr must be positive and finite, got {self.lr}.")
        if not 0 <= self.momentum < 1:
            raise UsageError(f"momentum must be in [0, 1), got {self.momentum}.")
        check_count("batch_size", self.batch_size)
        check_count("max_epochs", self.max_epochs, least=0)
        check_word("schedule", self.schedule, get_args(Schedule))

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch.

        Args:
            epoch: Epochs done before it.

        Returns:
            The rate.
        """
        if self.schedule == "constant":
            return self.lr
        return 0.5 * self.lr * (1 + math.cos(math.pi * epoch / self.max_epochs))

    def steps_per_epoch(self, examples: int) -> int:
        """Steps per pass over the data.

        Args:
            examples: Number of training examples.

        Returns:
            The number; the last batch may be smaller than the others.
        """
        return math.ceil(examples / self.batch_size)


@dataclass(frozen=True)
class TrainingAttack:
    """The attack on training examples.

    Attributes:
        steps: Steps K of an attack that starts at the input, each 2.5 epsilon / K long.
        warm: Whether an attack continues from the perturbation of the previous epoch, with at most `WARM_STEPS` steps.
        clip: Box in which attacked inputs stay, or `None`.

    Raises:
        UsageError: If `steps` is not positive.
    """

    steps: int
    warm: bool
    clip: tuple[float, float] | None

    def __post_init__(self) -> None:
        """Check the settings."""
        check_count("attack_steps", self.steps)

    def steps_in(self, epoch: int) -> int:
        """Steps of an attack on a batch.

        Args:
            epoch: Epochs done before it.

        Returns:
            The number.
        """
        return min(self.steps, WARM_STEPS) if self.warm and epoch else self.steps


def check_count(name: str, count: int, *, least: int = 1) -> None:
    """Check an integer setting.

    Args:
        name: Its name, for the error.
        count: Its value.
        least: Its smallest allowed value.

    Raises:
        UsageError: If it is not an integer, or too small.
    """
    if isinstance(count, bool) or not isinstance(count, int) or count < least:
        raise UsageError(f"{name} must be an integer >= {least}, got {count!r}.")


def check_word(name: str, given: str, known: tuple[str, ...]) -> None:
    """Check a setting that is one of several words.

    Args:
        name: Its name, for the error.
        given: Its value.
        known: The allowed words.

    Raises:
        UsageError: If it is none of them.
    """
    if given not in known:
        raise UsageError(f"{name} must be {' or '.join(map(repr, known))}, got {given!r}.")
