"""The history of a trajectory: one row of diagnostics per recorded state."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gradflip.lazy._diagnostics import Probe
from gradflip.networks import TwoLayer

if TYPE_CHECKING:
    import polars as pl

_PROBE = 512  # training examples at which signs and linearisation are compared
_BLOCK = 2**25  # pre-activations held at once
_QUANTILE_LIMIT = 2**24  # entries that torch.quantile accepts


class Recorder:
    """Collects rows with the columns of docs/mathematics/lazy-training.md, "Diagnostics of a trajectory".

    `epoch`, `step`; `loss` and `train_error`, means over the batches of the epoch, each before its step; `test_error`;
    `deviation`, max_j |w_j - w_(j,0)|, and sqrt(m) times its maximum, 50, 90 and 99 % quantiles over neurons:
    `moved_max`, `moved_q50`, `moved_q90`, `moved_q99`; and at the first 512 training examples the shares
    `signs_changed` and `neurons_changed` of `gradflip.lazy.sign_changes`, and
    `gradflip.lazy.linearization_error`.
    """

    def __init__(
        self, network0: TwoLayer, points: Tensor, labels: Tensor, test_x: Tensor | None, test_y: Tensor | None
    ) -> None:
        """Evaluate the initialisation at the probe.

        Args:
            network0: The initialisation, in `unit` scaling.
            points: Training inputs, with a column of ones if biases are trained.
            labels: Their labels.
            test_x: Test inputs, or `None`.
            test_y: Their labels.
        """
        self.rows: list[dict[str, Any]] = []
        self._network = network0
        start = network0.W if network0.bias is None else torch.cat([network0.W, network0.bias[:, None]], dim=1)
        # strided as the trained weights are, so that products at step 0 agree to the last bit
        self._start = start.mT.contiguous().mT
        self._probe = Probe.at(network0, points[:_PROBE], self._start)
        self._test_y = test_y
        if test_x is not None and network0.bias is not None:
            test_x = torch.cat([test_x, test_x.new_ones(len(test_x), 1)], dim=1)
        self._test_x = test_x

    def add(self, epoch: float, step: int, trained: Tensor, passed: tuple[float, float] | None) -> dict[str, Any]:
        """Record a state.

        Args:
            epoch: Epochs done.
            step: Steps done.
            trained: [W, b].
            passed: Mean loss and training error over the batches of the epoch.

        Returns:
            The row.
        """
        self.rows.append(self.row(epoch, step, trained, passed))
        return self.rows[-1]

    def row(self, epoch: float, step: int, trained: Tensor, passed: tuple[float, float] | None) -> dict[str, Any]:
        """The row of a state, without recording it.

        Args:
            epoch: Epochs done.
            step: Steps done.
            trained: [W, b].
            passed: Mean loss and training error over the batches of the epoch.

        Returns:
            Values by column.
        """
        moved = torch.linalg.vector_norm(trained - self._start, dim=1).to(torch.float64)
        scaled = math.sqrt(self._network.width) * moved
        q50, q90, q99 = _quantiles(scaled)
        u = self._probe.pre_activations(trained)
        changes = self._probe.sign_changes(u)
        return {
            "epoch": epoch,
            "step": step,
            "loss": passed[0] if passed else None,
            "train_error": passed[1] if passed else None,
            "test_error": self._test_error(trained),
            "deviation": float(moved.max()),
            "moved_max": float(scaled.max()),
            "moved_q50": q50,
            "moved_q90": q90,
            "moved_q99": q99,
            "signs_changed": changes.pairs,
            "neurons_changed": changes.neurons,
            "linearization_error": self._probe.linearization_error(u),
        }

    def until(self, epoch: float, step: int, trained: Tensor) -> pl.DataFrame:
        """The history up to a state, which need not have been recorded.

        Args:
            epoch: Epochs done at this state.
            step: Steps done.
            trained: [W, b].

        Returns:
            A data frame whose last row is that state.
        """
        import polars as pl

        seen = [row for row in self.rows if row["step"] <= step]
        if seen[-1]["step"] != step:
            seen.append(self.row(epoch, step, trained, None))
        schema = {name: pl.Int64 if name == "step" else pl.Float64 for name in seen[0]}
        return pl.DataFrame(seen, schema=schema)

    def _test_error(self, trained: Tensor) -> float | None:
        if self._test_x is None or self._test_y is None:
            return None
        wrong = 0
        size = max(1, _BLOCK // len(trained))
        for x, y in zip(torch.split(self._test_x, size), torch.split(self._test_y, size), strict=True):
            f = self._network.activation(x @ trained.mT) @ self._network.a / math.sqrt(self._network.width)
            wrong += int((y * (f + (self._network.output_bias or 0.0)) <= 0).sum())
        return wrong / len(self._test_y)


def _quantiles(scaled: Tensor) -> list[float]:
    """The 50, 90 and 99 % quantiles; NaN where there are too many entries for `torch.quantile`."""
    if len(scaled) >= _QUANTILE_LIMIT:
        return [math.nan] * 3
    quantiles: list[float] = torch.quantile(scaled, scaled.new_tensor([0.5, 0.9, 0.99])).tolist()
    return quantiles
