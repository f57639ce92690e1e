"""Search for perturbations and weights that prove many joint errors of a group.

Let B(x', lambda) bound sum_i lambda_i y_i f(x'_i; W) over the ball, and let d_i = max(-y_i f(x'_i; W)) be how wrong a
network of the ball can be about point i. If B < 0, the wrong points must make up -B, each of them adding at most
lambda_i d_i: there are at least -B / max_i (lambda_i d_i) errors. The search maximises this number in rounds of

1. B, its gradient in the points and in the weights, and the d_i;
2. the number of errors of the current iterate, which is kept if it is the best so far;
3. a normalised gradient step of every point, projected onto its budget, with a length that falls geometrically;
4. a step of the weights: multiplicative and towards low B until B < 0; then on the cube 0 <= lambda_i d_i <= 1, where
   the number of errors is -B itself.

The result is a search only; `_joint` proves what it yields.

Source: docs/mathematics/certificates.md, "Errors from a joint bound".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gradflip.certificates._relaxation import JointBound
from gradflip.certificates._search import MaxMargin, ray_start

_FIRST, _LAST = 2.0, 0.05  # length of the first and the last step of the points, in budgets
_NO_NORM = 1e-30  # smallest divisor of a normalisation
_RATE = 0.5  # of the multiplicative steps of the weights, in standard deviations of their gradient


def joint_search(
    joint: JointBound, x64: Tensor, y64: Tensor, epsilon: float, steps: int, optimize_weights: bool
) -> tuple[Tensor, Tensor]:
    """Perturbations and weights that prove many errors in groups of equal size.

    Args:
        joint: B and its gradient.
        x64: Points, float64.
        y64: Labels, float64.
        epsilon: Budget of every point.
        steps: Steps of each of the two phases; 0 keeps the points on their rays.
        optimize_weights: Whether the weights move.

    Returns:
        Perturbations and weights in the type of the search; the weights of a group sum to one.

    Shape:
        x64 and the perturbations `(groups, points, d)`, y64 and the weights `(groups, points)`.
    """
    x, y = x64.to(joint.dtype), y64.to(joint.dtype)
    margin = MaxMargin(joint.ball)
    start = ray_start(margin, x.flatten(0, 1), y.flatten(), torch.full_like(y, epsilon).flatten())
    p, weights = start.view_as(x), _balanced(y)
    best_p, best_weights, best = p.clone(), weights.clone(), torch.full_like(y[:, 0], -math.inf)
    rounds = 2 * steps if optimize_weights and x.shape[1] > 1 else steps
    for k in range(rounds + 1):
        # 1. the bound and how wrong about each point a network can be
        B, g, g_weights = joint(x + p, y, weights)
        deepest = _deepest(margin, x + p, y)
        # 2. the best iterate so far
        errors = -B / (weights * deepest).amax(dim=1).clamp(min=_NO_NORM)
        better = errors > best
        best = torch.where(better, errors, best)
        best_p[better], best_weights[better] = p[better], weights[better]
        if k == rounds:
            break
        # 3. the points
        share = _FIRST * (_LAST / _FIRST) ** (min(k, steps - 1) / max(1, steps - 1))
        p = p - share * epsilon * g / torch.linalg.vector_norm(g, dim=2, keepdim=True).clamp(min=_NO_NORM)
        p *= (epsilon / torch.linalg.vector_norm(p, dim=2, keepdim=True).clamp(min=_NO_NORM)).clamp(max=1.0)
        # 4. the weights
        if optimize_weights:
            rate = _RATE * (1 - k % steps / steps)
            low = _towards_low_bound(weights, g_weights, rate)
            many = _towards_many_errors(weights, g_weights, deepest, rate)
            weights = torch.where((B < 0)[:, None] & (k >= steps), many, low)
    return best_p, best_weights / best_weights.sum(dim=1, keepdim=True)


def _balanced(y: Tensor) -> Tensor:
    """Weights that sum to one in every group, half of them for each class where both are present."""
    weights: Tensor = torch.zeros_like(y)
    for label in (-1, 1):
        own = (y == label).to(y.dtype)
        weights += own / own.sum(dim=1, keepdim=True).clamp(min=1.0)
    return weights / weights.sum(dim=1, keepdim=True)


def _deepest(margin: MaxMargin, x: Tensor, y: Tensor) -> Tensor:
    """d_i = max(-y_i f) over the ball, bounded away from 0."""
    flat, labels = x.flatten(0, 1), -y.flatten()
    parts = zip(torch.split(flat, margin.block), torch.split(labels, margin.block), strict=True)
    values = [margin(part, own, last=True)[0].clone() for part, own in parts]
    return torch.cat(values).view_as(y).clamp(min=margin.noise)


def _towards_low_bound(weights: Tensor, g: Tensor, rate: float) -> Tensor:
    """A multiplicative step of weights of sum one: more for the points that lower B."""
    centred = g - (weights * g).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)
    spread = (weights * centred.square()).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)
    moved = weights * torch.exp((-rate * centred / spread.sqrt().clamp(min=_NO_NORM)).clamp(-20.0, 20.0))
    return moved / moved.sum(dim=1, keepdim=True)


def _towards_many_errors(weights: Tensor, g: Tensor, deepest: Tensor, rate: float) -> Tensor:
    """A gradient step of the shares lambda_i d_i within [0, 1]: -B grows while no weight exceeds 1 / d_i."""
    shares = weights * deepest
    shares = shares / shares.amax(dim=1, keepdim=True)
    slope = g / deepest
    size = slope.square().mean(dim=1, keepdim=True).sqrt().clamp(min=_NO_NORM)
    moved = (shares - rate * slope / size).clamp(0.0, 1.0)
    return moved / deepest
