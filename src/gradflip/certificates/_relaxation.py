"""An upper bound on the weighted margins of a group of points over the ball: linear bounds on relu, neuron by neuron.

One W serves all points of a group, so what a neuron gains for one class it loses for the other. The bound is derived in
four steps.

1. Write w_j = w_(j,0) + v_j with |v_j| <= r, u_ij = w_(j,0) . x_i and k_ij = lambda_i y_i a_j. Then
   sqrt(m) sum_i lambda_i y_i f(x_i; W) = sum_j sum_i k_ij relu(u_ij + v_j . x_i), and |v_j . x_i| <= R_i := r |x_i|.
2. Replace relu(z) by a line s_ij z + h_ij on |z - u_ij| <= R_i: an upper bound where k_ij > 0 (the chord, if the kink
   is within reach), a lower bound where k_ij < 0 (a tangent; at a kink within reach any slope in [0, 1] and h_ij = 0).
3. What remains is linear in v_j, with the gradient D_j = sum_i q_ij x_i, q_ij = k_ij s_ij, and is largest at v_j =
   r D_j / |D_j|:

       sum_i lambda_i y_i f(x_i; W) <= B = m^(-1/2) sum_j [ sum_i k_ij (s_ij u_ij + h_ij) + r |D_j| ].

4. B is convex in the free slopes. A Frank-Wolfe step moves them towards the tangents at the maximising displacement, to
   where B is lowest on the way, in closed form. Any slopes give a valid bound, so this search needs no proof.

Biases enter as (x_i, 1), an output bias c adds c sum_i lambda_i y_i. Groups of equal size form a leading axis.

Source: docs/mathematics/certificates.md, "Joint certificates".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip.certificates._upper_bound import (
    RADIUS_SLACK,
    TINY,
    UNIT,
    gamma,
    inflated_radii,
    norm_upper,
    row_norms_upper,
)
from gradflip.lazy._ball import LazyBall
from gradflip.lazy._rows import rows
from gradflip.networks import TwoLayer

_HELD = 2**22  # pre-activations held at once
_SMALL = 16  # size of a group up to which |D_j| is computed from the Gram matrix of its points
_NO_NORM = 1e-15  # lower bound on |D_j|, so that its gradient exists


class Relaxation(NamedTuple):
    """A line s z + h for every point and neuron, and the gradient D_j = sum_i q_ij x_i of their weighted sum.

    Attributes:
        slopes: s.
        intercepts: h.
        weighted: q = k s, the slopes times their coefficients.
        norms: |D_j|.

    Shape:
        slopes, intercepts, weighted `(groups, points, neurons)`, norms `(groups, neurons)`.
    """

    slopes: Tensor
    intercepts: Tensor
    weighted: Tensor
    norms: Tensor


def relax(u: Tensor, coefficients: Tensor, reach: Tensor, x: Tensor, radii: Tensor, *, tangents: int = 4) -> Relaxation:
    """Lines above relu where a coefficient is positive, below it where it is negative.

    Args:
        u: Pre-activations at the centre.
        coefficients: k_ij = lambda_i y_i a_j.
        reach: How far each pre-activation can move, R_i = r |x_i|, positive.
        x: The points, with a one for biases.
        radii: How far each neuron can move, r.
        tangents: Frank-Wolfe steps towards the best tangents.

    Returns:
        A `Relaxation`, valid for any number of steps. The slope of a chord is a smooth function of u, that of a tangent
        counts as a constant.

    Shape:
        u, coefficients, reach `(groups, points, neurons)`, x `(groups, points, k)`, radii `(neurons,)`.
    """
    # 2. the slopes: chords where they must be above, tangents (free at a kink within reach) where below
    low, high = u - reach, u + reach
    kinked = (low < 0) & (high > 0)
    active = (u > 0).to(u.dtype)
    chords = torch.where(kinked, high / (2 * reach), active)
    free = kinked & (coefficients < 0)
    # 4. the best tangents; what they are worth changes with the points only to second order: constants for the gradient
    with torch.no_grad():
        slopes = _best_tangents(u, coefficients, x, radii, torch.where(free, active, chords), free, tangents)
    slopes = torch.where(free, slopes, chords)
    # 2. the intercepts: of a tangent at the kink 0, elsewhere what either end of the interval requires
    at_low, at_high = torch.relu(low) - slopes * low, torch.relu(high) - slopes * high
    below = torch.where(kinked, 0.0, torch.minimum(at_low, at_high))
    intercepts = torch.where(coefficients < 0, below, torch.maximum(at_low, at_high))
    # 3. the gradient in v_j
    weighted = coefficients * slopes
    return Relaxation(slopes, intercepts, weighted, gradient_norms(weighted, x))


def gradient_norms(weighted: Tensor, x: Tensor) -> Tensor:
    """|D_j| = |sum_i q_ij x_i| for every neuron.

    Args:
        weighted: q.
        x: The points.

    Returns:
        Norms. For small groups they come from the Gram matrix of the points, accurate to the root of the rounding.

    Shape:
        weighted `(groups, points, neurons)`, x `(groups, points, k)`, result `(groups, neurons)`.
    """
    norms: Tensor
    if x.shape[1] > _SMALL:
        norms = torch.linalg.vector_norm(weighted.mT @ x, dim=2)
    else:
        norms = (weighted * ((x @ x.mT) @ weighted)).sum(dim=1).clamp(min=_NO_NORM**2).sqrt()
    return norms


def _best_tangents(
    u: Tensor, coefficients: Tensor, x: Tensor, radii: Tensor, slopes: Tensor, free: Tensor, steps: int
) -> Tensor:
    """Frank-Wolfe on the free slopes: minimise sum_i k_ij s_ij u_ij + r |D_j|, convex on the cube [0, 1]^n."""
    gram = x @ x.mT if x.shape[1] <= _SMALL else None
    for _ in range(steps):
        weighted = coefficients * slopes
        along, square = _products(weighted, x, gram)
        # the corner: tangents at the point to which the maximising displacement r D_j / |D_j| leads
        touched = u + along * (radii / square.clamp(min=_NO_NORM**2).sqrt())[:, None, :] > 0
        direction = torch.where(free, touched.to(u.dtype) - slopes, 0.0)
        change = coefficients * direction
        # the step: lowest sum on the way to the corner
        slope, cross = (change * u).sum(dim=1), (change * along).sum(dim=1)
        share = _line_minimum(slope, radii, square, cross, _square(change, x, gram))
        slopes += share[:, None, :] * direction
    return slopes.clamp(0.0, 1.0)


def _products(weighted: Tensor, x: Tensor, gram: Tensor | None) -> tuple[Tensor, Tensor]:
    """D_j . x_i and |D_j|^2."""
    if gram is not None:
        along = gram @ weighted
        return along, (weighted * along).sum(dim=1)
    D = weighted.mT @ x
    return x @ D.mT, D.square().sum(dim=2)


def _square(weighted: Tensor, x: Tensor, gram: Tensor | None) -> Tensor:
    """|sum_i q_ij x_i|^2."""
    return (weighted.mT @ x).square().sum(dim=2) if gram is None else (weighted * (gram @ weighted)).sum(dim=1)


def _line_minimum(slope: Tensor, radius: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """The t in [0, 1] that minimises slope t + radius sqrt(A + 2 B t + C t^2), in closed form."""
    root = C.clamp(min=_NO_NORM**2).sqrt()
    across = (A - (B / root).square()).clamp(min=0.0).sqrt()
    cosine = -slope / (radius * root)
    z = cosine * across / (1 - cosine.square()).clamp(min=1e-12).sqrt()
    z = torch.where(cosine.abs() < 1, z, cosine.sign() * torch.inf)
    return ((z - B / root) / root).clamp(0.0, 1.0).nan_to_num(0.0)


@final
class JointBound:
    """B of groups of points and its gradient, in the type of the search, a block of neurons at a time.

    Attributes:
        ball: The ball.
        dtype: The type of the search.
    """

    def __init__(self, ball: LazyBall) -> None:
        self.ball, self._network = ball, ball.network0
        self._radius = ball.radius * (1 + RADIUS_SLACK)
        self.dtype = torch.float64 if self._network.W.dtype == torch.float64 else torch.float32

    def __call__(self, x: Tensor, y: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """B `(groups,)`, its gradient in x and in the weights, of x `(groups, points, d)`, y and weights."""
        x, weights = x.detach().requires_grad_(), weights.detach().requires_grad_()
        total = x.new_zeros(len(x))
        g_x, g_weights = torch.zeros_like(x), torch.zeros_like(weights)
        for W, a, bias in self._blocks(x.shape[0] * x.shape[1]):
            with torch.enable_grad():
                rays = x if bias is None else torch.cat([x, x.new_ones(*x.shape[:2], 1)], dim=2)
                part = self._part(rays, y * weights, W, a)
                in_x, in_weights = torch.autograd.grad(part.sum(), (x, weights))
            total += part.detach()
            g_x += in_x
            g_weights += in_weights
        root, c = math.sqrt(self._network.width), self._network.output_bias or 0.0
        return total / root + c * (y * weights.detach()).sum(1), g_x / root, g_weights / root + c * y

    def _part(self, x: Tensor, signed: Tensor, W: Tensor, a: Tensor) -> Tensor:
        u = x @ W.mT
        coefficients = signed[:, :, None] * a
        reach = self._radius * torch.linalg.vector_norm(x, dim=2)[:, :, None].expand_as(u)
        lines = relax(u, coefficients, reach, x, torch.full_like(a, self._radius), tangents=1)
        inner = (coefficients * (lines.slopes * u + lines.intercepts)).sum(dim=1)
        part: Tensor = (inner + self._radius * lines.norms).sum(dim=1)
        return part

    def _blocks(self, points: int) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        network = self._network
        size = max(1, _HELD // points)
        for j in range(0, network.width, size):
            block = slice(j, j + size)
            W = network.W[block].to(self.dtype)
            bias = None if network.bias is None else network.bias[block].to(self.dtype)
            if bias is not None:
                W = torch.cat([W, bias[:, None]], dim=1)
            yield W, network.a[block].to(self.dtype), bias


def certified_joint_upper_bound(
    network0: TwoLayer, radius: float, x: Tensor, y: Tensor, weights: Tensor
) -> Float[Tensor, " groups"]:
    """A number that sum_i lambda_i y_i f(x_i; W) exceeds for no W within radius (1 + 1e-5), all rounding included.

    Rounding of the pre-activations amounts to a slightly larger ball for the lines, as in `certified_upper_bound`, and
    to gamma_d |w_j| |x_i| where they are summed. Any slope gives a valid line, so that only the rounding of its
    intercept counts. Added are (1) 16 u of every line's terms, (2) gamma of their number for the sum over points and
    neurons, (3) gamma_n sum |q_ij| |x_i| and gamma_d |D_j| for the gradients, and with a Gram matrix gamma (sum |q_ij|
    |x_i|)^2 under the root.

    Args:
        network0: The ball's centre, of activation relu.
        radius: Its radius.
        x: The points of every group, float64, the very numbers that are certified.
        y: Labels.
        weights: lambda, not negative, float64.

    Returns:
        The bound; inf where something overflows.

    Shape:
        x `(groups, points, d)`, y, weights `(groups, points)`, result `(groups,)`.

    Source: docs/mathematics/certificates.md, "The joint bound with rounding".
    """
    count, width = x.shape[1], network0.width
    rays = x if network0.bias is None else torch.cat([x, x.new_ones(*x.shape[:2], 1)], dim=2)
    terms = rays.shape[2]
    norms = norm_upper(rays.flatten(0, 1)).view(x.shape[:2])
    reached = radius * (1 + RADIUS_SLACK) * (1 + 8 * UNIT)
    weight = (weights * norms).sum(dim=1) * (1 + gamma(count + 4))
    inner, moved, error = (x.new_zeros(len(x)) for _ in range(3))
    size = max(1, _HELD // (len(x) * count))
    row_norms, trained = row_norms_upper(network0), rows(network0)
    radii = inflated_radii(network0, radius, row_norms)
    for j in range(0, width, size):
        # B of a block of neurons, its lines valid on the larger ball
        block = slice(j, j + size)
        W, a = trained[block], network0.a[block].to(torch.float64)
        u = rays @ W.mT
        coefficients = (y * weights)[:, :, None] * a
        reach = norms[:, :, None] * radii[block]
        lines = relax(u, coefficients, reach, rays, torch.full_like(a, reached))
        inner += (coefficients * (lines.slopes * u + lines.intercepts)).sum(dim=(1, 2))
        moved += _norms_upper(lines, norms, terms).sum(dim=1)
        # (1) the terms of its lines, (3) its gradients
        most = a.abs() * (row_norms[block] + 2 * radii[block])
        error += gamma(terms + 32) * most.sum() + gamma(count + 8) * reached * a.abs().sum()
    # (2) the sums over points and neurons
    error = weight * (error + gamma(count * width + 64) * _magnitude(network0, row_norms, radii)) + width * count * TINY
    moved = reached * moved * (1 + gamma(width + 16))
    # the factor, the output bias and the last sum
    root, c = math.sqrt(width), network0.output_bias or 0.0
    constant = c * (y * weights).sum(dim=1)
    slack = 16 * UNIT * ((inner.abs() + moved) / root + abs(c) * gamma(count) / UNIT * weights.sum(dim=1))
    bound = (inner + moved + 1.1 * error) / root + constant + 1.1 * slack + TINY
    return bound.nan_to_num(nan=math.inf, posinf=math.inf, neginf=math.inf)


def _norms_upper(lines: Relaxation, norms: Tensor, terms: int) -> Tensor:
    """|D_j| rounded up, also where a Gram matrix made it from cancelling terms."""
    upper = lines.norms * (1 + 2 * gamma(terms + 8))
    count = lines.weighted.shape[1]
    if count <= _SMALL:
        loose = gamma(terms + count**2 + 8) * (lines.weighted.abs() * norms[:, :, None]).sum(dim=1).square()
        upper = (upper.square() + 2 * loose).sqrt() * (1 + 4 * UNIT)
    return upper


def _magnitude(network: TwoLayer, row_norms: Tensor, radii: Tensor) -> Tensor:
    """sum_j |a_j| (|w_j| + 2 r_j): the size of the sums over neurons, for one point of norm and weight 1."""
    return (network.a.to(torch.float64).abs() * (row_norms + 2 * radii)).sum()
