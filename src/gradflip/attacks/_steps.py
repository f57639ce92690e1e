"""Several gradient steps in a row: the attack whose first step is the ray."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._checks import positive, positive_int
from gradflip.networks import Network


@dataclass(frozen=True, eq=False)
class AttackSteps:
    """The path of several gradient steps.

    Attributes:
        values: f(x_0), f(x_1), ..., f(x_K).
        relative: |x_k - x_0| / |x_0|.

    Shape:
        `(n, K + 1)` each; the rows of a network of several draws follow draw by draw.
    """

    values: Float[Tensor, "n k"]
    relative: Float[Tensor, "n k"]

    @property
    def flipped(self) -> Float[Tensor, " k"]:
        """Share of the inputs with f(x_0) f(x_k) < 0, after each step."""
        return (self.values * self.values[:, :1] < 0).to(torch.float64).mean(dim=0)


def attack_steps(network: Network, x: Float[Tensor, "*batch d"], step: float, steps: int) -> AttackSteps:
    """Follow x_(k+1) = x_k - step sign(f(x_0)) grad f(x_k).

    Args:
        network: A network.
        x: Inputs.
        step: s, the multiple of the gradient in each step.
        steps: Number K of steps.

    Returns:
        Values and relative distances along the path.

    Raises:
        UsageError: If step is not positive and finite, steps is not a positive integer, or x does not fit.

    Shape:
        x `(n, d)`, for a network of several draws `(draws, n, d)`. 2 K + 1 products with each matrix.

    Source: Daniely & Shacham (2020), whose attack takes several steps; K = 1 is the step of Montanari & Wu (2022).
    """
    step, steps = positive("step", step), positive_int("steps", steps)
    start = torch.linalg.vector_norm(x, dim=-1, dtype=torch.float64).reshape(-1)
    at = x
    value, g = network.value_and_gradient(at)
    sign = value.sign().unsqueeze(-1)
    values, relative = [value.reshape(-1).to(torch.float64)], [torch.zeros_like(start)]
    for k in range(1, steps + 1):
        at = at - step * sign * g
        if k < steps:
            value, g = network.value_and_gradient(at)
        else:
            value = network.value(at)
        values.append(value.reshape(-1).to(torch.float64))
        relative.append(torch.linalg.vector_norm(at - x, dim=-1, dtype=torch.float64).reshape(-1) / start)
    return AttackSteps(torch.stack(values, dim=1), torch.stack(relative, dim=1))
