"""The universal flip budget: how little it takes until no network of the ball gets a point right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.certificates._certificate import Certificate, check_counts, checked, prove
from gradflip.certificates._search import Lift, descend, ray_start
from gradflip.certificates._upper_bound import highest_certain, norm_up
from gradflip.lazy._ball import LazyBall

if TYPE_CHECKING:
    import polars as pl

_DOUBLINGS = 12
_ROUNDS = 12
_LIFTS = 12  # attempts to pay for rounding with a slightly larger perturbation


@dataclass(frozen=True, eq=False)
class FlipBudget:
    """The smallest budget at which each point was certified.

    Attributes:
        certificate: The proof: at every point a perturbation of just this size.
    """

    certificate: Certificate

    @property
    def epsilon(self) -> Float[Tensor, " n"]:
        """Of every point: 0 where all networks of the ball are wrong about x itself, inf if none was found."""
        return self.certificate.epsilon

    def at(self, epsilon: float) -> float:
        """Share of points certified within a budget: a lower bound on the robust error of every network of the ball.

        Args:
            epsilon: The budget.

        Returns:
            The share.
        """
        return float((self.epsilon <= epsilon).to(torch.float64).mean())

    def to_frame(self) -> pl.DataFrame:
        """One row per point, as of the certificate.

        Returns:
            A polars frame.
        """
        return self.certificate.to_frame()


def flip_budget(
    ball: LazyBall,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    *,
    steps: int = 10,
    rtol: float = 2e-3,
) -> FlipBudget:
    """The smallest epsilon found at which every network of the ball is wrong about a point, with the proof.

    Every point has its own bracket, from M(x) / |grad M(x)| on (about (C0/2 + y f(x; W_0)) / sqrt(d/2)): doubled until
    a search succeeds, then narrowed where the line between both ends crosses zero, every search starting from the best
    perturbation so far. What is returned is certified in float64, at a size that is rounded up.

    Args:
        ball: The ball around an initialisation.
        x: Points in `unit` scaling, of any norm.
        y: Their labels, -1 or +1.
        steps: Gradient steps of a search.
        rtol: Width of the bracket at which a point is done.

    Returns:
        A `FlipBudget`; an upper bound on the true flip budget.

    Raises:
        UsageError: If an argument is not as stated, or too little is known of the activation.

    Shape:
        x `(n, d)`, y `(n,)`.

    Source: docs/mathematics/certificates.md, "Flip budgets".
    """
    points64, labels64 = checked(ball, x, y)
    check_counts(steps=steps)
    if isinstance(rtol, bool) or not isinstance(rtol, int | float) or not 0 < rtol < 1:
        raise UsageError(f"rtol must be between 0 and 1, got {rtol!r}.")
    lift = Lift(ball)
    points, labels = points64.to(lift.dtype), labels64.to(lift.dtype)
    at_once = highest_certain(ball.network0, ball.radius, points64, labels64) < 0
    size, p = _bracketed(lift, points, labels, at_once, steps, rtol)
    perturbed = _paid(ball, points64, labels64, points64 + _scaled(p, size))
    certificate = prove(ball, points64, labels64, norm_up(perturbed - points64), perturbed)
    epsilon = torch.where(certificate.certified, certificate.epsilon, math.inf)
    return FlipBudget(
        Certificate(ball, points64, labels64, epsilon, perturbed, certificate.bound, certificate.certified)
    )


def _bracketed(lift: Lift, x: Tensor, y: Tensor, at_once: Tensor, steps: int, rtol: float) -> tuple[Tensor, Tensor]:
    """Size and direction of the smallest perturbation found; 0 where none is needed, inf where none was found."""
    enough = -lift.noise * lift.lengths(x)  # M may be this far from what float64 says
    value, slope = _at_the_points(lift, x, y)
    low, low_value = torch.zeros_like(y), value
    high, high_value = torch.where(at_once, 0.0, torch.full_like(y, math.inf)), value
    guess = torch.where(value > 0, 1.1 * value / slope, 1e-3 * lift.lengths(x))
    usable = (slope > 0) & guess.isfinite() & (guess > 0)
    guess = torch.where(usable, guess, lift.lengths(x).clamp(min=1e-6))
    p = ray_start(lift, x, y, guess)
    best = p.clone()
    for turn in range(_DOUBLINGS + _ROUNDS):
        found = high < math.inf
        todo = torch.where(found, high - low > rtol * high, torch.tensor(turn < _DOUBLINGS)).nonzero()[:, 0]
        if not len(todo):
            break
        start = _scaled(p[todo], guess[todo]).to(p)
        q, M = descend(lift, x[todo], y[todo], guess[todo], start, steps, first=5.0 if turn == 0 else 1.0, stop=False)
        p[todo] = q
        success = M < enough[todo]
        yes, no = todo[success], todo[~success]
        high[yes], high_value[yes], best[yes] = guess[yes], M[success], q[success]
        low[no], low_value[no] = guess[no], M[~success]
        # the line through both ends, kept away from them so that the bracket shrinks; beyond the last failure, twice it
        share = (low_value / (low_value - high_value)).nan_to_num(0.5).clamp(0.05, 0.95)
        guess = torch.where(high < math.inf, low + share * (high - low), 2 * guess)
    return high, best


def _at_the_points(lift: Lift, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """M and |grad M| at the points themselves."""
    values, slopes = [], []
    for points, labels in zip(torch.split(x, lift.rows), torch.split(y, lift.rows), strict=True):
        value, g = lift(points, labels)
        values.append(value)
        slopes.append(torch.linalg.vector_norm(g, dim=1))
    return torch.cat(values), torch.cat(slopes)


def _scaled(p: Tensor, size: Tensor) -> Tensor:
    """The direction of p at another length, in float64."""
    p = p.to(torch.float64).nan_to_num(0.0, 0.0, 0.0)
    norm = torch.linalg.vector_norm(p, dim=1)
    usable = (norm > 0) & (size < math.inf)
    return p * torch.where(usable, size.to(torch.float64) / norm, 0.0)[:, None]


def _paid(ball: LazyBall, x: Tensor, y: Tensor, perturbed: Tensor) -> Tensor:
    """Perturbations a little longer, where the rounding added to the bound made it positive."""
    p, extra = perturbed - x, 1e-4
    failed = torch.arange(len(x), device=x.device)
    for _ in range(_LIFTS):
        failed = failed[highest_certain(ball.network0, ball.radius, perturbed[failed], y[failed]) >= 0]
        if not len(failed):
            break
        perturbed[failed] = x[failed] + (1 + extra) * p[failed]
        extra *= 2
    return perturbed
