"""The exact flip of a piecewise-linear network: find the piece on which phi goes below zero, then divide once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.networks import Activation
from gradflip.rays._flip import Certainty, Flip, FlipStatus
from gradflip.rays._ray import ROUNDING, Ray, snap


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
            A `Flip` with certainty `EXACT`.

        Raises:
            UsageError: If the activation is not piecewise linear.

        Shape:
            Memory O(n m k) for k kinks, time the same plus the sort of the breakpoints looked at.
        """
        if not ray.sigma.piecewise_linear:
            raise UsageError(
                f"PiecewiseLinear needs a piecewise-linear activation, got {ray.sigma.name!r}; use Bracketed."
            )
        value = ray.value
        start = _Start.of(ray, value)
        guess = torch.where(start.slope < 0, start.height / -start.slope, torch.inf)
        breaks = _breakpoints(ray, ray.sigma)
        jumps = _jumps(ray, value, ray.sigma)
        crossing = _first_crossing(start, breaks, jumps, self.reach * guess)
        undecided = crossing.status == FlipStatus.NOT_FOUND
        if bool(undecided.any()):
            everything = torch.full_like(guess[undecided], torch.inf)
            rest = _first_crossing(start.rows(undecided), breaks[undecided], jumps[undecided], everything)
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
    def of(ray: Ray, value: Tensor) -> _Start:
        root, weights, lipschitz = math.sqrt(ray.width), ray.a.abs(), ray.sigma.lipschitz or 0.0
        slope = -value.sign() * ((ray.v * _slope_after_zero(ray)) @ ray.a) / root
        slope_scale = lipschitz * (ray.v.abs() @ weights) / root
        height_scale = ray.sigma(ray.u).abs() @ weights / root + abs(ray.c)
        return _Start(value.abs(), snap(slope, slope_scale), height_scale, slope_scale)

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


def _slope_after_zero(ray: Ray) -> Tensor:
    """Slope of sigma at every neuron just right of s = 0: a neuron on a kink goes the way that -v takes it."""
    assert ray.sigma.slopes is not None
    slope = torch.full_like(ray.u, ray.sigma.slopes[0])
    for i, kink in enumerate(ray.sigma.kinks):
        above = (ray.u > kink) | ((ray.u == kink) & (ray.v < 0))
        slope = torch.where(above, ray.sigma.slopes[i + 1], slope)
    return slope


def _breakpoints(ray: Ray, sigma: Activation) -> Tensor:
    """Steps at which a neuron passes a kink, `(n, m * kinks)`; inf for those that do not lie ahead."""
    ahead = []
    for kink in sigma.kinks:
        gap = ray.u - kink
        # signs, not products: a product could underflow; a quotient that overflows is inf, never reached
        ahead.append(torch.where((gap.sign() * ray.v.sign()) > 0, gap / ray.v, torch.inf))
    return torch.cat(ahead, dim=1) if ahead else ray.u.new_empty(len(ray.u), 0)


def _jumps(ray: Ray, value: Tensor, sigma: Activation) -> Tensor:
    """What the slope of phi gains at each breakpoint, in the order of `_breakpoints`."""
    assert sigma.slopes is not None
    kappa = value.sign()[:, None] * ray.v.abs() * ray.a / math.sqrt(ray.width)
    changes = [right - left for left, right in zip(sigma.slopes, sigma.slopes[1:], strict=False)]
    return torch.cat([kappa * change for change in changes], dim=1) if changes else kappa[:, :0]


def _first_crossing(start: _Start, breaks: Tensor, jumps: Tensor, limit: Tensor) -> _Crossing:
    """Return the first piece left of `limit` on which phi goes below zero, and where on it.

    Where the limit is inf the last piece is unbounded, its slope decides, and the answer is never `NOT_FOUND`.
    """
    n = len(breaks)
    near = (breaks <= limit[:, None]) & breaks.isfinite()
    count = int(near.sum(dim=1).max()) if breaks.numel() else 0
    kinks, order = torch.where(near, breaks, torch.inf).topk(count, dim=1, largest=False, sorted=True)
    gains = torch.where(kinks.isinf(), 0.0, jumps.gather(1, order))
    zero = kinks.new_zeros(n, 1)
    left = torch.cat([zero, kinks], dim=1)  # left end of each piece, `(n, count + 1)`; inf beyond the last
    right = torch.cat([kinks, torch.full_like(zero, torch.inf)], dim=1).clamp(max=limit[:, None])
    raw_slope = start.slope[:, None] + torch.cat([zero, gains.cumsum(dim=1)], dim=1)
    slope = snap(raw_slope, start.slope_scale[:, None])
    back = torch.cat([zero, (gains * kinks.nan_to_num(posinf=0.0)).cumsum(dim=1)], dim=1)
    exists = left.isfinite() & (left < limit[:, None])

    # heights at the ends: |f| + s (slope) - sum of kappa B; raw, since the run back below needs the sign of tiny ones
    at_left = start.height[:, None] + left.nan_to_num(posinf=0.0) * raw_slope - back
    scale = start.height_scale[:, None] + right * start.slope_scale[:, None]
    at_right = start.height[:, None] + right.nan_to_num(posinf=0.0) * raw_slope - back
    below = torch.where(right.isinf(), slope < 0, at_right < -ROUNDING * scale)
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
        beyond = torch.where(breaks[cut] > limit[cut, None], breaks[cut], torch.inf)
        upper[cut] = torch.cat([beyond, zero[cut] + torch.inf], dim=1).amin(dim=1, keepdim=True)
    status = torch.where(limit.isinf(), FlipStatus.NEVER, FlipStatus.NOT_FOUND)
    status = torch.where(crossed, FlipStatus.FLIPPED, status).to(torch.int8)
    return _Crossing(status, step[:, 0], lower[:, 0], upper[:, 0])
