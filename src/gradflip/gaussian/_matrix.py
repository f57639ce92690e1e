"""A matrix of independent Gaussian entries, accessed through its products."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._checks import is_finite, positive, positive_int
from gradflip._errors import UsageError


class GaussianMatrix(ABC):
    """A p x q matrix of i.i.d. N(0, std^2) entries, or many independent ones at once.

    The results of `matvec` and `rmatvec` have the same joint law for `DenseGaussian` and `ImplicitGaussian`, at every
    finite size. The numbers drawn depend on the generator and on the order of the queries; a block counts as its
    vectors one after another. float64 on the CPU.

    Attributes:
        shape: (p, q).
        std: Standard deviation of an entry.
        draws: Number of independent matrices, each multiplied with its own vectors; `None` for a single one.

    Raises:
        UsageError: If the shape or std is not positive.
    """

    def __init__(self, shape: tuple[int, int], std: float, draws: int | None = None) -> None:
        of = "of a Gaussian matrix"
        rows, columns = positive_int(f"rows {of}", shape[0]), positive_int(f"columns {of}", shape[1])
        draws = None if draws is None else positive_int(f"draws {of}", draws)
        std = positive("std", std)
        self.shape = (rows, columns)
        self.std = float(std)
        self.draws = draws

    def matvec(self, x: Float[Tensor, "*batch q"]) -> Float[Tensor, "*batch p"]:
        """W x for a vector or a block of vectors.

        Args:
            x: One vector or many, one per row; separate ones for each of `draws` matrices.

        Returns:
            Products, in the shape of x.

        Raises:
            UsageError: If x has another length than q, another number of draws, or is not finite.

        Shape:
            x `(q,)` or `(k, q)`, with draws `(draws, q)` or `(draws, k, q)`; result the same with p for q.
        """
        return self._shaped(x, self.shape[1], "matvec", self._products)

    def rmatvec(self, b: Float[Tensor, "*batch p"]) -> Float[Tensor, "*batch q"]:
        """W^T b for a vector or a block of vectors.

        Args:
            b: One vector or many, as for `matvec`.

        Returns:
            Products, in the shape of b.

        Raises:
            UsageError: If b has another length than p, another number of draws, or is not finite.

        Shape:
            b `(p,)` or `(k, p)`, with draws `(draws, p)` or `(draws, k, p)`; result the same with q for p.
        """
        return self._shaped(b, self.shape[0], "rmatvec", self._transposed_products)

    def to_dense(self) -> Float[Tensor, "*draws p q"]:
        """The matrix itself, consistent with all earlier and later products.

        Returns:
            W, `(p, q)` or `(draws, p, q)`. For small sizes: an implicit matrix takes q products.
        """
        identity = torch.eye(self.shape[1], dtype=torch.float64)
        if self.draws is not None:
            identity = identity.expand(self.draws, -1, -1)
        return self._products(identity).mT.contiguous()

    @abstractmethod
    def _products(self, x: Tensor) -> Tensor:
        """W x for a block, `(..., k, q)` -> `(..., k, p)`."""

    @abstractmethod
    def _transposed_products(self, b: Tensor) -> Tensor:
        """W^T b for a block, `(..., k, p)` -> `(..., k, q)`."""

    def _shaped(self, x: Tensor, length: int, what: str, products: object) -> Tensor:
        before = 0 if self.draws is None else 1
        fits = x.ndim in (before + 1, before + 2) and (self.draws is None or x.shape[0] == self.draws)
        if not fits or x.shape[-1] != length:
            draws = "" if self.draws is None else f" for each of {self.draws} draws"
            raise UsageError(
                f"{what} of a {self.shape[0]} x {self.shape[1]} matrix takes vectors of length {length}, one or a row "
                f"each{draws}, got length {x.shape[-1] if x.ndim else 0} in shape {tuple(x.shape)}."
            )
        if not is_finite(x):
            raise UsageError(f"{what} takes finite vectors, got {int((~x.isfinite()).sum())} entries that are not.")
        x = x.detach().to(torch.float64)
        assert callable(products)
        alone = x.ndim == before + 1
        block: Tensor = products(x.unsqueeze(-2) if alone else x)
        return block.squeeze(-2) if alone else block
