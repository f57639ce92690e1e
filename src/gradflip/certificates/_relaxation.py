"""How right about a whole group of points one network of the ball can be: relu replaced by lines, neuron by neuron.

One W serves all points of a group, so what a neuron gains for one class it loses for the other. Over the ball
relu(w_j . x_i) is at most a line in the displacement v_j where its coefficient lambda_i y_i a_j is positive, the chord
over |v_j . x_i| <= r |x_i|, and at least a line where it is negative, a tangent. Of the lines the maximum over
|v_j| <= r is known:

    sum_i lambda_i y_i f(x_i; W) <= B = m^(-1/2) sum_j [ b_j + r |sum_i lambda_i y_i a_j s_ij x_i| ].

Where the kink is within reach any tangent slope in [0, 1] is valid; the best one touches relu where the maximising
displacement leads (Frank-Wolfe). Groups of equal size come as a leading axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip.certificates._upper_bound import RADIUS_SLACK, TINY, UNIT, certain_radii, gamma, norm_up, row_norms_up
from gradflip.lazy._ball import LazyBall, rows
from gradflip.networks import TwoLayer

_HELD = 2**22  # pre-activations held at once
_SMALL = 16  # points of a group up to which |D_j| comes from their Gram matrix
_NO_PULL = 1e-15  # |D_j| taken for none, so that its gradient exists


class Lines(NamedTuple):
    """A line s z + h for every point and neuron, and what they pull the neuron by: D_j = sum_i q_ij x_i.

    Attributes:
        slopes: s.
        heights: h.
        pulls: q = lambda y a s.
        norms: |D_j|.
    """

    slopes: Tensor
    heights: Tensor
    pulls: Tensor
    norms: Tensor


def fit_lines(
    u: Tensor, coefficients: Tensor, reach: Tensor, x: Tensor, reaches: Tensor, *, tangents: int = 4
) -> Lines:
    """The lines above relu where a coefficient is positive, below it where it is negative.

    Args:
        u: Pre-activations at the centre.
        coefficients: lambda_i y_i a_j.
        reach: How far each pre-activation can move, r |x_i|, positive.
        x: The points, with a one for biases.
        reaches: How far each neuron can move, r.
        tangents: Steps towards the best tangents.

    Returns:
        `Lines`; valid for any number of steps. A chord's slope depends on u smoothly, a tangent's is a constant.

    Shape:
        u, coefficients, reach `(groups, points, neurons)`, x `(groups, points, k)`, reaches `(neurons,)`.
    """
    low, high = u - reach, u + reach
    kinked = (low < 0) & (high > 0)
    active = (u > 0).to(u.dtype)
    upper = torch.where(kinked, high / (2 * reach), active)
    free = kinked & (coefficients < 0)
    with torch.no_grad():
        slopes = torch.where(free, active, upper)
        gram = x @ x.mT if x.shape[1] <= _SMALL else None
        for _ in range(tangents):
            pulls = coefficients * slopes
            along, square = _along(pulls, x, gram)
            # towards the tangents at where the maximising displacement leads, as far as that lowers the sum
            touched = u + along * (reaches / square.clamp(min=_NO_PULL**2).sqrt())[:, None, :] > 0
            ways = torch.where(free, touched.to(u.dtype) - slopes, 0.0)
            turns = coefficients * ways
            share = _lowest(
                (turns * u).sum(dim=1), reaches, square, (turns * along).sum(dim=1), _square(turns, x, gram)
            )
            slopes += share[:, None, :] * ways
        slopes = slopes.clamp(0.0, 1.0)
    # what the best tangent is worth changes with it only to second order: a constant for the gradient
    slopes = torch.where(free, slopes, upper)
    at_low, at_high = torch.relu(low) - slopes * low, torch.relu(high) - slopes * high
    below = torch.where(kinked, 0.0, torch.minimum(at_low, at_high))
    heights = torch.where(coefficients < 0, below, torch.maximum(at_low, at_high))
    pulls = coefficients * slopes
    return Lines(slopes, heights, pulls, pull_norms(pulls, x))


def pull_norms(pulls: Tensor, x: Tensor) -> Tensor:
    """|sum_i q_ij x_i| for every neuron.

    Args:
        pulls: q.
        x: The points.

    Returns:
        Norms; of small groups from the Gram matrix of their points, accurate to the root of the rounding.

    Shape:
        pulls `(groups, points, neurons)`, x `(groups, points, k)`, result `(groups, neurons)`.
    """
    norms: Tensor
    if x.shape[1] > _SMALL:
        norms = torch.linalg.vector_norm(pulls.mT @ x, dim=2)
    else:
        norms = (pulls * ((x @ x.mT) @ pulls)).sum(dim=1).clamp(min=_NO_PULL**2).sqrt()
    return norms


def _along(pulls: Tensor, x: Tensor, gram: Tensor | None) -> tuple[Tensor, Tensor]:
    """D_j . x_i and |D_j|^2."""
    if gram is not None:
        along = gram @ pulls
        return along, (pulls * along).sum(dim=1)
    D = pulls.mT @ x
    return x @ D.mT, D.square().sum(dim=2)


def _square(pulls: Tensor, x: Tensor, gram: Tensor | None) -> Tensor:
    """|sum_i q_ij x_i|^2."""
    return (pulls.mT @ x).square().sum(dim=2) if gram is None else (pulls * (gram @ pulls)).sum(dim=1)


def _lowest(slope: Tensor, reach: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """The share c in [0, 1] at which slope c + reach sqrt(A + 2 B c + C c^2) is lowest."""
    root = C.clamp(min=_NO_PULL**2).sqrt()
    across = (A - (B / root).square()).clamp(min=0.0).sqrt()
    cosine = -slope / (reach * root)
    z = cosine * across / (1 - cosine.square()).clamp(min=1e-12).sqrt()
    z = torch.where(cosine.abs() < 1, z, cosine.sign() * torch.inf)
    return ((z - B / root) / root).clamp(0.0, 1.0).nan_to_num(0.0)


@final
class JointLift:
    """B of groups of points and its gradient, a block of neurons at a time; the network's type."""

    def __init__(self, ball: LazyBall) -> None:
        network = ball.network0
        self.ball, self.network = ball, network
        self.radius = ball.radius * (1 + RADIUS_SLACK)
        self.dtype = torch.float64 if network.W.dtype == torch.float64 else torch.float32

    def __call__(self, x: Tensor, y: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """B `(groups,)`, its gradient in x and in the weights, of x `(groups, points, d)`, y and weights."""
        x, weights = x.detach().requires_grad_(), weights.detach().requires_grad_()
        total = x.new_zeros(len(x))
        g_x, g_w = torch.zeros_like(x), torch.zeros_like(weights)
        for W, a, bias in self._blocks(x.shape[0] * x.shape[1]):
            with torch.enable_grad():
                ray = x if bias is None else torch.cat([x, x.new_ones(*x.shape[:2], 1)], dim=2)
                part = self._part(ray, y * weights, W, a)
                one, other = torch.autograd.grad(part.sum(), (x, weights))
            total += part.detach()
            g_x += one
            g_w += other
        root, c = math.sqrt(self.network.width), self.network.output_bias or 0.0
        return total / root + c * (y * weights.detach()).sum(1), g_x / root, g_w / root + c * y

    def _part(self, x: Tensor, signed: Tensor, W: Tensor, a: Tensor) -> Tensor:
        u = x @ W.mT
        coefficients = signed[:, :, None] * a
        reach = self.radius * torch.linalg.vector_norm(x, dim=2)[:, :, None].expand_as(u)
        lines = fit_lines(u, coefficients, reach, x, torch.full_like(a, self.radius), tangents=1)
        inner = (coefficients * (lines.slopes * u + lines.heights)).sum(dim=1)
        part: Tensor = (inner + self.radius * lines.norms).sum(dim=1)
        return part

    def _blocks(self, points: int) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        network = self.network
        size = max(1, _HELD // points)
        for j in range(0, network.width, size):
            block = slice(j, j + size)
            W = network.W[block].to(self.dtype)
            bias = None if network.bias is None else network.bias[block].to(self.dtype)
            if bias is not None:
                W = torch.cat([W, bias[:, None]], dim=1)
            yield W, network.a[block].to(self.dtype), bias


def highest_jointly_certain(
    network0: TwoLayer, radius: float, x: Tensor, y: Tensor, weights: Tensor
) -> Float[Tensor, " groups"]:
    """A number that sum_i lambda_i y_i f(x_i; W) exceeds for no W within radius (1 + 1e-5), whatever was rounded here.

    Rounding of the pre-activations is a slightly larger ball for the lines, as in `highest_certain`, and gamma_d |w_j|
    |x_i| where they are summed; any slope makes a valid line, so that only its height counts. Added are (1) 16 u of
    every line's terms, (2) gamma of their number for the sum over points and neurons, (3) gamma_n sum |q_ij| |x_i| and
    gamma_d |D_j| for the pulls, of a Gram matrix gamma (sum |q_ij| |x_i|)^2 under the root.

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
    length = norm_up(rays.flatten(0, 1)).view(x.shape[:2])
    reached = radius * (1 + RADIUS_SLACK) * (1 + 8 * UNIT)
    weight = (weights * length).sum(dim=1) * (1 + gamma(count + 4))
    inner, pulled, error = (x.new_zeros(len(x)) for _ in range(3))
    size = max(1, _HELD // (len(x) * count))
    sizes, trained = row_norms_up(network0), rows(network0)
    reaches = certain_radii(network0, radius, sizes)
    for j in range(0, width, size):
        block = slice(j, j + size)
        W, a = trained[block], network0.a[block].to(torch.float64)
        u = rays @ W.mT
        coefficients = (y * weights)[:, :, None] * a
        reach = length[:, :, None] * reaches[block]
        lines = fit_lines(u, coefficients, reach, rays, torch.full_like(a, reached))
        inner += (coefficients * (lines.slopes * u + lines.heights)).sum(dim=(1, 2))
        norms = lines.norms * (1 + 2 * gamma(terms + 8))
        if count <= _SMALL:
            loose = gamma(terms + count**2 + 8) * (lines.pulls.abs() * length[:, :, None]).sum(dim=1).square()
            norms = (norms.square() + 2 * loose).sqrt() * (1 + 4 * UNIT)
        pulled += norms.sum(dim=1)
        most = a.abs() * (sizes[block] + 2 * reaches[block])
        error += gamma(terms + 32) * most.sum() + gamma(count + 8) * reached * a.abs().sum()
    error = weight * (error + gamma(count * width + 64) * _magnitude(network0, sizes, reaches)) + width * count * TINY
    pulled = reached * pulled * (1 + gamma(width + 16))
    root, c = math.sqrt(width), network0.output_bias or 0.0
    constant = c * (y * weights).sum(dim=1)
    slack = 16 * UNIT * ((inner.abs() + pulled) / root + abs(c) * gamma(count) / UNIT * weights.sum(dim=1))
    bound = (inner + pulled + 1.1 * error) / root + constant + 1.1 * slack + TINY
    return bound.nan_to_num(nan=math.inf, posinf=math.inf, neginf=math.inf)


def _magnitude(network: TwoLayer, sizes: Tensor, reaches: Tensor) -> Tensor:
    """sum_j |a_j| (|w_j| + 2 r_j): what the sums over neurons are made of, for one point of length and weight 1."""
    return (network.a.to(torch.float64).abs() * (sizes + 2 * reaches)).sum()
