"""The interface of a batch of rays for a search along them."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor


class AbstractRay(ABC):
    """phi(s) = sign(f(x)) f(x - s sign(f(x)) grad f(x)) on a batch of rays.

    Attributes:
        value: f(x), exactly 0 where it is zero up to rounding, float64.
        gradient_norm: |g|, 0 where g is zero up to rounding, float64.
        input_norm: |x|, float64.

    Shape:
        `(n,)` each.

    Source: docs/mathematics/model.md, "The ray".
    """

    value: Tensor
    gradient_norm: Tensor
    input_norm: Tensor

    @abstractmethod
    def rows(self, index: Tensor) -> AbstractRay:
        """The rays at some positions, or of a mask."""

    @abstractmethod
    def phi(self, s: Tensor) -> Tensor:
        """The value of phi at one step per ray, `(n,)`."""

    @abstractmethod
    def slope(self, s: Tensor) -> Tensor:
        """The slope of phi at one step per ray, `(n,)`."""

    @abstractmethod
    def rounding(self, s: Tensor) -> Tensor:
        """The largest |phi(s)| that counts as zero, `(n,)`."""

    @abstractmethod
    def bend(self) -> Tensor | None:
        """A bound on |phi''| along each ray, `(n,)`; `None` where none is known."""
