"""How far a trained network is from its initialisation: distances, sign changes, and the error of its linearisation.

Every function compares two networks that differ in their trained weights only, [W, b], and two of them do so at given
inputs. `Probe` holds what the initialisation computes at these inputs, for comparisons along a trajectory.

Source: docs/mathematics/lazy-training.md, "Diagnostics of a trajectory".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.lazy._rows import comparable, rows
from gradflip.networks import TwoLayer


class SignChanges(NamedTuple):
    """Shares of pre-activations and of neurons whose sign changed.

    Attributes:
        pairs: Share of (neuron, input) pairs whose pre-activation is positive in one network only.
        neurons: Share of neurons with at least one such input.
    """

    pairs: float
    neurons: float


def neuron_distances(network: TwoLayer, network0: TwoLayer) -> Float[Tensor, " m"]:
    """Distance of each neuron from its initialisation, |w_j - w_(j,0)|, in float64 and `unit` scaling.

    Args:
        network: The trained network.
        network0: Its initialisation.

    Returns:
        One distance per neuron; with biases, that of (w_j, b_j).

    Raises:
        UsageError: If the networks differ in more than their trained weights.

    Shape:
        `(m,)`.
    """
    start = network0.rescale("unit")
    moved = rows(comparable(network, start, reference="network0")) - rows(start)
    distances: Tensor = torch.linalg.vector_norm(moved, dim=1)
    return distances


def sign_changes(network: TwoLayer, network0: TwoLayer, x: Float[Tensor, "n d"]) -> SignChanges:
    """Shares of pre-activations and of neurons whose sign changed in training.

    Args:
        network: The trained network.
        network0: Its initialisation.
        x: Inputs, in the scaling of `network0`.

    Returns:
        Both shares.

    Raises:
        UsageError: If the networks differ in more than their trained weights, or the shape of x is wrong.

    Shape:
        x `(n, d)`. Memory for n m pre-activations of each network.
    """
    probe, trained = _probe(network, network0, x)
    return probe.sign_changes(probe.pre_activations(trained))


def linearization_error(network: TwoLayer, network0: TwoLayer, x: Float[Tensor, "n d"]) -> float:
    """Relative error of the first-order expansion of f in the trained weights.

    This is |f(W) - f(W_0) - <grad_W f(W_0), W - W_0>| / |f(W) - f(W_0)|, with norms over the inputs: 0 for a network
    that is linear in its weights, and of order 1 far outside the lazy regime.

    Args:
        network: The trained network.
        network0: Its initialisation.
        x: Inputs, in the scaling of `network0`.

    Returns:
        The error; 0 if f did not change at any input.

    Raises:
        UsageError: If the networks differ in more than their trained weights, or the shape of x is wrong.

    Shape:
        x `(n, d)`. Memory for n m pre-activations of each network.
    """
    probe, trained = _probe(network, network0, x)
    return probe.linearization_error(probe.pre_activations(trained))


@dataclass(frozen=True, eq=False)
class Probe:
    """What an initialisation computes at fixed inputs, and comparisons of trained weights with it.

    Attributes:
        network0: The initialisation, in `unit` scaling.
        inputs: Inputs, with a column of ones if there are biases.
        u0: Their pre-activations.
        slopes0: The derivative of the activation at them.
        f0: Values of the network, in float64.
    """

    network0: TwoLayer
    inputs: Float[Tensor, "n k"]
    u0: Float[Tensor, "n m"]
    slopes0: Float[Tensor, "n m"]
    f0: Float[Tensor, " n"]

    @staticmethod
    def at(network0: TwoLayer, inputs: Float[Tensor, "n k"], start: Float[Tensor, "m k"]) -> Probe:
        """Evaluate the initialisation.

        Args:
            network0: The initialisation, in `unit` scaling.
            inputs: Inputs, with a column of ones if there are biases.
            start: [W_0, b_0], strided as the trained weights are: products at step 0 then agree to the last bit.

        Returns:
            The probe.
        """
        u0 = inputs @ start.mT
        return Probe(network0, inputs, u0, network0.activation.derivative(u0), _values(network0, u0))

    def pre_activations(self, trained: Float[Tensor, "m k"]) -> Float[Tensor, "n m"]:
        """Pre-activations of trained weights.

        Args:
            trained: [W, b].

        Returns:
            `(n, m)`.
        """
        return self.inputs @ trained.mT

    def sign_changes(self, u: Float[Tensor, "n m"]) -> SignChanges:
        """Shares of pre-activations and of neurons whose sign changed.

        Args:
            u: Pre-activations of the trained weights.

        Returns:
            Both shares.
        """
        changed = (u > 0) != (self.u0 > 0)
        neurons = changed.any(dim=0)
        return SignChanges(float(changed.to(torch.float64).mean()), float(neurons.to(torch.float64).mean()))

    def linearization_error(self, u: Float[Tensor, "n m"]) -> float:
        """Relative error of the first-order expansion.

        Args:
            u: Pre-activations of the trained weights.

        Returns:
            The error; 0 if f did not change at any input.
        """
        top = self.network0.a.to(torch.float64)
        linear = (self.slopes0 * (u - self.u0)).to(torch.float64) @ top / math.sqrt(self.network0.width)
        change = _values(self.network0, u) - self.f0
        size = float(change.norm())
        return float((change - linear).norm()) / size if size else 0.0


def _probe(network: TwoLayer, network0: TwoLayer, x: Tensor) -> tuple[Probe, Tensor]:
    """A probe at x in float64, and the trained weights."""
    start = network0.rescale("unit")
    trained = rows(comparable(network, start, reference="network0"))
    if x.ndim != 2 or x.shape[1] != start.dim or not len(x):
        raise UsageError(f"x must have shape (n, {start.dim}) with n at least 1, got {tuple(x.shape)}.")
    inputs = x.to(torch.float64)
    if network0.scaling != "unit":
        inputs = inputs / math.sqrt(start.dim)
    if start.bias is not None:
        inputs = torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=1)
    return Probe.at(start, inputs, rows(start)), trained


def _values(network0: TwoLayer, u: Tensor) -> Tensor:
    """Values of the network at pre-activations, summed in float64."""
    hidden = network0.activation(u).to(torch.float64) @ network0.a.to(torch.float64)
    return hidden / math.sqrt(network0.width) + (network0.output_bias or 0.0)
