"""The distance of a ray of weights from a centre: the cone over the ball.

For a positively homogeneous network, c W with c > 0 makes the predictions of W. It is in the cone over the ball where
min over c of max_j |c w_j - w_(j,0)| is at most the radius. With t = c - 1 the squared distances are the parabolas

    |w_j|^2 t^2 + 2 t w_j . (w_j - w_(j,0)) + |w_j - w_(j,0)|^2 ,

whose maximum is convex: it is lowest at the vertex of one of them, or where two of them meet.

Source: Wang et al. (2022), Figure 1; docs/mathematics/lazy-training.md, "The cone".
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class ConeDistance(NamedTuple):
    """The closest that a ray { c W : c > 0 } comes to the centre of a ball.

    Attributes:
        distance: min over c of max_j |c w_j - w_(j,0)|.
        scale: The c that attains it; 0 if the minimum is only approached as c -> 0.
    """

    distance: float
    scale: float


def cone_distance(W: Tensor, start: Tensor) -> ConeDistance:
    """Distance of the ray { c W : c > 0 } from a centre.

    Args:
        W: Trained weights, one row per neuron, float64.
        start: Rows of the centre.

    Returns:
        The distance, exact up to rounding, and the scale that attains it.

    Shape:
        W, start `(m, k)`.
    """
    # start from the least-squares c, such that t is small and nothing cancels
    along, size = float((W * start).sum()), float((W * W).sum())
    near = along / size if along > 0 else math.sqrt(float((start * start).sum()) / size) if size > 0 else 1.0
    near = near or 1.0
    scale = near * _lowest_maximum(near * W, near * W - start)
    return ConeDistance(float(torch.linalg.vector_norm(scale * W - start, dim=1).max()), scale)


def _lowest_maximum(moved: Tensor, offset: Tensor) -> float:
    """The c >= 0 that minimises max_j |c w_j - w_(j,0)|; finitely many parabolas, so finitely many steps."""
    A, B, D = (moved * moved).sum(1), -(moved * offset).sum(1), (offset * offset).sum(1)

    def active(t: float) -> tuple[int, float]:
        """Index of a parabola that attains the maximum at t, and its derivative there."""
        j = int(((A * t - 2 * B) * t + D).argmax())
        return j, float(2 * (A[j] * t - B[j]))

    low = -1.0
    high = float(torch.where(A > 0, B / A, low).max())  # right of every vertex the maximum rises
    left, falling = active(low)
    right, rising = active(high)
    if falling >= 0 or high <= low:
        return 0.0
    if rising < 0:
        return 1 + high
    t = low
    # the lowest point of two parabolas, active on either side; the highest parabola there replaces the one on its side
    for _ in range(len(A) + 100):
        t = _lowest_of_two(A, B, D, left, right, low, high)
        j, slope = active(t)
        if j in (left, right) or not low < t < high:
            break
        if slope < 0:
            left, low = j, t
        else:
            right, high = j, t
    return 1 + t


def _lowest_of_two(A: Tensor, B: Tensor, D: Tensor, i: int, j: int, low: float, high: float) -> float:
    """Place of the minimum of max(parabola i, parabola j) on [low, high]; i falls at low, j rises at high."""
    candidates = [float(B[k] / A[k]) for k in (i, j) if float(A[k]) > 0]
    p, q, r = float(A[i] - A[j]), float(-2 * (B[i] - B[j])), float(D[i] - D[j])
    discriminant = q * q - 4 * p * r
    if p == 0 and q != 0:
        candidates.append(-r / q)
    elif p != 0 and discriminant >= 0:
        root = -0.5 * (q + math.copysign(math.sqrt(discriminant), q))
        candidates.append(root / p)
        if root != 0:
            candidates.append(r / root)
    # the ends too: if the parabolas meet at one of them, rounding may put that point outside
    inside = [low, high, *(c for c in candidates if low < c < high)]

    def larger(c: float) -> float:
        return max(float((A[k] * c - 2 * B[k]) * c + D[k]) for k in (i, j))

    return min(inside, key=larger)
