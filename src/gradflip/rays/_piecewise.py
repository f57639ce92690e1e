"""The exact flip of a piecewise-linear network: find the piece on which phi goes below zero, then divide once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.rays._crossing import Crossing, Start, first_crossing, in_order, switches
from gradflip.rays._flip import Certainty, Flip, FlipStatus
from gradflip.rays._ray import Ray, rounding_of

AT_ONCE = 2**19  # neurons of the rows worked off together: all of them may switch, and be sorted


@dataclass(frozen=True)
class PiecewiseLinear:
    """Finds the first flip of a piecewise-linear network exactly, up to the rounding of float64 sums.

    phi is piecewise linear, starts at |f(x)|, and neurons that do not switch before s cancel out of phi(s): only
    breakpoints up to a little past the first-order guess |f| / |phi'(0+)| are sorted, and all of them only on the rays
    where that was not enough.

    Values and slopes within rounding of zero (`ROUNDING` of their terms) count as zero: touching zero is no flip.

    Args:
        reach: How far past the first-order guess the first attempt looks, as a multiple of it.

    Source: spec 1.2, "Piecewise-linear sigma: exact".
    """

    reach: float = 1.25

    def __call__(self, ray: Ray) -> Flip:
        """The first flip on every ray.

        Args:
            ray: A batch of rays.

        Returns:
            A `Flip` with certainty `EXACT`; of a float32 ray, `NOT_FOUND` where float32 cannot settle the status.

        Raises:
            UsageError: If the activation is not piecewise linear.

        Shape:
            Memory O(n m) and time O(n m k) for k kinks, plus the sort of the breakpoints looked at.
        """
        if not ray.sigma.piecewise_linear:
            raise UsageError(
                f"PiecewiseLinear needs a piecewise-linear activation, got {ray.sigma.name!r}; use Bracketed."
            )
        at_once = max(1, AT_ONCE // ray.width)
        parts = [self._search(ray.rows(slice(k, k + at_once))) for k in range(0, max(1, len(ray.value)), at_once)]
        return Flip.join(parts)

    def _search(self, ray: Ray) -> Flip:
        value = ray.value
        start = Start.of(ray).snapped(rounding_of(ray.u.dtype))
        guess = torch.where(start.slope < 0, value.abs() / -start.slope, torch.inf)
        crossing = _within(ray, start, self.reach * guess)
        undecided = crossing.status == FlipStatus.NOT_FOUND
        passes = undecided.to(torch.int32) + 1
        if bool(undecided.any()) and ray.u.dtype == torch.float64:
            everything = torch.full_like(guess[undecided], torch.inf)
            rest = _within(ray.rows(undecided), start.rows(undecided), everything)
            crossing = crossing.replaced(undecided, rest)

        boundary, flat = value == 0, ray.gradient_norm == 0
        status = torch.where(flat, FlipStatus.FLAT, crossing.status)
        status = torch.where(boundary, FlipStatus.BOUNDARY, status).to(torch.int8)
        found = status == FlipStatus.FLIPPED
        at = torch.where(boundary, 0.0, torch.inf)
        return Flip(
            step=torch.where(found, crossing.step, at),
            gradient_norm=ray.gradient_norm,
            input_norm=ray.input_norm,
            value=value,
            status=status,
            certainty=torch.full_like(status, Certainty.EXACT),
            lower=torch.where(found, crossing.lower, at),
            upper=torch.where(found, crossing.upper, at),
            passes=passes,
            method="piecewise-linear",
        )


def _within(ray: Ray, start: Start, limit: Tensor) -> Crossing:
    """Where phi first goes below zero up to the limits."""
    breaks, gains = in_order(*switches(ray, limit), len(limit))
    crossing = first_crossing(ray.value.abs(), start, breaks, gains, limit, ray.u.dtype)
    cut = (crossing.status == FlipStatus.FLIPPED) & (crossing.upper == limit)
    if bool(cut.any()):
        crossing.upper[cut] = _next_breakpoint(ray.rows(cut), limit[cut])
    return crossing


def _next_breakpoint(ray: Ray, limit: Tensor) -> Tensor:
    """The first breakpoint beyond the limit of each row, inf if there is none."""
    nearest = torch.full_like(limit, torch.inf)
    for kink in ray.sigma.kinks:
        breaks = (ray.u.to(torch.float64) - kink) / ray.v
        nearest = torch.minimum(nearest, torch.where(breaks > limit[:, None], breaks, torch.inf).amin(dim=1))
    return nearest
