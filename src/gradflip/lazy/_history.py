"""What is recorded along a trajectory: how well the network does, how far it has moved, how linear it still is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gradflip.networks import TwoLayer

if TYPE_CHECKING:
    import polars as pl

_PROBE = 512  # training examples on which signs and linearisation are compared
_BLOCK = 2**25


class Recorder:
    """Collects one row per epoch, with the columns of docs/mathematics/lazy-training.md, "Diagnostics of a trajectory".

    `epoch`, `step`; `loss` and `train_error`, means over the epoch's batches as they passed, each before its step;
    `test_error`; `deviation`, max_j |w_j - w_(j,0)|, and sqrt(m) times its maximum, 50, 90 and 99 % quantiles over
    neurons: `moved_max`, `moved_q50`, `moved_q90`, `moved_q99`; and on the first 512 training examples:
    `signs_changed`, the share of (neuron, example) pairs whose pre-activation changed sign, `neurons_changed`, the
    share of neurons for which one did, and `linearization_error`, |f(W) - f(W_0) - <grad_W f(W_0), W - W_0>| / |f(W)
    - f(W_0)|.
    """

    def __init__(
        self, network0: TwoLayer, points: Tensor, labels: Tensor, test_x: Tensor | None, test_y: Tensor | None
    ) -> None:
        """Remember the initialisation and what it does on the probe.

        Args:
            network0: The initialisation.
            points: Training inputs, with a column of ones if biases are trained.
            labels: Their labels.
            test_x: Test inputs, or `None`.
            test_y: Their labels.
        """
        self.rows: list[dict[str, Any]] = []
        self._network = network0
        start = network0.W if network0.bias is None else torch.cat([network0.W, network0.bias[:, None]], dim=1)
        # laid out in memory as the trained weights are, so that products at step 0 are the same to the last bit
        self._start = start.mT.contiguous().mT
        self._probe = points[:_PROBE]
        self._test_y = test_y
        if test_x is not None and network0.bias is not None:
            test_x = torch.cat([test_x, test_x.new_ones(len(test_x), 1)], dim=1)
        self._test_x = test_x
        self._u0 = self._probe @ self._start.mT
        self._slopes0 = network0.activation.derivative(self._u0)
        self._f0 = self._output(self._u0)

    def add(self, epoch: float, step: int, trained: Tensor, passed: tuple[float, float] | None) -> dict[str, Any]:
        """Record the state after an epoch.

        Args:
            epoch: Epochs done.
            step: Steps done.
            trained: [W, b] now.
            passed: Mean loss and training error over the epoch's batches.

        Returns:
            The row.
        """
        self.rows.append(self.row(epoch, step, trained, passed))
        return self.rows[-1]

    def row(self, epoch: float, step: int, trained: Tensor, passed: tuple[float, float] | None) -> dict[str, Any]:
        """The row of one state, not recorded.

        Args:
            epoch: Epochs done.
            step: Steps done.
            trained: [W, b] then.
            passed: Mean loss and training error over the epoch's batches.

        Returns:
            Its columns.
        """
        moved = torch.linalg.vector_norm(trained - self._start, dim=1).to(torch.float64)
        scaled = math.sqrt(self._network.width) * moved
        q50, q90, q99 = (
            torch.quantile(scaled, scaled.new_tensor([0.5, 0.9, 0.99])).tolist()
            if (len(scaled) < 2**24)
            else (math.nan,) * 3
        )
        u = self._probe @ trained.mT
        changed = (u > 0) != (self._u0 > 0)
        f = self._output(u)
        linear = (self._slopes0 * (u - self._u0)).to(torch.float64) @ self._network.a.to(torch.float64)
        change = f - self._f0
        size = float(change.norm())
        gap = float((change - linear / math.sqrt(self._network.width)).norm())
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
            "signs_changed": float(changed.to(torch.float64).mean()),
            "neurons_changed": float(changed.any(dim=0).to(torch.float64).mean()),
            "linearization_error": gap / size if size else 0.0,
        }

    @staticmethod
    def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
        """Rows as a table.

        Args:
            rows: As `row` gives them.

        Returns:
            A polars data frame.
        """
        import polars as pl

        schema = {name: pl.Int64 if name == "step" else pl.Float64 for name in rows[0]}
        return pl.DataFrame(rows, schema=schema)

    def _output(self, u: Tensor) -> Tensor:
        hidden = self._network.activation(u).to(torch.float64) @ self._network.a.to(torch.float64)
        return hidden / math.sqrt(self._network.width) + (self._network.output_bias or 0.0)

    def _test_error(self, trained: Tensor) -> float | None:
        if self._test_x is None or self._test_y is None:
            return None
        wrong = 0
        size = max(1, _BLOCK // len(trained))
        for x, y in zip(torch.split(self._test_x, size), torch.split(self._test_y, size), strict=True):
            f = self._network.activation(x @ trained.mT) @ self._network.a / math.sqrt(self._network.width)
            wrong += int((y * (f + (self._network.output_bias or 0.0)) <= 0).sum())
        return wrong / len(self._test_y)
