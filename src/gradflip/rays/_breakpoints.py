"""phi as a sum over breakpoints, and the first piece on which it goes below zero: shared by the exact finders.

phi is linear between the breakpoints B = (u_j - k) / v_j, at which neuron j passes a kink k of sigma. If the slope of
sigma changes by D at the kink, the slope of phi gains kappa = sign(f) a_j |v_j| D / sqrt(m), in whichever direction the
neuron passes. Hence

    phi(s) = |f| + s phi'(0+) + sum over breakpoints B <= s of kappa_B (s - B),                                    (1)

in which neurons that do not switch before s cancel out. In increasing order B_1 <= B_2 <= ..., the slope on piece i,
between B_i and B_(i+1), and the height at its right end r are

    slope_i = phi'(0+) + sum_(l <= i) kappa_l,    phi(r) = |f| + r slope_i - sum_(l <= i) kappa_l B_l.             (2)

Source: docs/mathematics/model.md, "Exact flips".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from gradflip._memory import rows_per_block
from gradflip.rays._ray import Ray, rounding_of
from gradflip.rays._result import Crossing, FlipStatus

_BLOCK = 2**17  # pre-activations on the CPU: scratch memory that fits into the cache


@dataclass(frozen=True)
class Start:
    """phi at 0: its slope, and bounds on the sums of absolute terms of its height and slope, `(n,)` each.

    A neuron that starts on a kink enters with the left slope of sigma; if it moves right, it switches at 0.
    """

    slope: Tensor
    height_scale: Tensor
    slope_scale: Tensor

    @staticmethod
    def of(ray: Ray) -> Start:
        """The start of a ray; in float32 the scales are bounded by Cauchy-Schwarz, which takes no memory."""
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
        """The sum with the start of other neurons, which is multiplied by their share."""
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
    """The breakpoints up to the limit of each row.

    Args:
        ray: A batch of rays.
        limit: `(n,)`; may be inf.

    Returns:
        Row, breakpoint and gain kappa of each, float64 except the row; `(k,)`, ordered by row for an activation with
        one kink. Entries of gain 0 at breakpoint 0 are neurons that turned out not to switch.
    """
    assert ray.sigma.slopes is not None
    root, width = math.sqrt(ray.width), ray.width
    # a few too many do no harm; a breakpoint beyond the largest number is never reached
    up_to = (limit * (1 + 1e-6)).clamp(max=torch.finfo(ray.v.dtype).max).to(ray.v.dtype)[:, None]
    sign, a = ray.value.sign(), ray.a.to(torch.float64)
    breakpoints: list[tuple[Tensor, Tensor, Tensor]] = []
    for i, kink in enumerate(ray.sigma.kinks):
        # 1. candidates, in the type of the ray; 2. their breakpoints B and gains kappa, in float64
        index = _may_switch(ray, kink, up_to)
        row = index // width
        neuron = index - row * width
        gap, fall = (part.reshape(-1)[index].to(torch.float64) for part in (ray.u, ray.v))
        gap -= kink
        at = gap / fall
        # signs, not products, since a product could underflow; a quotient that overflows is never reached
        ahead = ((gap.sign() * fall.sign()) > 0) & at.isfinite()
        ahead |= (gap == 0) & (fall < 0)  # starts on the kink and moves right
        change = (ray.sigma.slopes[i + 1] - ray.sigma.slopes[i]) / root
        gain = sign[row] * fall.abs() * a[neuron] * change
        breakpoints.append((row, torch.where(ahead, at, 0.0), torch.where(ahead, gain, 0.0)))
    if not breakpoints:
        nothing = limit.new_empty(0)
        return nothing.to(torch.int64), nothing, nothing
    row, at, gain = (torch.cat(part) for part in zip(*breakpoints, strict=True))
    return row, at, gain


def _may_switch(ray: Ray, kink: float, up_to: Tensor) -> Tensor:
    """Flat positions, ordered by row, of all neurons that reach the kink up to the limit, and perhaps of a few more."""
    n, width = ray.u.shape
    rows = n if ray.u.is_cuda else rows_per_block(_BLOCK, width)  # fresh memory costs more than the work in it
    gaps, stays = ray.u.new_empty(min(rows, n), width), ray.u.new_empty(min(rows, n), width, dtype=torch.bool)
    positions = []
    for start in range(0, n, rows):
        part = slice(start, min(start + rows, n))
        u, v = ray.u[part], ray.v[part]
        gap, stay = gaps[: len(u)], stays[: len(u)]
        # (u - kink) (u - kink - s v) > 0; a product that underflows, or inf times 0, counts as a candidate
        torch.sub(u, torch.mul(v, up_to[part], out=gap), out=gap)
        gap = gap.mul_(u) if kink == 0 else gap.sub_(kink).mul_(u - kink)
        index = torch.gt(gap, 0, out=stay).logical_not_().view(-1).nonzero()[:, 0]
        positions.append(index.add_(start * width))
    return torch.cat(positions) if positions else torch.empty(0, dtype=torch.int64, device=ray.u.device)


def in_order(row: Tensor, at: Tensor, gain: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Sort the breakpoints of each row.

    Args:
        row: Rows, as `switches` returns them, like the others.
        at: Breakpoints.
        gain: Their gains.
        n: Number of rows.

    Returns:
        Breakpoints and gains, `(n, k)` for at most k breakpoints per row, padded with inf and 0.
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
    """The first piece left of `limit` on which phi goes below zero, and the zero on it.

    Where the limit is inf, the last piece is unbounded, its slope decides, and the status is never `NOT_FOUND`. On a
    float32 ray a flip counts only if rounding cannot undo it: phi falls throughout, to well below zero.

    Args:
        height: |f|, `(n,)`.
        start: phi at 0.
        kinks: Breakpoints up to the limit, as `in_order` returns them.
        gains: Their gains.
        limit: The end of the search, `(n,)`.
        dtype: Type of the products.

    Returns:
        A `Crossing`; its upper end is the limit where the piece extends beyond it.
    """
    rounding, endless = rounding_of(dtype), limit.isinf()
    level = rounding * start.slope_scale[:, None]  # flatter slopes count as zero
    n, count = kinks.shape

    # 1. The pieces: breakpoints, cut at the limit; shorter rows are padded by pieces of length zero.
    farthest = kinks.nan_to_num(posinf=0.0).amax(dim=1) if count and bool(endless.any()) else torch.zeros_like(limit)
    ends = kinks.new_zeros(n, count + 2)
    ends[:, -1] = torch.where(endless, farthest, limit)
    torch.minimum(kinks, ends[:, -1:], out=ends[:, 1:-1])
    left, right = ends[:, :-1], ends[:, 1:]

    # 2. Their slopes, and phi at their right ends, by (2); raw, since step 4 needs the sign of tiny values too.
    slope, back = kinks.new_zeros(n, count + 1), kinks.new_zeros(n, count + 1)
    slope[:, 0] = start.slope
    torch.cumsum(gains, dim=1, out=slope[:, 1:]).add_(start.slope[:, None])
    torch.mul(gains, right[:, :-1], out=back[:, 1:]).cumsum_(dim=1)
    phi = (right * slope).sub_(back).add_(height[:, None])

    # 3. The first piece that ends below zero by more than rounding; the slope decides an unbounded piece.
    tiny = (right * (-level)).sub_(rounding * start.height_scale[:, None])
    below = phi < tiny
    below[:, -1] = torch.where(endless, slope[:, -1] < -level[:, 0], below[:, -1])
    crossed = below.any(dim=1)
    piece = below.to(torch.int8).argmax(dim=1, keepdim=True)

    # 4. Back to an earlier piece where a steep descent passed zero within rounding of a breakpoint.
    while True:
        before = (piece - 1).clamp(min=0)
        earlier = (piece > 0) & (phi.gather(1, before) < 0) & (slope.gather(1, before) < -level)
        if not bool(earlier.any()):
            break
        piece = torch.where(earlier, before, piece)

    # 5. The zero on that piece, by one division.
    at_left = torch.where(piece > 0, phi.gather(1, (piece - 1).clamp(min=0)), height[:, None])
    ends[:, -1] = limit
    lower, upper = left.gather(1, piece), right.gather(1, piece)
    step = lower + at_left.clamp(min=0.0) / -slope.gather(1, piece)
    step = torch.minimum(step, upper)
    status = torch.where(endless, FlipStatus.NEVER, FlipStatus.NOT_FOUND)
    status = torch.where(crossed, FlipStatus.FLIPPED, status).to(torch.int8)
    # 6. In float32, only what rounding cannot undo.
    if dtype != torch.float64:
        deep = (phi < 10 * tiny).any(dim=1)
        falls = (slope < -level).all(dim=1)
        status[~(deep & falls)] = FlipStatus.NOT_FOUND
    return Crossing(status, step[:, 0], lower[:, 0], upper[:, 0])
