"""What the exact finders share: phi as a sum over breakpoints, and the piece on which it goes below zero.

phi is linear between the breakpoints s = (u_j - k) / v_j. Where neuron j passes a kink at which the slope of sigma
changes by D, the slope of phi gains kappa = sign(f) a_j |v_j| D / sqrt(m), whichever way it passes. So

    phi(s) = |f| + s phi'(0+) + sum over breakpoints B <= s of kappa_B (s - B),

and neurons that do not switch before s cancel out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from gradflip.rays._flip import FlipStatus
from gradflip.rays._ray import Ray, rounding_of, snap


@dataclass(frozen=True)
class Start:
    """How phi starts: its slope just right of 0, and the sums of absolute terms behind height and slope, `(n,)` each.

    Sums over neurons, so that those of two sets of neurons add up.
    """

    slope: Tensor
    height_scale: Tensor
    slope_scale: Tensor

    @staticmethod
    def of(ray: Ray) -> Start:
        """The sums over the neurons of a ray."""
        root, weights = math.sqrt(ray.width), ray.a.abs()
        slope_scale = (ray.sigma.lipschitz or 0.0) * (ray.v.abs() @ weights).to(torch.float64) / root
        height_scale = (ray.sigma(ray.u).abs() @ weights).to(torch.float64) / root + abs(ray.c)
        return Start(-ray.value.sign() * _fall_after_zero(ray), height_scale, slope_scale)

    def rows(self, index: Tensor | slice) -> Start:
        """The starts of some rows."""
        return Start(self.slope[index], self.height_scale[index], self.slope_scale[index])

    def plus(self, other: Start, share: float) -> Start:
        """With the sums over other neurons, times their share."""
        mine, theirs = (tuple(getattr(start, field.name) for field in fields(Start)) for start in (self, other))
        return Start(*(a + share * b for a, b in zip(mine, theirs, strict=True)))

    def snapped(self, rounding: float) -> Start:
        """With the slope 0 where it is zero up to rounding."""
        return Start(snap(self.slope, self.slope_scale, rounding), self.height_scale, self.slope_scale)


@dataclass(frozen=True)
class Crossing:
    """Where phi goes below zero; `NOT_FOUND` where it was not seen to up to the limit."""

    status: Tensor
    step: Tensor
    lower: Tensor
    upper: Tensor

    @staticmethod
    def join(parts: list[Crossing]) -> Crossing:
        """Those of several batches, in order."""
        return Crossing(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Crossing)))

    def replaced(self, mask: Tensor, by: Crossing) -> Crossing:
        """With some rows found anew."""
        pairs = ((self.status, by.status), (self.step, by.step), (self.lower, by.lower), (self.upper, by.upper))
        return Crossing(*(old.masked_scatter(mask, new) for old, new in pairs))


def _fall_after_zero(ray: Ray) -> Tensor:
    """m^(-1/2) sum_j a_j v_j sigma'(u_j-) just right of s = 0: a neuron on a kink goes the way that -v takes it."""
    assert ray.sigma.slopes is not None
    a, slopes = ray.a.to(torch.float64), ray.sigma.slopes
    fall = slopes[0] * (ray.v.to(torch.float64) @ a) if slopes[0] else a.new_zeros(len(ray.v))
    for i, kink in enumerate(ray.sigma.kinks):
        above = (ray.u > kink) | ((ray.u == kink) & (ray.v < 0))
        fall += (slopes[i + 1] - slopes[i]) * ((ray.v * above).to(torch.float64) @ a)
    return fall / math.sqrt(ray.width)


def switches(ray: Ray, limit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find what switches up to the limit of each row.

    Args:
        ray: A batch of rays.
        limit: `(n,)`; may be inf.

    Returns:
        Of each: the row, the breakpoint, and what the slope of phi gains there, float64; `(k,)`, rows in order for an
        activation with one kink.
    """
    assert ray.sigma.slopes is not None
    root = math.sqrt(ray.width)
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
        found.append((row, at, ray.value.sign()[row] * fall.abs() * ray.a[neuron].to(torch.float64) * change))
    if not found:
        nothing = limit.new_empty(0)
        return nothing.to(torch.int64), nothing, nothing
    row, at, gain = (torch.cat(part) for part in zip(*found, strict=True))
    return row, at, gain


def in_order(row: Tensor, at: Tensor, gain: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Sort what switches, row by row.

    Args:
        row: As `switches` gives it, like the others.
        at: Breakpoints.
        gain: Their gains.
        n: Number of rows.

    Returns:
        Breakpoints and gains, `(n, k)`, k the most that a row has; inf and 0 beyond.
    """
    if not bool((row[1:] >= row[:-1]).all()):
        row, order = row.sort(stable=True)
        at, gain = at[order], gain[order]
    counts = torch.bincount(row, minlength=n)
    place = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    count = int(counts.max()) if n else 0
    breaks, gains = at.new_full((n, count), torch.inf), at.new_zeros(n, count)
    breaks[row, place], gains[row, place] = at, gain.to(at.dtype)
    breaks, order = breaks.sort(dim=1)
    return breaks, gains.gather(1, order)


def first_crossing(
    height: Tensor, start: Start, kinks: Tensor, gains: Tensor, limit: Tensor, dtype: torch.dtype
) -> Crossing:
    """Find the first piece left of `limit` on which phi goes below zero, and where on it.

    Where the limit is inf the last piece is unbounded, its slope decides, and the answer is never `NOT_FOUND`. Of a
    float32 ray only a flip is given that rounding cannot undo: phi falls all the way, to well below zero.

    Args:
        height: |f|, `(n,)`.
        start: How phi starts.
        kinks: As `in_order` gives them, all up to the limit.
        gains: Their gains.
        limit: How far to look, `(n,)`.
        dtype: Type of the products.

    Returns:
        A `Crossing`; where the piece goes on beyond the limit its upper end is the limit.
    """
    n, rounding = len(limit), rounding_of(dtype)
    zero = kinks.new_zeros(n, 1)
    left = torch.cat([zero, kinks], dim=1)  # left end of each piece, `(n, count + 1)`; inf beyond the last
    right = torch.cat([kinks, torch.full_like(zero, torch.inf)], dim=1).clamp(max=limit[:, None])
    raw_slope = start.slope[:, None] + torch.cat([zero, gains.cumsum(dim=1)], dim=1)
    slope = snap(raw_slope, start.slope_scale[:, None], rounding)
    back = torch.cat([zero, (gains * kinks.nan_to_num(posinf=0.0)).cumsum(dim=1)], dim=1)
    exists = left.isfinite() & (left < limit[:, None])

    # heights at the ends: |f| + s (slope) - sum of kappa B; raw, since the run back below needs the sign of tiny ones
    at_left = height[:, None] + left.nan_to_num(posinf=0.0) * raw_slope - back
    scale = start.height_scale[:, None] + right * start.slope_scale[:, None]
    at_right = height[:, None] + right.nan_to_num(posinf=0.0) * raw_slope - back
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
    status = torch.where(limit.isinf(), FlipStatus.NEVER, FlipStatus.NOT_FOUND)
    status = torch.where(crossed, FlipStatus.FLIPPED, status).to(torch.int8)
    if dtype != torch.float64:
        deep = (exists & (at_right < -10 * rounding * scale)).any(dim=1)
        falls = ((slope < 0) | ~exists).all(dim=1)
        status[~(deep & falls)] = FlipStatus.NOT_FOUND
    return Crossing(status, step[:, 0], lower[:, 0], upper[:, 0])
