"""The interface of every network: a real function of an input, and its gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Network(ABC):
    """A network f: R^d -> R; the sign of f is the prediction."""

    __slots__ = ()

    @property
    @abstractmethod
    def dim(self) -> int:
        """Input dimension d."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Type of the weights, and of values and gradients."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Device of the weights and the inputs."""

    @abstractmethod
    def value(self, x: Tensor) -> Tensor:
        """Values of f, one per input."""

    @abstractmethod
    def value_and_gradient(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Values and gradients of f, sharing their products."""
