"""Value and input gradient of a batch, as a step of an attack needs them: in closed form, or by autograd."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor, nn

from gradflip._errors import UsageError
from gradflip.networks import TwoLayer

_HELD = 2**19  # pre-activations worked on at once: what stays in the cache


class Ascent(ABC):
    """f and its gradient at one batch after another.

    Attributes:
        dim: Input dimension, `None` if any will do.
        dtype: Type of the products, `None` for that of the inputs.
        device: Where the inputs must be, `None` for anywhere.
    """

    dim: int | None = None
    dtype: torch.dtype | None = None
    device: torch.device | None = None

    @abstractmethod
    def value_and_gradient(self, x: Tensor, *, last: bool = False) -> tuple[Tensor, Tensor]:
        """Return f `(n,)` and its gradient `(n, d)`, which the next call may overwrite; only f is asked of the last."""

    @abstractmethod
    def exact_margins(self, x: Tensor, y: Tensor) -> Tensor:
        """Return y f in float64 where the network allows it."""

    @abstractmethod
    def rows(self, n: int) -> int:
        """How many inputs to work on at once."""


@final
class TwoLayerAscent(Ascent):
    """Two matrix products, in buffers that are used again."""

    def __init__(self, network: TwoLayer) -> None:
        self._network = network
        self.dim = network.dim
        self.dtype = torch.float64 if network.W.dtype == torch.float64 else torch.float32
        self.device = network.W.device
        self._W = network.W.to(self.dtype)
        self._bias = None if network.bias is None else network.bias.to(self.dtype)
        self._top = network.a.to(self.dtype) / math.sqrt(network.width)
        # then sigma(u) = u sigma'(u), so that f = g . x + what does not depend on x
        self._bent = network.activation.bends_at_zero
        self._buffers = (self._W.new_empty(0, network.width), self._W.new_empty(0, network.dim))

    def rows(self, n: int) -> int:
        if self.device is not None and self.device.type != "cpu":
            return max(1, n)
        return max(64, min(1024, _HELD // self._network.width))

    def value_and_gradient(self, x: Tensor, *, last: bool = False) -> tuple[Tensor, Tensor]:
        n, sigma, c = len(x), self._network.activation, self._network.output_bias or 0.0
        if len(self._buffers[0]) < n:
            self._buffers = (self._W.new_empty(n, self._network.width), self._W.new_empty(n, self._network.dim))
        u, g = (buffer[:n] for buffer in self._buffers)
        if self._bias is None:
            torch.mm(x, self._W.mT, out=u)
        else:
            torch.addmm(self._bias, x, self._W.mT, out=u)
        if last or not self._bent:
            value = sigma(u) @ self._top + c
            if last:
                return value, g
            q = sigma.derivative(u).mul_(self._top)
            return value, torch.mm(q, self._W, out=g)
        sigma.left_slopes(u, u).mul_(self._top)
        torch.mm(u, self._W, out=g)
        value = torch.linalg.vecdot(g, x) + c
        return value if self._bias is None else value + u @ self._bias, g

    def exact_margins(self, x: Tensor, y: Tensor) -> Tensor:
        exact = self._network.to(dtype=torch.float64)
        return y.to(torch.float64) * exact(x.to(torch.float64))


@final
class ModuleAscent(Ascent):
    """Autograd through a module or a function."""

    def __init__(self, network: nn.Module | Callable[[Tensor], Tensor]) -> None:
        if not callable(network):
            raise UsageError(f"network must be a TwoLayer, a module or a function, got {type(network).__name__}.")
        self._network = network
        if isinstance(network, nn.Module):
            parameter = next(network.parameters(), None)
            if parameter is not None:
                self.dtype, self.device = parameter.dtype, parameter.device

    def rows(self, n: int) -> int:
        return max(1, n)

    def value_and_gradient(self, x: Tensor, *, last: bool = False) -> tuple[Tensor, Tensor]:
        if last:
            with torch.no_grad():
                return self._value(x), x
        with torch.enable_grad():
            at = x.clone().requires_grad_()
            value = self._value(at)
            (gradient,) = torch.autograd.grad(value.sum(), at)
        return value.detach(), gradient

    def exact_margins(self, x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            return (y * self._value(x)).to(torch.float64)

    def _value(self, x: Tensor) -> Tensor:
        value = self._network(x)
        if value.shape == (len(x), 1):
            value = value[:, 0]
        if value.shape != (len(x),):
            raise UsageError(
                f"network must give one number per input, shape ({len(x)},) or ({len(x)}, 1), got "
                f"{tuple(value.shape)}; of a two-class network take the difference of its outputs."
            )
        return value
