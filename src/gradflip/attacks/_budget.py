"""The budget of an attack in floating point: radii within which a perturbed input stays in the ball after rounding."""

from __future__ import annotations

import torch
from torch import Tensor


def rounded_budget(x: Tensor, epsilon: float | Tensor) -> Tensor:
    """Radii within which x + p, rounded to the type of x, stays within epsilon of x.

    Rounding x + p moves each coordinate by at most half a unit in the last place.

    Args:
        x: Inputs.
        epsilon: The budget, or a column of budgets, one per run.

    Returns:
        One radius per input, at most epsilon.

    Shape:
        x `(n, d)`, result `(n,)`; for a column of budgets `(runs, 1)` the result is `(runs, n)`.
    """
    unit = torch.finfo(x.dtype).eps
    length = torch.linalg.vector_norm(x, dim=-1)
    radius: Tensor = (epsilon * (1 - 4 * unit) - unit * (length + epsilon)).clamp(min=0.0).to(x.dtype)
    return radius
