"""The exact flip of a piecewise-linear network: find the piece on which phi goes below zero, then divide once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.rays._flip import Certainty, Flip, FlipStatus
from gradflip.rays._ray import Ray, rounding_of, snap


@dataclass(frozen=True)
class PiecewiseLinear:
    """Finds the first flip of a piecewise-linear network exactly, up to the rounding of float64 sums.

    phi is linear between the breakpoints s = (u_j - k) / v_j, and starts at |f(x)|. Where neuron j passes a kink at
    which the slope of sigma changes by D, the slope of phi gains kappa = sign(f) a_j |v_j| D / sqrt(m), whichever way
    it passes. So

        phi(s) = |f| + s phi'(0+) + sum over breakpoints B <= s of kappa_B (s - B),

    and neurons that do not switch before s cancel out: only breakpoints up to a little past the first-order guess
    |f| / |phi'(0+)| are sorted, and all of them only on the rays where that was not enough.

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
        value = ray.value
        start = _Start.of(ray)
        guess = torch.where(start.slope < 0, start.height / -start.slope, torch.inf)
        crossing = _first_crossing(start, ray, self.reach * guess)
        undecided = crossing.status == FlipStatus.NOT_FOUND
        passes = undecided.to(torch.int32) + 1
        if bool(undecided.any()) and ray.u.dtype == torch.float64:
            everything = torch.full_like(guess[undecided], torch.inf)
            rest = _first_crossing(start.rows(undecided), ray.rows(undecided), everything)
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


@dataclass(frozen=True)
class _Start:
    """phi just right of 0, and the scale of the sums it comes from: height, slope, and their sums of |terms|."""

    height: Tensor
    slope: Tensor
    height_scale: Tensor
    slope_scale: Tensor

    @staticmethod
    def of(ray: Ray) -> _Start:
        root, weights = math.sqrt(ray.width), ray.a.abs()
        slope_scale = (ray.sigma.lipschitz or 0.0) * (ray.v.abs() @ weights).to(torch.float64) / root
        height_scale = (ray.sigma(ray.u).abs() @ weights).to(torch.float64) / root + abs(ray.c)
        slope = snap(-ray.value.sign() * _fall_after_zero(ray), slope_scale, rounding_of(ray.u.dtype))
        return _Start(ray.value.abs(), slope, height_scale, slope_scale)

    def rows(self, index: Tensor) -> _Start:
        return _Start(self.height[index], self.slope[index], self.height_scale[index], self.slope_scale[index])


@dataclass(frozen=True)
class _Crossing:
    """Where phi goes below zero; `NOT_FOUND` where it was not seen to up to the limit."""

    status: Tensor
    step: Tensor
    lower: Tensor
    upper: Tensor

    def replaced(self, mask: Tensor, by: _Crossing) -> _Crossing:
        pairs = ((self.status, by.status), (self.step, by.step), (self.lower, by.lower), (self.upper, by.upper))
        return _Crossing(*(old.masked_scatter(mask, new) for old, new in pairs))


def _fall_after_zero(ray: Ray) -> Tensor:
    """m^(-1/2) sum_j a_j v_j sigma'(u_j-) just right of s = 0: a neuron on a kink goes the way that -v takes it."""
    assert ray.sigma.slopes is not None
    a, slopes = ray.a.to(torch.float64), ray.sigma.slopes
    fall = slopes[0] * (ray.v.to(torch.float64) @ a) if slopes[0] else a.new_zeros(len(ray.v))
    for i, kink in enumerate(ray.sigma.kinks):
        above = (ray.u > kink) | ((ray.u == kink) & (ray.v < 0))
        fall += (slopes[i + 1] - slopes[i]) * ((ray.v * above).to(torch.float64) @ a)
    return fall / math.sqrt(ray.width)


def _breakpoints(ray: Ray, limit: Tensor) -> tuple[Tensor, Tensor]:
    """Collect the breakpoints up to the limit of each row.

    Returns:
        The breakpoints in order, and what the slope of phi gains at each: `(n, k)` in float64, k the most that a row
        has, inf and 0 beyond.
    """
    assert ray.sigma.slopes is not None
    n, root = len(ray.u), math.sqrt(ray.width)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for i, kink in enumerate(ray.sigma.kinks):
        # |u - kink| <= limit |v|, and some more, which do no harm; the signs then only of these few
        reached = ray.v.abs().mul_(limit[:, None].to(ray.v.dtype) * (1 + 1e-6))
        gaps = (ray.u - kink).abs_() if kink else ray.u.abs()
        row, neuron = (gaps <= reached).nonzero(as_tuple=True)
        gap = ray.u[row, neuron].to(torch.float64) - kink
        fall = ray.v[row, neuron].to(torch.float64)
        at = gap / fall
        # signs, not products: a product could underflow; and a quotient that overflows is never reached
        ahead = ((gap.sign() * fall.sign()) > 0) & at.isfinite()
        row, neuron, at, fall = row[ahead], neuron[ahead], at[ahead], fall[ahead]
        change = (ray.sigma.slopes[i + 1] - ray.sigma.slopes[i]) / root
        gain = ray.value.sign()[row] * fall.abs() * ray.a[neuron].to(torch.float64) * change
        found.append((row, at, gain))
    if not found:
        return limit.new_empty(n, 0), limit.new_empty(n, 0)
    row, at, gain = (torch.cat(part) for part in zip(*found, strict=True))
    if len(found) > 1:
        row, order = row.sort(stable=True)
        at, gain = at[order], gain[order]
    counts = torch.bincount(row, minlength=n)
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    count = int(counts.max()) if n else 0
    breaks, gains = limit.new_full((n, count), torch.inf), limit.new_zeros(n, count)
    breaks[row, place], gains[row, place] = at, gain
    breaks, order = breaks.sort(dim=1)
    return breaks, gains.gather(1, order)


def _first_crossing(start: _Start, ray: Ray, limit: Tensor) -> _Crossing:
    """Return the first piece left of `limit` on which phi goes below zero, and where on it.

    Where the limit is inf the last piece is unbounded, its slope decides, and the answer is never `NOT_FOUND`. On a
    float32 ray only a flip is given that rounding cannot undo: phi falls all the way, to well below zero.
    """
    n, rounding = len(limit), rounding_of(ray.u.dtype)
    kinks, gains = _breakpoints(ray, limit)
    zero = kinks.new_zeros(n, 1)
    left = torch.cat([zero, kinks], dim=1)  # left end of each piece, `(n, count + 1)`; inf beyond the last
    right = torch.cat([kinks, torch.full_like(zero, torch.inf)], dim=1).clamp(max=limit[:, None])
    raw_slope = start.slope[:, None] + torch.cat([zero, gains.cumsum(dim=1)], dim=1)
    slope = snap(raw_slope, start.slope_scale[:, None], rounding)
    back = torch.cat([zero, (gains * kinks.nan_to_num(posinf=0.0)).cumsum(dim=1)], dim=1)
    exists = left.isfinite() & (left < limit[:, None])

    # heights at the ends: |f| + s (slope) - sum of kappa B; raw, since the run back below needs the sign of tiny ones
    at_left = start.height[:, None] + left.nan_to_num(posinf=0.0) * raw_slope - back
    scale = start.height_scale[:, None] + right * start.slope_scale[:, None]
    at_right = start.height[:, None] + right.nan_to_num(posinf=0.0) * raw_slope - back
    below = torch.where(right.isinf(), slope < 0, at_right < -rounding * scale)
    below &= exists
    crossed = below.any(dim=1)
    piece = below.to(torch.int8).argmax(dim=1, keepdim=True)

    # a steep descent may have passed zero within rounding of a breakpoint: the piece before is then the one
    while True:
        before = (piece - 1).clamp(min=0)
        earlier = (piece > 0) & (at_left.gather(1, piece) < 0) & (slope.gather(1, before) < 0)
        if not bool(earlier.any()):
            break
        piece = torch.where(earlier, before, piece)

    lower, upper = left.gather(1, piece), right.gather(1, piece)
    step = lower + at_left.gather(1, piece).clamp(min=0.0) / -slope.gather(1, piece)
    step = torch.minimum(step, upper)
    cut = crossed & (upper[:, 0] == limit)  # by the limit, not by a breakpoint
    if bool(cut.any()):
        upper[cut] = _next_breakpoint(ray.rows(cut), limit[cut])[:, None]
    status = torch.where(limit.isinf(), FlipStatus.NEVER, FlipStatus.NOT_FOUND)
    status = torch.where(crossed, FlipStatus.FLIPPED, status).to(torch.int8)
    if ray.u.dtype != torch.float64:
        deep = (exists & (at_right < -10 * rounding * scale)).any(dim=1)
        falls = ((slope < 0) | ~exists).all(dim=1)
        status[~(deep & falls)] = FlipStatus.NOT_FOUND
    return _Crossing(status, step[:, 0], lower[:, 0], upper[:, 0])


def _next_breakpoint(ray: Ray, limit: Tensor) -> Tensor:
    """The first breakpoint beyond the limit of each row, inf if there is none."""
    nearest = torch.full_like(limit, torch.inf)
    for kink in ray.sigma.kinks:
        breaks = (ray.u.to(torch.float64) - kink) / ray.v
        nearest = torch.minimum(nearest, torch.where(breaks > limit[:, None], breaks, torch.inf).amin(dim=1))
    return nearest
