"""The products of a matrix on one side so far: an orthonormal basis and its images."""

from __future__ import annotations

import torch
from torch import Tensor

DEPENDENT = 1e-12
"""A vector this close to the span of the earlier ones, relative to its length, counts as inside."""


class Observed:
    """The vectors multiplied so far, as an orthonormal basis Q, and their images W Q.

    Among many draws, a vector may be new to one matrix and not to another, whose basis and images then have a row of
    zeros.

    Attributes:
        basis: Q, one vector per row.
        images: W Q, one vector per row.

    Shape:
        basis `(..., k, q)`, images `(..., k, p)`; `...` is nothing or the number of draws.
    """

    def __init__(self, lead: tuple[int, ...], length: int, image_length: int) -> None:
        self._vectors = torch.empty(*lead, 0, length, dtype=torch.float64)
        self._images = torch.empty(*lead, 0, image_length, dtype=torch.float64)
        self._count = 0

    @property
    def basis(self) -> Tensor:
        """Q."""
        return self._vectors[..., : self._count, :]

    @property
    def images(self) -> Tensor:
        """W Q."""
        return self._images[..., : self._count, :]

    def append(self, directions: Tensor, images: Tensor) -> None:
        """Append new directions, as `split` returned them, and their images.

        Args:
            directions: `(..., r, q)`.
            images: `(..., r, p)`.
        """
        count = self._count + directions.shape[-2]
        self._images = _with_room(self._images, self._count, count)
        self._images[..., self._count : count, :] = images
        self._count = count

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Decompose a block of vectors into the basis and new orthonormal directions: x = C Q + L E.

        Args:
            x: `(..., k, q)`, of moderate size.

        Returns:
            C `(..., k, number of basis vectors)`, L `(..., k, r)` and the new directions E `(..., r, q)`, r <= k.
            Gram-Schmidt, each vector orthogonalised until it is orthogonal to the last digit.
        """
        lead, k = x.shape[:-2], x.shape[-2]
        self._vectors = _with_room(self._vectors, self._count, self._count + k)
        Q, E = self.basis, self._vectors[..., self._count : self._count + k, :]
        C, L = x @ Q.mT, x.new_zeros(*lead, k, k)
        new = 0
        for i in range(k):
            e, size = E[..., new, :], torch.linalg.vector_norm(x[..., i, :], dim=-1, keepdim=True)
            e.copy_(x[..., i, :])
            _subtract(e, C[..., i, :], Q)
            length = torch.linalg.vector_norm(e, dim=-1, keepdim=True)
            for _ in range(4):
                onto = _inner(E[..., :new, :], e)
                _subtract(e, onto, E[..., :new, :])
                L[..., i, :new] += onto
                back = _inner(Q, e)
                _subtract(e, back, Q)
                C[..., i, :] += back
                before, length = length, torch.linalg.vector_norm(e, dim=-1, keepdim=True)
                # the remainder is orthogonal once another pass no longer shortens it
                if bool(((length > 0.5 * before) | (length <= DEPENDENT * size)).all()):
                    break
            fresh = length > DEPENDENT * size
            if not lead and not bool(fresh):
                continue
            # a dependent vector leaves only rounding, which becomes a direction of zeros
            e.mul_(torch.where(fresh, 1 / length, 0.0))
            L[..., i, new] = torch.where(fresh, length, 0.0)[..., 0]
            new += 1
        return C, L[..., :new], E[..., :new, :]

    def reject(self, g: Tensor) -> Tensor:
        """(I - Q^T Q) g, written over g, of a block `(..., r, q)`."""
        if self._count:
            add_products(g, g @ self.basis.mT, self.basis, alpha=-1)
        return g


def add_products(into: Tensor, coefficients: Tensor, rows: Tensor, alpha: float = 1.0) -> Tensor:
    """Add alpha * coefficients @ rows in place: allocating many megabytes costs more than the sum.

    Args:
        into: `(..., r, n)`.
        coefficients: `(..., r, k)`.
        rows: `(..., k, n)`.
        alpha: A factor.

    Returns:
        `into`.
    """
    if rows.shape[-2]:
        (into.addmm_ if into.ndim == 2 else into.baddbmm_)(coefficients, rows, alpha=alpha)
    return into


def _inner(rows: Tensor, x: Tensor) -> Tensor:
    """rows_i . x, `(..., k, n)` and `(..., n)` -> `(..., k)`."""
    return (rows @ x.unsqueeze(-1)).squeeze(-1)


def _subtract(x: Tensor, coefficients: Tensor, rows: Tensor) -> None:
    """Subtract sum_i c_i rows_i in place, `(..., n)`, `(..., k)` and `(..., k, n)`."""
    add_products(x.unsqueeze(-2), coefficients.unsqueeze(-2), rows, alpha=-1)


def _with_room(held: Tensor, used: int, count: int) -> Tensor:
    room = held.shape[-2]
    if count <= room:
        return held
    grown = held.new_empty(*held.shape[:-2], max(count, room + room // 2 + 2), held.shape[-1])
    grown[..., :used, :] = held[..., :used, :]
    return grown
