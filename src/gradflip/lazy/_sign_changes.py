"""Neurons that can change sign within the ball (Lemma 4.3): their number, its bound, and a perturbation that breaks it.

A neuron can change sign at x only if its pre-activation at the centre is in the slab |w_(j,0) . x| <= C0 |x| / sqrt m.
The bound holds at an input fixed before the weights are drawn, not uniformly in perturbations of it: the last function
chooses one from the weights.

Source: docs/mathematics/lazy-training.md, "Lemma 4.3, neurons that change sign".
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from gradflip._errors import UsageError

_MOST = 0.999  # of the half-width of the slab: where the chosen perturbation puts a neuron


def sign_change_bound(width: int, C0: float, gamma: float) -> float:
    """The number of neurons that can change sign exceeds this with probability at most gamma.

    Args:
        width: Number m of neurons.
        C0: Constant of the ball.
        gamma: Probability, in (0, 1].

    Returns:
        C0 sqrt(2 m / pi) + sqrt(m log(1/gamma) / 2), a bound for |{j : |w_(j,0) . x| <= C0 |x| / sqrt m}|.

    Raises:
        UsageError: If gamma is not in (0, 1].

    Source: Wang et al. (2022), Lemmas 4.3 and B.4: m times the largest density, then Hoeffding's inequality;
        docs/mathematics/lazy-training.md, "Lemma 4.3, neurons that change sign".
    """
    if not 0 < gamma <= 1:
        raise UsageError(f"gamma must be in (0, 1], got {gamma}.")
    return C0 * math.sqrt(2 * width / math.pi) + math.sqrt(width * math.log(1 / gamma) / 2)


def switchable_neurons(W: Float[Tensor, "m d"], x: Float[Tensor, "... d"], C0: float) -> Int64[Tensor, ...]:
    """Number of neurons that change sign at an input for some network of the ball around W.

    Args:
        W: First-layer weights of the centre.
        x: Inputs.
        C0: Constant of the ball.

    Returns:
        |{j : |w_j . x| <= C0 |x| / sqrt m}|, one number per input.

    Shape:
        W `(m, d)`, x `(..., d)`, result `(...)`.
    """
    half = C0 / math.sqrt(len(W)) * torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    counts: Tensor = ((x @ W.mT).abs() <= half).sum(dim=-1)
    return counts


def crowding_perturbation(
    W: Float[Tensor, "m d"], x: Float[Tensor, " d"], C0: float, radius: float
) -> Float[Tensor, " d"]:
    """A perturbation, chosen from W, after which many more neurons can change sign than the bound allows.

    It moves the k neurons nearest to the slab to its edge, or keeps them where they are inside, and is the shortest
    perturbation that does so; k is the largest number, at most d, for which it is no longer than the radius.

    Args:
        W: First-layer weights of the centre.
        x: An input of norm 1.
        C0: Constant of the ball.
        radius: Largest norm of the perturbation, below 1.

    Returns:
        The perturbation.

    Raises:
        UsageError: If the radius is not in (0, 1).

    Shape:
        W `(m, d)`, x and result `(d,)`.

    Source: docs/mathematics/lazy-training.md, "Lemma 4.3, neurons that change sign".
    """
    if not 0 < radius < 1:
        raise UsageError(f"radius must be in (0, 1), got {radius}.")
    u = W @ x
    # |x + delta| >= 1 - radius: the slab at x + delta is at least as wide as this
    half = _MOST * C0 / math.sqrt(len(W)) * (1 - radius)
    change = u.clamp(-half, half) - u
    nearest = change.abs().argsort(stable=True)[: min(W.shape)]
    # W_k delta = change_k has the shortest solution Q_k y_k, R_k^T y_k = change_k: the first k entries of one y
    Q, R = torch.linalg.qr(W[nearest].mT)
    y = torch.linalg.solve_triangular(R.mT, change[nearest, None], upper=False)[:, 0]
    count = int((y.square().cumsum(dim=0) <= radius**2).sum())
    delta: Tensor = Q[:, :count] @ y[:count]
    return delta
