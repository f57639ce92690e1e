"""Where phi falls strictly until it is well below zero it has one zero, and Newton steps find the piece it is on.

Of sigma with two slopes that meet in 0, the neurons that switch before t change phi(t) by m^(-1/2) D sum_j a_j w_j d_j,
with w = u - t v, d_j = 1(w_j > 0) - 1(u_j > 0), and its slope by -m^(-1/2) D sum_j a_j v_j d_j. All terms v_j d_j have
one sign, so that the same sums over |a| bound every slope on the way. No breakpoint is ever computed, and no row is
sorted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from gradflip.rays._breakpoints import Start
from gradflip.rays._ray import Ray, rounding_of
from gradflip.rays._result import Crossing

_SCRATCH = 2**17  # neurons gone through together on the CPU: what fits in the cache; fresh memory costs more than sums
_MOST_PASSES = 10


def falling_zero(ray: Ray, start: Start, reach: float) -> tuple[Crossing, Tensor]:
    """Find the zero on every ray along which phi provably falls.

    Args:
        ray: A batch of rays, of an activation with two slopes that meet in 0.
        start: How phi starts.
        reach: Where to prove that phi falls up to, as a multiple of the first-order guess; where that falls short of
            the zero, as far again.

    Returns:
        A `Crossing`, `NOT_FOUND` where that cannot be proved; and the passes over the neurons of each row.
    """
    sums = _Sums.of(ray, start)
    passes = torch.zeros_like(ray.value, dtype=torch.int32)
    live, lo, hi = _brackets(sums, reach, passes)
    crossing = Crossing.not_found(len(passes), passes.device)
    s = _inverse_cubic(lo, hi)
    last = _Point(*(torch.full_like(s, torch.nan) for _ in range(5)))
    eps = 4 * torch.finfo(ray.u.dtype).eps
    for _ in range(_MOST_PASSES):
        if not len(live):
            break
        here = sums.at(live, s)
        passes[live] += 1
        s, phi, slope = here.s, here.phi, here.slope
        step = s - phi / slope
        # no neuron switches between the last point and this: phi is linear there, and zero if it changes its sign or
        # is zero up to rounding here. Or this is as near as the type goes
        same = (here.rise == last.rise) & (here.fall == last.fall)
        same &= (phi.abs() <= sums.tiny(live, s, 1)) | ((phi > 0) != (last.phi > 0))
        done = (slope < 0) & (same | ((step - s).abs() <= eps * s))
        other = torch.where(same, last.s, s)
        ends = torch.stack([other, s, step])[:, done]
        crossing.put(live[done], Crossing.flipped(step[done], ends.amin(dim=0), ends.amax(dim=0)))

        lo, hi = lo.where(phi <= 0, here), hi.where(phi > 0, here)
        chord = lo.s + (hi.s - lo.s) * lo.phi / (lo.phi - hi.phi)
        on = ~done & (slope < 0)
        s = torch.where((lo.s < step) & (step < hi.s), step, chord)[on]
        live, lo, hi, last = live[on], lo.rows(on), hi.rows(on), here.rows(on)
    return crossing, passes


def _brackets(sums: _Sums, reach: float, passes: Tensor) -> tuple[Tensor, _Point, _Point]:
    """The rows on which phi provably falls strictly from above zero to well below, and the ends between which."""
    ray, start = sums.ray, sums.start
    height = ray.value.abs()
    nothing = torch.zeros_like(height)
    lo = _Point(nothing.clone(), height.clone(), start.slope.clone(), nothing, nothing)
    hi = _Point(*(torch.zeros_like(height) for _ in range(5)))
    steep = 10 * sums.rounding * start.slope_scale
    bracketed = torch.zeros_like(height, dtype=torch.bool)
    live = ((start.slope < -steep) & (height > 0)).nonzero()[:, 0]
    for k in (1, 2):
        if not len(live):
            break
        here = sums.at(live, k * reach * height[live] / -start.slope[live])
        passes[live] += 1
        falls = start.slope[live] + here.rise < -steep[live]
        below = falls & (here.phi < -sums.tiny(live, here.s, 10))
        hi.put(live[below], here.rows(below))
        bracketed[live[below]] = True
        on = falls & ~below & (here.phi > 0)
        live, here = live[on], here.rows(on)
        lo.put(live, here)
    rows = bracketed.nonzero()[:, 0]
    return rows, lo.rows(rows), hi.rows(rows)


@dataclass(frozen=True)
class _Point:
    """One step per ray: phi and its slope there, and bounds on how much the slope rose and fell on the way."""

    s: Tensor
    phi: Tensor
    slope: Tensor
    rise: Tensor
    fall: Tensor

    def rows(self, index: Tensor) -> _Point:
        return _Point(*(getattr(self, field.name)[index] for field in fields(_Point)))

    def put(self, rows: Tensor, points: _Point) -> None:
        for field in fields(_Point):
            getattr(self, field.name)[rows] = getattr(points, field.name)

    def where(self, mask: Tensor, other: _Point) -> _Point:
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(_Point))
        return _Point(*(torch.where(mask, mine, theirs) for mine, theirs in pairs))


@dataclass(frozen=True)
class _Sums:
    """Sums over the neurons that switch, with the scratch memory they are taken in."""

    ray: Ray
    start: Start
    rounding: float
    unit: Tensor
    sizes: Tensor
    scratch: tuple[Tensor, ...]

    @staticmethod
    def of(ray: Ray, start: Start) -> _Sums:
        assert ray.sigma.slopes is not None
        left, right = ray.sigma.slopes
        n, width = ray.u.shape
        rows = max(1, n if ray.u.is_cuda else min(n, _SCRATCH // width))
        scratch = tuple(ray.u.new_empty(rows, width) for _ in range(5))
        unit = ray.value.sign() * ((right - left) / math.sqrt(width))
        return _Sums(ray, start, rounding_of(ray.u.dtype), unit, ray.a.abs(), scratch)

    def tiny(self, live: Tensor, s: Tensor, times: float) -> Tensor:
        """What of phi(s) counts as zero, some times over."""
        return times * self.rounding * (self.start.height_scale[live] + s * self.start.slope_scale[live])

    def at(self, live: Tensor, s: Tensor) -> _Point:
        """One pass over the neurons of some rows, at these steps in the type of the ray."""
        steps = s.to(self.ray.u.dtype)
        gained, change, size = [], [], []
        for u, v, t in self._pieces(live, steps[:, None]):
            w, turned, positive = (part[: len(u)] for part in self.scratch[:3])
            torch.sub(u, torch.mul(v, t, out=w), out=w)
            torch.gt(w, 0, out=turned)
            turned.sub_(torch.gt(u, 0, out=positive))
            gained.append(w.mul_(turned) @ self.ray.a)
            change.append(turned.mul_(v) @ self.ray.a)
            size.append(turned @ self.sizes)
        more, least, most = (torch.cat(part).to(torch.float64) for part in (gained, change, size))
        unit, slope, s = self.unit[live], self.start.slope[live], steps.to(torch.float64)
        least, most = unit * least, unit.abs() * most
        phi = self.ray.value[live].abs() + s * slope + unit * more
        return _Point(s, phi, slope - least, -0.5 * (most + least), -0.5 * (most - least))

    def _pieces(self, live: Tensor, t: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """u, v and t of some rows at a time: views where all rows are live, else copies into the scratch."""
        rows, ray = len(self.scratch[0]), self.ray
        if len(live) == len(ray.u):
            yield from zip(torch.split(ray.u, rows), torch.split(ray.v, rows), torch.split(t, rows), strict=True)
            return
        for index, column in zip(torch.split(live, rows), torch.split(t, rows), strict=True):
            into = (part[: len(index)] for part in self.scratch[3:])
            u, v = (torch.index_select(part, 0, index, out=out) for part, out in zip((ray.u, ray.v), into, strict=True))
            yield u, v, column


def _inverse_cubic(lo: _Point, hi: _Point) -> Tensor:
    """s(0) of the cubic s(phi) through both ends of a strictly falling piece, or of the line if that leaves it."""
    drop = hi.phi - lo.phi
    y = -lo.phi / drop
    cubic = (1 + 2 * y) * (1 - y) ** 2 * lo.s + y * (1 - y) ** 2 * drop / lo.slope
    cubic += y * y * (3 - 2 * y) * hi.s - y * y * (1 - y) * drop / hi.slope
    return torch.where((lo.s < cubic) & (cubic < hi.s), cubic, lo.s + (hi.s - lo.s) * y)
