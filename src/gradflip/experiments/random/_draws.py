"""Shared by the measures of random networks: blocks of draws that fit in memory, inputs, the unit of the step."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip.rays import Flip, FlipStatus
from gradflip.theory import Limits

_BLOCK = 2**24  # numbers held at once


def blocks(draws: int, numbers: int) -> Iterator[int]:
    """Split draws into blocks that fit in memory.

    Args:
        draws: Number of draws.
        numbers: How many numbers one draw holds.

    Yields:
        Sizes that add up to `draws`.
    """
    size = max(1, _BLOCK // numbers)
    for start in range(0, draws, size):
        yield min(size, draws - start)


def inputs(draws: int, dim: int, draw: torch.Generator) -> Float[Tensor, "draws 1 d"]:
    """Inputs of norm sqrt d in random directions, one per draw."""
    x = torch.randn(draws, 1, dim, generator=draw, dtype=torch.float64)
    return x.mul_(math.sqrt(dim) / torch.linalg.vector_norm(x, dim=-1, keepdim=True))


def unit_step(known: Limits) -> float:
    """The step nu / tau^2, at which a network of the limit with |f| = nu flips."""
    return known.nu / known.tau**2


def relative_sqrt_d(flips: Flip, dim: int) -> Float[Tensor, " n"]:
    """Return rho sqrt d of each draw.

    Args:
        flips: Flips.
        dim: Input dimension d.

    Returns:
        rho sqrt d; inf where nothing flips. A network that is 0 at its input (its units are dead) has no prediction to
        flip: it counts among those that never flip, whatever convention `Flip` has for points on the boundary.
    """
    return torch.where(flips.status == FlipStatus.FLIPPED, flips.relative * math.sqrt(dim), torch.inf)


def statuses(flips: Flip) -> dict[str, int]:
    """The number of draws by status: `flipped`, `never`, `flat`, `zero` (f(x) = 0), `not_found`."""
    names = {"zero": FlipStatus.BOUNDARY} | {
        status.name.lower(): status for status in FlipStatus if status is not FlipStatus.BOUNDARY
    }
    return {name: int((flips.status == status).sum()) for name, status in names.items()}


def quantile(ordered: Float[Tensor, " n"], level: float) -> float | None:
    """The smallest of the sorted numbers that at least this share does not exceed; null if it is inf."""
    value = float(ordered[max(0, math.ceil(level * len(ordered) - 1e-9) - 1)])
    return value if math.isfinite(value) else None


def half_normal_distance(values: Float[Tensor, " n"]) -> float:
    """The Kolmogorov distance between a sample, which may contain inf, and the law of |Z|, Z ~ N(0, 1)."""
    ordered = values.sort().values
    law = torch.erf(ordered / math.sqrt(2))
    rank = torch.arange(len(ordered), dtype=torch.float64)
    finite = torch.isfinite(ordered)
    above = ((rank + 1) / len(ordered) - law)[finite]
    below = law - rank / len(ordered)  # the mass at inf
    return float(torch.cat([above, below, law.new_zeros(1)]).max())
