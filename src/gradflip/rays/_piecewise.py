"""Exact flips of piecewise-linear networks: find the piece on which phi goes below zero, then divide once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradflip._errors import UsageError
from gradflip._memory import rows_per_block
from gradflip.rays._breakpoints import Start, first_crossing, in_order, switches
from gradflip.rays._monotone import falling_zero
from gradflip.rays._ray import Ray, rounding_of
from gradflip.rays._result import Crossing, Flip, FlipStatus

BLOCK = 2**19  # pre-activations of the rows sorted together: all of their neurons may switch


@dataclass(frozen=True)
class PiecewiseLinear:
    """Finds the first flip of a piecewise-linear network exactly, up to the rounding of float64 sums.

    phi is piecewise linear, starts at |f(x)|, and neurons that do not switch before s cancel out of phi(s). With relu
    and leaky relu, phi mostly falls throughout, which sums over the switching neurons prove; Newton steps then find its
    zero. Otherwise the breakpoints up to a little past the first-order guess |f| / |phi'(0+)| are sorted, and all of
    them only on rays where these do not suffice.

    Values and slopes within rounding of zero (`ROUNDING` of their terms) count as zero: touching zero is no flip.

    Args:
        reach: Reach of the first attempt, as a multiple of the first-order guess.

    Source: docs/mathematics/model.md, "Exact flips".
    """

    reach: float = 1.1

    def __call__(self, ray: Ray) -> Flip:
        """The first flip on every ray.

        Args:
            ray: A batch of rays.

        Returns:
            A `Flip` with certainty `EXACT`; on a float32 ray, `NOT_FOUND` where float32 cannot settle the status.

        Raises:
            UsageError: If the activation is not piecewise linear.

        Shape:
            Memory O(n + k) for the k breakpoints of a block of rows; time O(n m), plus their sort.
        """
        if not ray.sigma.piecewise_linear:
            raise UsageError(
                f"PiecewiseLinear needs a piecewise-linear activation, got {ray.sigma.name!r}; use Bracketed."
            )
        start = Start.of(ray)
        if ray.sigma.bends_at_zero:
            crossing, passes = falling_zero(ray, start, self.reach)
        else:
            crossing = Crossing.not_found(len(ray.value), ray.u.device)
            passes = torch.zeros_like(crossing.status, dtype=torch.int32)
        everything = (math.inf,) if ray.u.dtype == torch.float64 else ()
        for reach in (self.reach, 2 * self.reach, *everything):
            left = (crossing.status == FlipStatus.NOT_FOUND).nonzero()[:, 0]
            for rows in torch.split(left, rows_per_block(BLOCK, ray.width)):
                crossing.put(rows, _within(ray.rows(rows), start.rows(rows), reach))
                passes[rows] += 1

        return Flip.assemble(
            crossing,
            value=ray.value,
            gradient_norm=ray.gradient_norm,
            input_norm=ray.input_norm,
            passes=passes,
            finder="piecewise-linear",
        )


def _within(ray: Ray, start: Start, reach: float) -> Crossing:
    """The first crossing up to a multiple of the first-order guess."""
    falls = start.slope < -rounding_of(ray.u.dtype) * start.slope_scale
    limit = torch.where(falls, reach * ray.value.abs() / -start.slope, torch.inf)
    breaks, gains = in_order(*switches(ray, limit), len(limit))
    crossing = first_crossing(ray.value.abs(), start, breaks, gains, limit, ray.u.dtype)
    cut = (crossing.status == FlipStatus.FLIPPED) & (crossing.upper == limit)
    if bool(cut.any()):
        crossing.upper[cut] = _next_breakpoint(ray.rows(cut), limit[cut])
    return crossing


def _next_breakpoint(ray: Ray, limit: Tensor) -> Tensor:
    """The first breakpoint beyond the limit of each row, or inf."""
    nearest = torch.full_like(limit, torch.inf)
    for kink in ray.sigma.kinks:
        breaks = (ray.u.to(torch.float64) - kink) / ray.v
        nearest = torch.minimum(nearest, torch.where(breaks > limit[:, None], breaks, torch.inf).amin(dim=1))
    return nearest
