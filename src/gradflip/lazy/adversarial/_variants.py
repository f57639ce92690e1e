"""Variants of adversarial training: where the text of the paper and its published scripts differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradflip._errors import UsageError

_CHOICES = {"attack": ("batch", "epoch"), "projection": ("step", "epoch"), "stop": ("best", "previous")}


@dataclass(frozen=True)
class Variant:
    """A variant of projected adversarial training: one choice for each of three differences between text and scripts.

    Attributes:
        attack: `"batch"`: every batch is attacked before its step, and batches are reshuffled every epoch. `"epoch"`:
            the whole set is attacked once per epoch, in one order for all epochs, so that steps take stale examples.
        projection: `"step"`: onto the ball after every step. `"epoch"`: once per epoch; the network returned is the
            one before its projection, outside the ball.
        stop: `"best"`: when the robust training accuracy has not risen by 1e-4 above its best for 20 epochs; the
            network of the best epoch is returned. `"previous"`: when it has not risen by 1e-4 above that of the
            previous epoch for more than 20 epochs; the last network is returned.

    Raises:
        UsageError: If a choice is not one of its two words.

    Source: docs/mathematics/published-protocol.md, "Adversarial protocols".
    """

    attack: Literal["batch", "epoch"] = "batch"
    projection: Literal["step", "epoch"] = "step"
    stop: Literal["best", "previous"] = "best"

    def __post_init__(self) -> None:
        """Check the words."""
        for name, known in _CHOICES.items():
            if (given := getattr(self, name)) not in known:
                raise UsageError(f"{name} must be {' or '.join(map(repr, known))}, got {given!r}.")


TEXT = Variant()
"""The variant of the paper's text."""

PUBLISHED = Variant("epoch", "epoch", "previous")
"""The variant of the paper's published scripts."""

_BY_NAME = {"text": TEXT, "published": PUBLISHED}


def variant(given: Variant | str) -> Variant:
    """The variant given by itself or by name.

    Args:
        given: A `Variant`, `"text"` or `"published"`.

    Returns:
        The variant.

    Raises:
        UsageError: If there is no variant of that name.
    """
    if isinstance(given, Variant):
        return given
    if given not in _BY_NAME:
        raise UsageError(f"protocol must be 'text', 'published' or a Variant, got {given!r}.")
    return _BY_NAME[given]
