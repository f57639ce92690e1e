"""Balls around the rows of several matrices: the geometry of the lazy regime, whatever network the matrices belong to.

With matrices W_1, ..., W_L, such as those of the trained layers of a network, and one radius per matrix, the set is

    { (W_1, ..., W_L) : |w_(l,j) - c_(l,j)| <= r_l for every row j of every matrix l } .

It is a product of Euclidean balls, one per row, so that distances and projections are computed row by row.

Source: docs/mathematics/lazy-training.md, "The ball" and "Projection".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Matrices = tuple[Float[Tensor, "_ _"], ...]


class Projection(NamedTuple):
    """The nearest point of a ball.

    Attributes:
        weights: The matrices, projected.
        moved: For each matrix, which of its rows were outside; the others are unchanged.
    """

    weights: Matrices
    moved: tuple[Bool[Tensor, " _"], ...]


@dataclass(frozen=True, eq=False)
class RowBall:
    """All matrices each of whose rows is within a radius of its centre.

    Attributes:
        centre: The centre of each matrix.
        radii: The radius of each matrix.
    """

    centre: Matrices
    radii: tuple[float, ...]

    def distances(self, weights: Matrices) -> tuple[Float[Tensor, " _"], ...]:
        """Distance of every row from its centre.

        Args:
            weights: Matrices of the shapes of the centre.

        Returns:
            For each matrix, one distance per row.
        """
        pairs = zip(weights, self.centre, strict=True)
        return tuple(torch.linalg.vector_norm(W - centre, dim=1) for W, centre in pairs)

    def contains(self, weights: Matrices) -> bool:
        """Whether no row is outside.

        Args:
            weights: Matrices of the shapes of the centre.

        Returns:
            True if the matrices are in the ball, surface included.
        """
        pairs = zip(self.distances(weights), self.radii, strict=True)
        return all(float(distances.max()) <= radius for distances, radius in pairs)

    def project(self, weights: Matrices, *, eps: float) -> Projection:
        """The nearest point of the ball.

        Rows outside are drawn a little below the surface, such that they are inside after rounding, too.

        Args:
            weights: Matrices of the shapes of the centre.
            eps: Machine epsilon of the type to which the result is rounded.

        Returns:
            The projected matrices, and which rows moved.
        """
        projected, moved = [], []
        parts = zip(weights, self.centre, self.distances(weights), self.radii, strict=True)
        for W, centre, distance, radius in parts:
            outside = distance > radius
            # rounding a projected row (a few times: a change of scaling rounds too) moves it by eps |w|
            longest = torch.linalg.vector_norm(centre, dim=1) + radius
            target = (radius - 4 * eps * longest).clamp(min=0.0)
            factor = torch.where(outside, target / distance, 1.0)
            projected.append(torch.where(outside[:, None], centre + factor[:, None] * (W - centre), W))
            moved.append(outside)
        return Projection(tuple(projected), tuple(moved))
