"""The plane of Figure 1: through the origin, the initialisation and a trained network, and the ball's section by it."""

from __future__ import annotations

import math

import torch

from gradflip.lazy._ball import LazyBall
from gradflip.networks import TwoLayer


class Plane:
    """The weights s W_0 + t D, D being what of a network is orthogonal to W_0, scaled to sqrt(m) max_j |d_j| = 1.

    Attributes:
        start: W_0.
        aside: D; 0 if the network is a multiple of W_0.
        radius: Of the ball around W_0.
        C0: Of the ball.
    """

    def __init__(self, ball: LazyBall, network: TwoLayer) -> None:
        """Lay it through the ball's centre and a network of its shape, without biases."""
        self.start = ball.network0.W.to(torch.float64)
        moved = network.rescale("unit").W.to(torch.float64)
        self._size = float((self.start * self.start).sum())
        aside = moved - float((moved * self.start).sum()) / self._size * self.start
        longest = math.sqrt(network.width) * float(torch.linalg.vector_norm(aside, dim=1).max())
        self.aside = aside / longest if longest > 0 else aside
        self.radius, self.C0 = ball.radius, ball.C0

    def place(self, network: TwoLayer) -> tuple[float, float, float]:
        """(s, t) of the point of the plane nearest to a network, and the share of W - W_0 that lies outside of it."""
        W = network.rescale("unit").W.to(torch.float64)
        s = float((W * self.start).sum()) / self._size
        square = float((self.aside * self.aside).sum())
        t = float((W * self.aside).sum()) / square if square > 0 else 0.0
        moved = float(torch.linalg.vector_norm(W - self.start))
        beside = float(torch.linalg.vector_norm(W - s * self.start - t * self.aside))
        return s, t, beside / moved if moved > 0 else 0.0


def section(plane: Plane, corners: int = 240) -> list[tuple[float, float]]:
    """The boundary of the ball's section: {(s, t) : |(s - 1) w_(j,0) + t d_j| <= r for every neuron j}.

    Each neuron allows an ellipse around (1, 0); their intersection is convex, and along a direction from the centre it
    ends where the first of them does: exact at every corner.

    Args:
        plane: The plane.
        corners: How many.

    Returns:
        (s, t) in order, the first not repeated.
    """
    # max_j |p w_j + q d_j|^2 of a direction (p, q) needs three numbers a neuron
    along = (plane.start * plane.start).sum(dim=1)
    mixed = (plane.start * plane.aside).sum(dim=1)
    across = (plane.aside * plane.aside).sum(dim=1)
    found = []
    for i in range(corners):
        angle = 2 * math.pi * i / corners
        # in units in which both half axes are near 1
        p, q = plane.radius / math.sqrt(float(along.max())) * math.cos(angle), plane.C0 * math.sin(angle)
        longest = math.sqrt(max(0.0, float((p * p * along + 2 * p * q * mixed + q * q * across).max())))
        share = plane.radius / longest
        found.append((1 + share * p, share * q))
    return found
