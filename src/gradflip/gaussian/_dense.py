"""The explicit Gaussian matrix: the reference that the implicit matrix must match in law."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from gradflip.gaussian._matrix import GaussianMatrix


@final
class DenseGaussian(GaussianMatrix):
    """A Gaussian matrix in memory, 8 p q bytes.

    Args:
        shape: (p, q).
        std: Standard deviation of an entry.
        generator: Source of its entries.
        draws: Number of independent matrices; `None` for a single one.
    """

    def __init__(
        self, shape: tuple[int, int], std: float, *, generator: torch.Generator, draws: int | None = None
    ) -> None:
        super().__init__(shape, std, draws)
        size = self.shape if draws is None else (draws, *self.shape)
        self._W = torch.randn(size, generator=generator, dtype=torch.float64).mul_(self.std)

    def _products(self, x: Tensor) -> Tensor:
        return x @ self._W.mT

    def _transposed_products(self, b: Tensor) -> Tensor:
        return b @ self._W
