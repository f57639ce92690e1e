"""The result of a training, and its file."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradflip._errors import FileError
from gradflip.networks import TwoLayer

if TYPE_CHECKING:
    import polars as pl

_NUMBERS = ("steps", "epochs", "deviation", "left_at", "converged", "robust_accuracy")


class StopReason(enum.Enum):
    """Why training stopped."""

    LEFT_BALL = "left-ball"
    """An iterate was outside the ball."""
    MAX_EPOCHS = "max-epochs"
    """All epochs ran, and no iterate that was checked was outside the ball."""
    PLATEAU = "plateau"
    """The robust training accuracy had not risen for 20 epochs (adversarial training)."""
    DIVERGED = "diverged"
    """The loss was not finite."""


@dataclass(frozen=True, eq=False)
class Fit:
    """A trained network and the record of its training.

    Attributes:
        network: The network returned: by default the last iterate inside the ball.
        history: One row before the first epoch, one per epoch and one at the end. Of standard training the columns
            are those of docs/mathematics/lazy-training.md, "Diagnostics of a trajectory".
        stopped_because: Why training stopped.
        steps: Number of SGD steps that lead to `network`.
        epochs: The same in epochs; not an integer if training stopped within an epoch.
        deviation: max_j |w_j - w_(j,0)| of `network`, in `unit` scaling.
        left_at: The deviation of the first iterate seen outside the ball; `None` if there was none.
        converged: For adversarial training, whether the second half of the epochs changed the robust training accuracy
            by less than 0.01; otherwise `None`.
        robust_accuracy: For adversarial training with test data, the share of them that PGD with 100 steps and 5
            starts, the input and 4 random points, does not flip; otherwise `None`.
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
        """Write the network and its record to one safetensors file, which `TwoLayer.load` reads too.

        Args:
            path: File to write, `.safetensors`.

        Raises:
            UsageError: If the activation is not built in.
            FileError: If the file cannot be written.
        """
        numbers = {name: getattr(self, name) for name in _NUMBERS} | {"stopped_because": self.stopped_because.value}
        numbers["history"] = self.history.to_dict(as_series=False)
        self.network.save(path, about={"fit": json.dumps(numbers)})

    @staticmethod
    def load(path: str | Path) -> Fit:
        """Read a file written by `save`.

        Args:
            path: File to read.

        Returns:
            The `Fit`.

        Raises:
            FileError: If the file is missing or damaged, or holds a network without the record of a training.
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
        except Exception as error:  # the header is not JSON, or a key is missing
            raise FileError(f"{path} holds a network but no training of it: {error!r}; use TwoLayer.load.") from error
