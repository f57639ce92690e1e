"""How many neurons can change sign within the ball: Lemma 4.3, its bound, and a perturbation that breaks it."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

_MOST = 0.999  # of the slab's half width: where a chosen perturbation puts a neuron


def slab_bound(width: int, C0: float, gamma: float) -> float:
    """What |{j : |w_(j,0) . x| <= C0 |x| / sqrt m}| exceeds with probability gamma at most.

    Args:
        width: Number m of neurons.
        C0: Of the ball.
        gamma: Probability.

    Returns:
        C0 sqrt(2 m / pi) + sqrt(m log(1/gamma) / 2).

    Source: Wang et al. (2022), Lemmas 4.3 and B.4: m times the largest density, then Hoeffding.
    """
    return C0 * math.sqrt(2 * width / math.pi) + math.sqrt(width * math.log(1 / gamma) / 2)


def in_slab(W: Float[Tensor, "m d"], x: Float[Tensor, "... d"], C0: float) -> Int64[Tensor, ...]:
    """How many neurons of the ball around W can change sign at an input.

    Args:
        W: First-layer weights.
        x: Inputs.
        C0: Of the ball.

    Returns:
        |{j : |w_j . x| <= C0 |x| / sqrt m}|.
    """
    half = C0 / math.sqrt(len(W)) * torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    counts: Tensor = ((x @ W.mT).abs() <= half).sum(dim=-1)
    return counts


def crowding(W: Float[Tensor, "m d"], x: Float[Tensor, " d"], C0: float, reach: float) -> Float[Tensor, " d"]:
    """A perturbation chosen from W that puts as many neurons into the slab as it can be shown to.

    The neurons nearest to the slab are brought to its edge, and those within kept where they are, by the shortest
    perturbation that does so: of as many, at most d, as a perturbation of length `reach` can serve.

    Args:
        W: First-layer weights.
        x: An input of norm 1.
        C0: Of the ball.
        reach: Length of the perturbation at most, below 1.

    Returns:
        A perturbation.
    """
    u = W @ x
    # |x + delta| >= 1 - reach: the slab at x + delta is at least as wide as this
    half = _MOST * C0 / math.sqrt(len(W)) * (1 - reach)
    change = u.clamp(-half, half) - u
    nearest = change.abs().argsort(stable=True)[: min(W.shape)]
    # W_k delta = change_k has the shortest solution Q_k y_k, R_k^T y_k = change_k: the first k entries of one y
    Q, R = torch.linalg.qr(W[nearest].mT)
    y = torch.linalg.solve_triangular(R.mT, change[nearest, None], upper=False)[:, 0]
    count = int((y.square().cumsum(dim=0) <= reach**2).sum())
    delta: Tensor = Q[:, :count] @ y[:count]
    return delta
