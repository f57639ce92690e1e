"""Steps of SGD on [W, b] in place, and an upper bound of how far each of them moves a neuron.

With pi_i = 1 / (1 + exp(y_i f(x_i))), a step on a batch of n examples is

    w_j <- w_j + (lr / (n sqrt m)) sum_i pi_i y_i a_j sigma'(u_ij) x_i ,

so that no neuron moves by more than (lr / sqrt m) max|a_j| sup|sigma'| (1/n) sum_i pi_i |x_i|.

Source: docs/mathematics/lazy-training.md, "SGD up to the surface".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gradflip.networks import TwoLayer


@dataclass(frozen=True)
class StepStatistics:
    """Statistics of one step, still on their device.

    Attributes:
        weighted_norms: sum_i pi_i |x_i|.
        margins: sum_i y_i f(x_i).
        count: Number of examples n.
    """

    weighted_norms: Tensor
    margins: Tensor
    count: int


@dataclass(frozen=True)
class Batch:
    """Views of the examples of one step in the buffers of a `Descent`.

    Attributes:
        inputs: x_i, `(n, k)`; after `Descent.gradient`, pi_i y_i x_i.
        labels: y_i.
        norms: |x_i|.
        margins: Receives y_i f(x_i).
        hidden: Receives a_j sigma'(u_ij) / sqrt m, `(n, m)`.
    """

    inputs: Tensor
    labels: Tensor
    norms: Tensor
    margins: Tensor
    hidden: Tensor


class Descent:
    """The weights of one SGD trajectory, and buffers that live as long as it does.

    Attributes:
        network: The initialisation, in `unit` scaling.
        points: Training inputs, with a column of ones if there are biases.
        labels: Their labels.
        trained: [W, b] transposed, `(k, m)`: both products of a step then read it along its rows.
        waits: Whether reading a number waits for the device.
    """

    def __init__(self, network: TwoLayer, x: Tensor, y: Tensor, lr: float) -> None:
        """Start at the initialisation.

        Args:
            network: The initialisation, in `unit` scaling.
            x: Training inputs.
            y: Their labels.
            lr: Learning rate.
        """
        self.network, self.labels = network, y
        ones = x.new_ones(len(x), 1)
        self.points = x if network.bias is None else torch.cat([x, ones], dim=1)
        start = network.W if network.bias is None else torch.cat([network.W, network.bias[:, None]], dim=1)
        self._start = start.mT.contiguous()
        self.trained = self._start.clone()
        self._moved = torch.empty_like(self._start)
        self._top = network.a / math.sqrt(network.width)
        self._lr = lr
        self._norms = torch.linalg.vector_norm(self.points, dim=1)
        sigma = network.activation
        self._relu = sigma.is_relu
        steepest = math.inf if sigma.lipschitz is None else float(network.a.abs().max()) * sigma.lipschitz
        # a sum of float32 terms errs by far less than 1e-5
        self._rate = lr / math.sqrt(network.width) * steepest * (1 + 1e-5)
        # each entry of W rounds by half a unit in the last place per step
        largest = float(torch.linalg.vector_norm(start, dim=1).max())
        self._rounding = 2 * torch.finfo(network.W.dtype).eps * largest
        # no step moves a neuron further than this, since the mean of pi_i is at most 1
        self._longest = self._rate * float(self._norms.max()) + self._rounding
        self.waits = x.device.type != "cpu"
        self._noted, self._notes = x.new_zeros((), dtype=torch.float64), 0
        # the examples of an epoch in its order
        self._inputs, self._signs = torch.empty_like(self.points), torch.empty_like(y)
        self._sizes, self._margins = torch.empty_like(y), torch.empty_like(y)

    def batches(self, permutation: Tensor, batch_size: int) -> Iterator[Batch]:
        """Gather the examples of an epoch at once and split them.

        Args:
            permutation: Order of the examples.
            batch_size: Examples per batch.

        Yields:
            The batches.
        """
        torch.index_select(self.points, 0, permutation, out=self._inputs)
        torch.index_select(self.labels, 0, permutation, out=self._signs)
        torch.index_select(self._norms, 0, permutation, out=self._sizes)
        hidden = self.points.new_empty(min(batch_size, len(permutation)), self.network.width)
        columns = (self._inputs, self._signs, self._sizes, self._margins)
        for inputs, signs, sizes, margins in zip(*(torch.split(c, batch_size) for c in columns), strict=True):
            yield Batch(inputs, signs, sizes, margins, hidden[: len(inputs)])

    def gradient(self, batch: Batch) -> StepStatistics:
        """Overwrite a batch by the two factors of its gradient.

        Args:
            batch: The batch.

        Returns:
            Statistics of the step.
        """
        sigma, u = self.network.activation, batch.hidden
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
        pi = torch.sigmoid(-batch.margins)  # minus the derivative of the loss in the margin
        statistics = StepStatistics(torch.dot(pi, batch.norms), batch.margins.sum(), len(f))
        batch.inputs.mul_(pi.mul_(batch.labels)[:, None])
        u.mul_(self._top)
        return statistics

    def reach(self, statistics: StepStatistics) -> float:
        """Upper bound of how far a step moves a neuron.

        Args:
            statistics: Of the step.

        Returns:
            The bound, NaN if f is not finite.
        """
        if not math.isfinite(float(statistics.margins)):
            return math.nan
        total = float(statistics.weighted_norms) / statistics.count
        return self._rate * total + self._rounding if total else self._rounding

    def note(self, statistics: StepStatistics) -> None:
        """Accumulate the bound of a step on the device.

        Args:
            statistics: Of the step.
        """
        self._noted += (statistics.weighted_norms + 0 * statistics.margins) / statistics.count
        self._notes += 1

    def noted(self) -> float:
        """Read and reset the accumulated bound.

        Returns:
            Upper bound of how far the noted steps moved a neuron, NaN if f was not finite.
        """
        if not self._notes:
            return 0.0
        total, count = float(self._noted), self._notes
        self._noted.zero_()
        self._notes = 0
        return self._rate * total + count * self._rounding if total else count * self._rounding

    def steps_within(self, distance: float) -> int:
        """Number of steps that cannot move a neuron further than a distance, whatever they are.

        Args:
            distance: The distance.

        Returns:
            The number, at most that of the examples.
        """
        return int(min(max(0.0, distance) / self._longest, len(self.labels)))

    def move(self, batch: Batch) -> None:
        """Take the step.

        Args:
            batch: The batch, after `gradient`.
        """
        self.trained.addmm_(batch.inputs.mT, batch.hidden, alpha=self._lr / len(batch.inputs))

    def passed(self) -> tuple[float, float]:
        """Statistics of the epoch, each example before the step of its batch.

        Returns:
            Mean loss and training error.
        """
        loss = torch.nn.functional.softplus(-self._margins.to(torch.float64)).mean()
        return float(loss), float((self._margins <= 0).to(torch.float64).mean())

    def deviation(self, trained: Tensor | None = None) -> float:
        """max_j |w_j - w_(j,0)|: over all neurons in the type of the network, then the largest again in float64.

        Args:
            trained: Weights as `trained` holds them; by default the current ones.

        Returns:
            The deviation.
        """
        trained = self.trained if trained is None else trained
        distances = torch.linalg.vector_norm(torch.sub(trained, self._start, out=self._moved), dim=0)
        largest = distances >= (1 - 1e-4) * distances.max()
        moved = trained[:, largest].to(torch.float64) - self._start[:, largest].to(torch.float64)
        return float(torch.linalg.vector_norm(moved, dim=0).max())
