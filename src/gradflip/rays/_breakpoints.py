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

from gradflip.rays._ray import Ray, rounding_of
from gradflip.rays._result import Crossing, FlipStatus

_SCRATCH = 2**17  # neurons looked at together on the CPU


@dataclass(frozen=True)
class Start:
    """How phi starts: its slope at 0 and bounds on the sums of absolute terms behind height and slope, `(n,)` each.

    The slope is that with the left slope of sigma where a neuron starts on a kink; one that goes right from there
    counts as switching at 0.
    """

    slope: Tensor
    height_scale: Tensor
    slope_scale: Tensor

    @staticmethod
    def of(ray: Ray) -> Start:
        """How a ray starts; in float32 the scales by Cauchy-Schwarz, which takes no memory."""
        root, steepest = math.sqrt(ray.width), ray.sigma.lipschitz or 0.0
        if ray.u.dtype == torch.float64:
            weights = ray.a.abs() / root
            height_scale, slope_scale = ray.sigma(ray.u).abs() @ weights, steepest * (ray.v.abs() @ weights)
        else:
            weight, at_zero = float(torch.linalg.vector_norm(ray.a)) / root, float(ray.sigma(ray.u.new_zeros(())))
            size_u, size_v = (torch.linalg.vector_norm(part, dim=1).to(torch.float64) for part in (ray.u, ray.v))
            height_scale, slope_scale = weight * (steepest * size_u + abs(at_zero) * root), weight * steepest * size_v
        slope = ray.slope_at_zero if ray.slope_at_zero is not None else slope_at_zero(ray)
        return Start(slope, height_scale + abs(ray.c), slope_scale)

    def rows(self, index: Tensor | slice) -> Start:
        """The starts of some rows."""
        return Start(self.slope[index], self.height_scale[index], self.slope_scale[index])

    def plus(self, other: Start, share: float) -> Start:
        """With what other neurons add to it, times their share."""
        mine, theirs = (tuple(getattr(start, field.name) for field in fields(Start)) for start in (self, other))
        return Start(*(a + share * b for a, b in zip(mine, theirs, strict=True)))


def slope_at_zero(ray: Ray) -> Tensor:
    """phi'(0) as a sum over the neurons, with the left slope of sigma for one that starts on a kink.

    Args:
        ray: A batch of rays of a piecewise-linear network.

    Returns:
        Slopes, `(n,)`, float64.
    """
    assert ray.sigma.slopes is not None
    a, slopes = ray.a.to(torch.float64), ray.sigma.slopes
    fall = slopes[0] * (ray.v.to(torch.float64) @ a) if slopes[0] else a.new_zeros(len(ray.v))
    for i, kink in enumerate(ray.sigma.kinks):
        fall += (slopes[i + 1] - slopes[i]) * ((ray.v * (ray.u > kink)).to(torch.float64) @ a)
    return -ray.value.sign() * fall / math.sqrt(ray.width)


def switches(ray: Ray, limit: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find what switches up to the limit of each row.

    Args:
        ray: A batch of rays.
        limit: `(n,)`; may be inf.

    Returns:
        Of each: the row, the breakpoint, and what the slope of phi gains there, float64; `(k,)`, rows in order for an
        activation with one kink. Some gain nothing, at 0: neurons that only looked as if they did.
    """
    assert ray.sigma.slopes is not None
    root, width = math.sqrt(ray.width), ray.width
    # some more do no harm; and a breakpoint beyond the largest number is never reached
    up_to = (limit * (1 + 1e-6)).clamp(max=torch.finfo(ray.v.dtype).max).to(ray.v.dtype)[:, None]
    sign, a = ray.value.sign(), ray.a.to(torch.float64)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for i, kink in enumerate(ray.sigma.kinks):
        index = _may_switch(ray, kink, up_to)
        row = index // width
        neuron = index - row * width
        gap, fall = (part.reshape(-1)[index].to(torch.float64) for part in (ray.u, ray.v))
        gap -= kink
        at = gap / fall
        # signs, not products: a product could underflow; and a quotient that overflows is never reached
        ahead = ((gap.sign() * fall.sign()) > 0) & at.isfinite()
        ahead |= (gap == 0) & (fall < 0)  # starts on the kink and goes right
        change = (ray.sigma.slopes[i + 1] - ray.sigma.slopes[i]) / root
        gain = sign[row] * fall.abs() * a[neuron] * change
        found.append((row, torch.where(ahead, at, 0.0), torch.where(ahead, gain, 0.0)))
    if not found:
        nothing = limit.new_empty(0)
        return nothing.to(torch.int64), nothing, nothing
    row, at, gain = (torch.cat(part) for part in zip(*found, strict=True))
    return row, at, gain


def _may_switch(ray: Ray, kink: float, up_to: Tensor) -> Tensor:
    """Positions, row by row, of all neurons that reach the kink up to there, and perhaps of some more."""
    n, width = ray.u.shape
    rows = n if ray.u.is_cuda else max(1, _SCRATCH // width)  # fresh memory costs more than what is done in it
    gaps, stays = ray.u.new_empty(min(rows, n), width), ray.u.new_empty(min(rows, n), width, dtype=torch.bool)
    found = []
    for start in range(0, n, rows):
        part = slice(start, min(start + rows, n))
        u, v = ray.u[part], ray.v[part]
        gap, stay = gaps[: len(u)], stays[: len(u)]
        # (u - kink) (u - kink - s v) > 0; a product that underflows, or inf times 0, is one more that may switch
        torch.sub(u, torch.mul(v, up_to[part], out=gap), out=gap)
        gap = gap.mul_(u) if kink == 0 else gap.sub_(kink).mul_(u - kink)
        index = torch.gt(gap, 0, out=stay).logical_not_().view(-1).nonzero()[:, 0]
        found.append(index.add_(start * width))
    return torch.cat(found) if found else torch.empty(0, dtype=torch.int64, device=ray.u.device)


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
    rounding, endless = rounding_of(dtype), limit.isinf()
    level = rounding * start.slope_scale[:, None]  # slopes less steep count as zero
    n, count = kinks.shape
    farthest = kinks.nan_to_num(posinf=0.0).amax(dim=1) if count and bool(endless.any()) else torch.zeros_like(limit)
    ends = kinks.new_zeros(n, count + 2)  # of the pieces; a row with fewer than others has some of no length
    ends[:, -1] = torch.where(endless, farthest, limit)
    torch.minimum(kinks, ends[:, -1:], out=ends[:, 1:-1])
    left, right = ends[:, :-1], ends[:, 1:]
    slope, back = kinks.new_zeros(n, count + 1), kinks.new_zeros(n, count + 1)
    slope[:, 0] = start.slope
    torch.cumsum(gains, dim=1, out=slope[:, 1:]).add_(start.slope[:, None])
    torch.mul(gains, right[:, :-1], out=back[:, 1:]).cumsum_(dim=1)

    # heights at the right ends: |f| + s (slope) - sum of kappa B; raw, since the run back below needs tiny signs too
    phi = (right * slope).sub_(back).add_(height[:, None])
    tiny = (right * (-level)).sub_(rounding * start.height_scale[:, None])
    below = phi < tiny
    below[:, -1] = torch.where(endless, slope[:, -1] < -level[:, 0], below[:, -1])
    crossed = below.any(dim=1)
    piece = below.to(torch.int8).argmax(dim=1, keepdim=True)

    # a steep descent may have passed zero within rounding of a breakpoint: the piece before is then the one
    while True:
        before = (piece - 1).clamp(min=0)
        earlier = (piece > 0) & (phi.gather(1, before) < 0) & (slope.gather(1, before) < -level)
        if not bool(earlier.any()):
            break
        piece = torch.where(earlier, before, piece)

    at_left = torch.where(piece > 0, phi.gather(1, (piece - 1).clamp(min=0)), height[:, None])
    ends[:, -1] = limit
    lower, upper = left.gather(1, piece), right.gather(1, piece)
    step = lower + at_left.clamp(min=0.0) / -slope.gather(1, piece)
    step = torch.minimum(step, upper)
    status = torch.where(endless, FlipStatus.NEVER, FlipStatus.NOT_FOUND)
    status = torch.where(crossed, FlipStatus.FLIPPED, status).to(torch.int8)
    if dtype != torch.float64:
        deep = (phi < 10 * tiny).any(dim=1)
        falls = (slope < -level).all(dim=1)
        status[~(deep & falls)] = FlipStatus.NOT_FOUND
    return Crossing(status, step[:, 0], lower[:, 0], upper[:, 0])
