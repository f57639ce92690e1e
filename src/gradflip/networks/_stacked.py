"""Two-layer networks of one shape, evaluated together by batched products, for the training steps of many runs."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip.networks import Activation


class TwoLayerStack:
    """Two-layer networks of one shape; their weights may change between calls.

    Args:
        W: Weights.
        bias: Hidden biases, or `None`.
        a: Top weights.
        c: Output biases.
        activation: Their common activation.

    Shape:
        W `(runs, m, d)`; bias, a `(runs, m)`; c `(runs,)`.
    """

    def __init__(
        self,
        W: Float[Tensor, "runs m d"],
        bias: Float[Tensor, "runs m"] | None,
        a: Float[Tensor, "runs m"],
        c: Float[Tensor, " runs"],
        activation: Activation,
    ) -> None:
        """Refer to the weights, without a copy."""
        self._W, self._bias, self._c, self._sigma = W, bias, c[:, None], activation
        self._top = (a / math.sqrt(W.shape[1]))[:, None, :]
        self._relu = activation.is_relu
        self._hidden, self._gradient = W.new_empty(0), W.new_empty(0)

    def pre_activations(self, x: Float[Tensor, "runs n d"]) -> Float[Tensor, "runs n m"]:
        """W x + b, in a buffer that the next call overwrites.

        Args:
            x: Inputs of each network.

        Returns:
            Pre-activations.
        """
        form = (*x.shape[:2], self._W.shape[1])
        if self._hidden.shape != form:
            self._hidden, self._gradient = x.new_empty(form), torch.empty_like(x)
        u = torch.bmm(x, self._W.mT, out=self._hidden)
        return u if self._bias is None else u.add_(self._bias[:, None, :])

    def values(self, u: Float[Tensor, "runs n m"]) -> Float[Tensor, "runs n"]:
        """Values of the networks at pre-activations.

        Args:
            u: Pre-activations.

        Returns:
            Values.
        """
        values: Tensor = (self._sigma(u) @ self._top.mT)[..., 0] + self._c
        return values

    def pulls(self, u: Float[Tensor, "runs n m"]) -> Float[Tensor, "runs n m"]:
        """Coefficients a sigma'(u) / sqrt(m) of the rows of W in the gradient; for relu, written over u.

        Args:
            u: Pre-activations.

        Returns:
            One coefficient per neuron.
        """
        if self._relu:
            return torch.gt(u, 0, out=u).mul_(self._top)
        return self._sigma.derivative(u).mul_(self._top)

    def gradient(self, x: Float[Tensor, "runs n d"]) -> Float[Tensor, "runs n d"]:
        """Input gradients, in a buffer that the next call overwrites.

        Args:
            x: Inputs of each network.

        Returns:
            Gradients.
        """
        return torch.bmm(self.pulls(self.pre_activations(x)), self._W, out=self._gradient)
