"""The smallest margin of a two-layer relu network in a disc, exactly: only finitely many points can attain it."""

import math

import torch

from gradflip import TwoLayer


def smallest_margin_in_the_disc(network: TwoLayer, x: torch.Tensor, y: torch.Tensor, radius: float) -> torch.Tensor:
    """min of y f over |p| <= radius, d = 2.

    f is linear on the cells that the lines w_j . (x + p) + b_j = 0 cut the disc into. Its minimum is at a crossing of
    two lines, where a line meets the circle, or on an arc of the circle against the gradient of its cell.
    """
    W = network.W
    offset = x @ W.mT + (0.0 if network.bias is None else network.bias)  # w_j . p = -offset_j on line j
    best = torch.stack([
        _of_one(network, point, label, own, radius) for point, label, own in zip(x, y, offset, strict=True)
    ])
    return best


def _of_one(network: TwoLayer, x: torch.Tensor, y: torch.Tensor, offset: torch.Tensor, radius: float) -> torch.Tensor:
    W, m = network.W, network.width
    candidates = [torch.zeros(1, 2, dtype=torch.float64)]
    i, j = torch.triu_indices(m, m, offset=1)
    determinant = W[i, 0] * W[j, 1] - W[i, 1] * W[j, 0]
    crossing = torch.stack(
        [
            (-offset[i] * W[j, 1] + offset[j] * W[i, 1]) / determinant,
            (-offset[j] * W[i, 0] + offset[i] * W[j, 0]) / determinant,
        ],
        dim=1,
    )
    candidates.append(crossing[crossing.isfinite().all(dim=1)])
    length = W.norm(dim=1)
    across = -offset / length  # signed distance of each line
    meets = across.abs() < radius
    towards = torch.atan2(W[:, 1], W[:, 0])[meets]
    half = torch.acos(across[meets] / radius)
    angles = torch.cat([towards - half, towards + half]).remainder(2 * math.pi).sort().values
    ends = torch.cat([angles, angles[:1] + 2 * math.pi]) if len(angles) else torch.tensor([0.0, 2 * math.pi])
    candidates.append(_on_the_circle(angles, radius))
    middle = _on_the_circle(0.5 * (ends[1:] + ends[:-1]), radius)
    gradient = y * network.gradient(x + middle)
    against = torch.atan2(-gradient[:, 1], -gradient[:, 0])
    turned = (against - ends[:-1]).remainder(2 * math.pi)
    inside = (turned <= ends[1:] - ends[:-1]) & (gradient.norm(dim=1) > 0)
    candidates.append(_on_the_circle(against[inside], radius))
    p = torch.cat(candidates)
    p = p[p.norm(dim=1) <= radius * (1 + 1e-12)]
    return (y * network(x + p)).min()


def _on_the_circle(angles: torch.Tensor, radius: float) -> torch.Tensor:
    return radius * torch.stack([angles.cos(), angles.sin()], dim=1).to(torch.float64)
