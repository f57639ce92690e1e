"""Ball-wide flip budgets: the smallest perturbation at which every network of the ball misclassifies a point."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._checks import positive_int
from gradflip._errors import UsageError
from gradflip.certificates._certificate import Certificate, checked, prove
from gradflip.certificates._search import MaxMargin, descend, ray_start
from gradflip.certificates._upper_bound import certified_upper_bound, norm_upper
from gradflip.lazy._ball import LazyBall

if TYPE_CHECKING:
    import polars as pl

_DOUBLINGS = 12  # of the first guess, until a search succeeds
_ROUNDS = 12  # that narrow a bracket
_EXTENSIONS = 12  # attempts to offset rounding by a slightly larger perturbation


@final
@dataclass(frozen=True, eq=False)
class FlipBudget:
    """The smallest budget at which each point is certified.

    Attributes:
        certificate: The proof: for every point a perturbation of exactly this size.
    """

    certificate: Certificate

    @property
    def epsilon(self) -> Float[Tensor, " n"]:
        """One budget per point: 0 if every network of the ball misclassifies x itself, inf if no search succeeded."""
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
        """The table of the certificate, one row per point.

        Returns:
            A polars data frame.
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
    """Search the smallest epsilon at which every network of the ball misclassifies a point, with the proof.

    Every point has its own bracket. The first guess is 1.1 M(x) / |grad M(x)|, on the scale of (C0/2 + y f(x; W_0)) /
    sqrt(d/2). It is doubled until a search succeeds; then the bracket is narrowed to where the line between its ends
    crosses zero, each search starting from the latest perturbation. The result is certified in float64, at a size that
    is rounded up.

    Args:
        ball: The ball around an initialisation.
        x: Points in `unit` scaling, of any norm.
        y: Their labels, -1 or +1.
        steps: Gradient steps per search.
        rtol: Relative width of the bracket at which the search of a point ends.

    Returns:
        A `FlipBudget`; an upper bound on the true flip budget.

    Raises:
        UsageError: If an argument is invalid, or too little is known about the activation.

    Shape:
        x `(n, d)`, y `(n,)`.

    Source: docs/mathematics/certificates.md, "Flip budgets".
    """
    points64, labels64 = checked(ball, x, y)
    steps = positive_int("steps", steps)
    if isinstance(rtol, bool) or not isinstance(rtol, int | float) or not 0 < rtol < 1:
        raise UsageError(f"rtol must be between 0 and 1, got {rtol!r}.")
    margin = MaxMargin(ball)
    points, labels = points64.to(margin.dtype), labels64.to(margin.dtype)
    at_once = certified_upper_bound(ball.network0, ball.radius, points64, labels64) < 0
    size, p = _bracketed(margin, points, labels, at_once, steps, rtol)
    perturbed = _offset_rounding(ball, points64, labels64, points64 + _scaled(p, size))
    certificate = prove(ball, points64, labels64, norm_upper(perturbed - points64), perturbed)
    epsilon = torch.where(certificate.certified, certificate.epsilon, math.inf)
    return FlipBudget(
        Certificate(ball, points64, labels64, epsilon, perturbed, certificate.bound, certificate.certified)
    )


def _bracketed(
    margin: MaxMargin, x: Tensor, y: Tensor, at_once: Tensor, steps: int, rtol: float
) -> tuple[Tensor, Tensor]:
    """Size and direction of the smallest successful perturbation; 0 where none is needed, inf where none succeeds."""
    enough = -margin.noise * margin.norms(x)  # M may differ from its float64 value by this much
    value, slope = _at_the_points(margin, x, y)
    low, low_value = torch.zeros_like(y), value
    high, high_value = torch.where(at_once, 0.0, torch.full_like(y, math.inf)), value
    guess = torch.where(value > 0, 1.1 * value / slope, 1e-3 * margin.norms(x))
    usable = (slope > 0) & guess.isfinite() & (guess > 0)
    guess = torch.where(usable, guess, margin.norms(x).clamp(min=1e-6))
    p = ray_start(margin, x, y, guess)
    best = p.clone()
    for turn in range(_DOUBLINGS + _ROUNDS):
        bracketed = high < math.inf
        todo = torch.where(bracketed, high - low > rtol * high, torch.tensor(turn < _DOUBLINGS)).nonzero()[:, 0]
        if not len(todo):
            break
        start = _scaled(p[todo], guess[todo]).to(p)
        q, M = descend(margin, x[todo], y[todo], guess[todo], start, steps, first=5.0 if turn == 0 else 1.0, stop=False)
        p[todo] = q
        success = M < enough[todo]
        yes, no = todo[success], todo[~success]
        high[yes], high_value[yes], best[yes] = guess[yes], M[success], q[success]
        low[no], low_value[no] = guess[no], M[~success]
        # where the line through both ends crosses zero, kept away from them so that the bracket shrinks
        share = (low_value / (low_value - high_value)).nan_to_num(0.5).clamp(0.05, 0.95)
        guess = torch.where(high < math.inf, low + share * (high - low), 2 * guess)
    return high, best


def _at_the_points(margin: MaxMargin, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """M and |grad M| at the points themselves."""
    values, slopes = [], []
    for points, labels in zip(torch.split(x, margin.block), torch.split(y, margin.block), strict=True):
        value, g = margin(points, labels)
        values.append(value)
        slopes.append(torch.linalg.vector_norm(g, dim=1))
    return torch.cat(values), torch.cat(slopes)


def _scaled(p: Tensor, size: Tensor) -> Tensor:
    """The direction of p at another length, in float64."""
    p = p.to(torch.float64).nan_to_num(0.0, 0.0, 0.0)
    norm = torch.linalg.vector_norm(p, dim=1)
    usable = (norm > 0) & (size < math.inf)
    return p * torch.where(usable, size.to(torch.float64) / norm, 0.0)[:, None]


def _offset_rounding(ball: LazyBall, x: Tensor, y: Tensor, perturbed: Tensor) -> Tensor:
    """Lengthen perturbations a little where the rounding added to the bound made it positive."""
    p, extra = perturbed - x, 1e-4
    failed = torch.arange(len(x), device=x.device)
    for _ in range(_EXTENSIONS):
        failed = failed[certified_upper_bound(ball.network0, ball.radius, perturbed[failed], y[failed]) >= 0]
        if not len(failed):
            break
        perturbed[failed] = x[failed] + (1 + extra) * p[failed]
        extra *= 2
    return perturbed
