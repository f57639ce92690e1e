"""Groups of points that one network must serve at once."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gradflip._checks import positive_int
from gradflip._errors import UsageError


def opposite_groups(x: Float[Tensor, "n d"], y: Float[Tensor, " n"], pairs: int = 1) -> Int[Tensor, " n"]:
    """Groups with equally many points of each class: pairs of near points, then `pairs` of them per group.

    The pairs minimise the total distance (in angle) between their members. Near points of opposite classes are the
    hardest to serve at once. A group whose bound is negative proves an error: one in two points for pairs, which need
    the largest budget, a smaller share for larger groups, which need less.

    Args:
        x: Points.
        y: Their labels, -1 or +1.
        pairs: Number of pairs per group.

    Returns:
        The number of each point's group. Points of the larger class that remain are groups of their own.

    Raises:
        UsageError: If `pairs` is not a positive integer.

    Shape:
        x `(n, d)`, y and result `(n,)`.
    """
    from scipy.optimize import linear_sum_assignment

    pairs = positive_int("pairs", pairs)
    upper, lower = (y > 0).nonzero()[:, 0], (y < 0).nonzero()[:, 0]
    rays = torch.nn.functional.normalize(x.to(torch.float64), dim=1)
    first, second = linear_sum_assignment(-(rays[upper] @ rays[lower].mT).cpu().numpy())
    groups = torch.full((len(y),), -1, dtype=torch.int64, device=y.device)
    groups[upper[first]] = groups[lower[second]] = torch.arange(len(first), device=y.device) // pairs
    alone = groups < 0
    groups[alone] = -(-len(first) // pairs) + torch.arange(int(alone.sum()), device=y.device)
    return groups


def group_numbers(groups: Tensor | None, n: int) -> Int[Tensor, " n"]:
    """The given groups, numbered 0, 1, ... without gaps.

    Args:
        groups: A number per point; `None` for one group of all points.
        n: Number of points.

    Returns:
        Numbers of groups.

    Raises:
        UsageError: If there is not one non-negative integer per point.
    """
    if groups is None:
        return torch.zeros(n, dtype=torch.int64)
    if groups.shape != (n,) or groups.is_floating_point() or int(groups.min()) < 0:
        raise UsageError(f"groups must have one number 0, 1, ... per point, {n}, got shape {tuple(groups.shape)}.")
    _, numbers = torch.unique(groups.to(torch.int64), return_inverse=True)
    return torch.as_tensor(numbers)


def members_by_size(numbers: Tensor) -> list[Int[Tensor, "groups points"]]:
    """The points of all groups, one array for the groups of each size.

    Args:
        numbers: The number of each point's group.

    Returns:
        Indices of points, a row per group.
    """
    counts = torch.bincount(numbers)
    order = torch.argsort(numbers, stable=True)
    members = []
    for size in torch.unique(counts).tolist():
        own = order[counts[numbers[order]] == size]
        members.append(own.view(-1, size))
    return members
