"""The plane through 0, the initialisation and a trained network, and the section of the ball by it (Figure 1).

Source: Wang et al. (2022), Figure 1; docs/mathematics/lazy-training.md, "The cone".
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.lazy._ball import LazyBall
from gradflip.networks import TwoLayer


class PlanePoint(NamedTuple):
    """The point s W_0 + t D of a plane that is nearest to a network.

    Attributes:
        s: Coordinate along W_0.
        t: Coordinate along D.
        outside: Norm of the part of W outside the plane, as a fraction of |W - W_0|.
    """

    s: float
    t: float
    outside: float


class WeightPlane:
    """The weights s W_0 + t D, with D the part of a network orthogonal to W_0, scaled to sqrt(m) max_j |d_j| = 1.

    Args:
        ball: A ball around a network without biases.
        network: A network of its shape.

    Attributes:
        start: W_0.
        direction: D; 0 if the network is a multiple of W_0.
        radius: Radius of the ball.
        C0: Constant of the ball.

    Raises:
        UsageError: If the networks have biases or differ in shape.

    Source: docs/mathematics/lazy-training.md, "The cone".
    """

    def __init__(self, ball: LazyBall, network: TwoLayer) -> None:
        """Span the plane."""
        self.start: Float[Tensor, "m d"] = ball.network0.W.to(torch.float64)
        self.radius, self.C0 = ball.radius, ball.C0
        W = self._weights(network)
        self._size = float((self.start * self.start).sum())
        rest = W - float((W * self.start).sum()) / self._size * self.start
        longest = math.sqrt(network.width) * float(torch.linalg.vector_norm(rest, dim=1).max())
        self.direction: Float[Tensor, "m d"] = rest / longest if longest > 0 else rest

    def place(self, network: TwoLayer) -> PlanePoint:
        """The point of the plane nearest to a network.

        Args:
            network: A network of the shape of the centre, without biases.

        Returns:
            Its coordinates, and how far the network is from the plane.

        Raises:
            UsageError: If the network has biases or another shape.
        """
        W = self._weights(network)
        s = float((W * self.start).sum()) / self._size
        square = float((self.direction * self.direction).sum())
        t = float((W * self.direction).sum()) / square if square > 0 else 0.0
        moved = float(torch.linalg.vector_norm(W - self.start))
        beside = float(torch.linalg.vector_norm(W - s * self.start - t * self.direction))
        return PlanePoint(s, t, beside / moved if moved > 0 else 0.0)

    def boundary(self, corners: int = 240) -> list[tuple[float, float]]:
        """The boundary of the section {(s, t) : |(s - 1) w_(j,0) + t d_j| <= r for every neuron j}.

        Each neuron allows an ellipse around (1, 0). Their intersection is convex, and in a direction from the centre it
        ends where the first ellipse does: exact at every corner.

        Args:
            corners: Number of directions.

        Returns:
            The corners (s, t) in order, the first not repeated.
        """
        # max_j |p w_j + q d_j|^2 in a direction (p, q) needs three numbers per neuron
        along = (self.start * self.start).sum(dim=1)
        mixed = (self.start * self.direction).sum(dim=1)
        across = (self.direction * self.direction).sum(dim=1)
        points = []
        for i in range(corners):
            angle = 2 * math.pi * i / corners
            # in units in which both half-axes are near 1
            p, q = self.radius / math.sqrt(float(along.max())) * math.cos(angle), self.C0 * math.sin(angle)
            longest = math.sqrt(max(0.0, float((p * p * along + 2 * p * q * mixed + q * q * across).max())))
            share = self.radius / longest
            points.append((1 + share * p, share * q))
        return points

    def _weights(self, network: TwoLayer) -> Tensor:
        if network.bias is not None:
            raise UsageError("the plane needs networks without biases.")
        if network.W.shape != self.start.shape:
            raise UsageError(
                f"the network must have the shape of the ball's centre, {tuple(self.start.shape)}, "
                f"got {tuple(network.W.shape)}."
            )
        return network.rescale("unit").W.to(torch.float64)
