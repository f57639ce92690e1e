"""A Gaussian matrix that is never built: its products are sampled conditionally on all earlier products."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from gradflip.gaussian._matrix import GaussianMatrix
from gradflip.gaussian._observed import Observed, add_products


@final
class ImplicitGaussian(GaussianMatrix):
    """A Gaussian matrix drawn only where it is multiplied, exact in law at every finite size.

    Let W Q_R = Y and W^T Q_L = Z be the products so far, with orthonormal columns of Q_R and Q_L. Given them,

        W = Y Q_R^T + Q_L Z^T (I - Q_R Q_R^T) + (I - Q_L Q_L^T) W~ (I - Q_R Q_R^T),      W~ an independent copy,

    so that the product with x = Q_R c + r e, e a unit vector orthogonal to Q_R, is W x = Y c + r W e with

        W e = Q_L (Z^T e) + (I - Q_L Q_L^T) xi,      xi ~ N(0, std^2 I);

    and likewise for W^T b, with the sides exchanged. A vector within 1e-12 of the span of the earlier ones draws
    nothing. The law does not depend on the order of the queries; the numbers drawn do.

    Args:
        shape: (p, q).
        std: Standard deviation of an entry.
        generator: Source of the numbers, p or q for each new direction.
        draws: Number of independent matrices; `None` for a single one.

    Shape:
        After k right and l left products, memory and the time of a product are O((k + l)(p + q)).

    Source: the conditioning of Montanari & Wu (2022); docs/mathematics/random-networks.md, "Implicit matrices".
    """

    def __init__(
        self, shape: tuple[int, int], std: float, *, generator: torch.Generator, draws: int | None = None
    ) -> None:
        super().__init__(shape, std, draws)
        lead = () if draws is None else (draws,)
        rows, columns = self.shape
        self._right = Observed(lead, columns, rows)
        self._left = Observed(lead, rows, columns)
        self._generator = generator

    def _products(self, x: Tensor) -> Tensor:
        return self._multiply(x, seen=self._right, other=self._left)

    def _transposed_products(self, b: Tensor) -> Tensor:
        return self._multiply(b, seen=self._left, other=self._right)

    def _multiply(self, x: Tensor, *, seen: Observed, other: Observed) -> Tensor:
        exponent = _extreme(x)
        C, L, E = seen.split(x if exponent is None else torch.ldexp(x, -exponent))
        image = C @ seen.images
        if E.shape[-2]:
            We = other.reject(self._normal(E, other.basis.shape[-1]))
            add_products(We, E @ other.images.mT, other.basis)
            seen.append(E, We)
            add_products(image, L, We)
        return image if exponent is None else torch.ldexp(image, exponent)

    def _normal(self, directions: Tensor, length: int) -> Tensor:
        """A vector per direction, drawn one after another, so that a block draws the same numbers as its vectors."""
        xi = directions.new_empty(*directions.shape[:-1], length)
        for i in range(xi.shape[-2]):
            xi[..., i, :].normal_(std=self.std, generator=self._generator)
        if xi.ndim > 2:  # a direction that is zero has the image zero
            xi *= directions.any(dim=-1, keepdim=True)
        return xi


def _extreme(x: Tensor) -> Tensor | None:
    """Powers of 2 that rescale vectors whose squares would underflow or overflow; `None` if there are none."""
    size = torch.linalg.vector_norm(x, math.inf, dim=-1, keepdim=True)
    if not bool(((size > 1e100) | ((size < 1e-100) & (size > 0))).any()):
        return None
    return torch.frexp(size)[1].clamp(-1000, 1000)
