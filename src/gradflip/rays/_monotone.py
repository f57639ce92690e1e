"""The zero of a phi that provably falls: Newton steps find its piece without computing or sorting a breakpoint.

Let sigma have two slopes that meet in 0, the right one larger by D, and write w = u - t v, d_j = 1(w_j > 0) -
1(u_j > 0) and unit = sign(f) D / sqrt(m). Only neurons that switch before t have d_j != 0, and

    phi(t) = |f| + t phi'(0) + unit sum_j a_j w_j d_j,    phi'(t) = phi'(0) - unit sum_j a_j v_j d_j.              (1)

A neuron switches against the sign of its v_j, so v_j d_j = -|v_j|. The slope of phi therefore rises and falls by

    R(t), F(t) = -(|unit| sum_j |a_j| v_j d_j +- unit sum_j a_j v_j d_j) / 2  >= 0,                                (2)

both increasing in t, and phi' <= phi'(0) + R(t) on all of [0, t]. If that is negative, phi falls strictly on [0, t]; if
phi(t) < 0 too, phi has exactly one zero there.

Source: docs/mathematics/model.md, "Exact flips".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from gradflip._memory import rows_per_block
from gradflip.rays._breakpoints import Start
from gradflip.rays._ray import Ray, rounding_of
from gradflip.rays._result import Crossing

_BLOCK = 2**17  # pre-activations on the CPU: scratch memory that fits into the cache
_MOST_PASSES = 10


def falling_zero(ray: Ray, start: Start, reach: float) -> tuple[Crossing, Tensor]:
    """The zero on every ray along which phi provably falls.

    Args:
        ray: A batch of rays, of an activation with two slopes that meet in 0.
        start: phi at 0.
        reach: How far phi must provably fall, as a multiple of the first-order guess; twice as far where the zero lies
            beyond.

    Returns:
        A `Crossing`, `NOT_FOUND` without a proof; and the passes over the neurons of each row.
    """
    sums = _Sums.of(ray, start)
    passes = torch.zeros_like(ray.value, dtype=torch.int32)
    # 1. A bracket on which phi provably falls, and the zero of the cubic through its ends.
    live, lo, hi = _brackets(sums, reach, passes)
    crossing = Crossing.not_found(len(passes), passes.device)
    s = _inverse_cubic(lo, hi)
    last = _Point(*(torch.full_like(s, torch.nan) for _ in range(5)))
    eps = 4 * torch.finfo(ray.u.dtype).eps
    for _ in range(_MOST_PASSES):
        if not len(live):
            break
        # 2. phi and its slope at s by (1), and the Newton step from there.
        here = sums.at(live, s)
        passes[live] += 1
        s, phi, slope = here.s, here.phi, here.slope
        step = s - phi / slope
        # 3. Done if no neuron switches between this point and the last, so that phi is linear between them, and phi
        #    changes its sign or is zero up to rounding; or if the type resolves no smaller step.
        same = (here.rise == last.rise) & (here.fall == last.fall)
        same &= (phi.abs() <= sums.tiny(live, s, 1)) | ((phi > 0) != (last.phi > 0))
        done = (slope < 0) & (same | ((step - s).abs() <= eps * s))
        other = torch.where(same, last.s, s)
        ends = torch.stack([other, s, step])[:, done]
        crossing.put(live[done], Crossing.flipped(step[done], ends.amin(dim=0), ends.amax(dim=0)))

        # 4. Narrow the bracket; where the Newton step leaves it, take the zero of its chord.
        lo, hi = lo.where(phi <= 0, here), hi.where(phi > 0, here)
        chord = lo.s + (hi.s - lo.s) * lo.phi / (lo.phi - hi.phi)
        on = ~done & (slope < 0)
        s = torch.where((lo.s < step) & (step < hi.s), step, chord)[on]
        live, lo, hi, last = live[on], lo.rows(on), hi.rows(on), here.rows(on)
    return crossing, passes


def _brackets(sums: _Sums, reach: float, passes: Tensor) -> tuple[Tensor, _Point, _Point]:
    """The rows on which phi provably falls from above zero to clearly below, and both ends of a bracket on each."""
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
        # phi' <= phi'(0) + R(t) < 0 up to t: the zero is before t, or beyond it
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
    """One step s per ray: phi(s), phi'(s), and the rise R(s) and fall F(s) of the slope, (2)."""

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
    """The sums (1) and (2) over the neurons that switch, and scratch memory for them."""

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
        rows = max(1, n) if ray.u.is_cuda else rows_per_block(_BLOCK, width, most=n)
        scratch = tuple(ray.u.new_empty(rows, width) for _ in range(5))
        unit = ray.value.sign() * ((right - left) / math.sqrt(width))
        return _Sums(ray, start, rounding_of(ray.u.dtype), unit, ray.a.abs(), scratch)

    def tiny(self, live: Tensor, s: Tensor, times: float) -> Tensor:
        """A multiple of the largest |phi(s)| that counts as zero."""
        return times * self.rounding * (self.start.height_scale[live] + s * self.start.slope_scale[live])

    def at(self, live: Tensor, s: Tensor) -> _Point:
        """One pass over the neurons of some rows, at one step each, rounded to the type of the ray."""
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
        """u, v and t block by block: views where all rows are live, else copies into the scratch memory."""
        rows, ray = len(self.scratch[0]), self.ray
        if len(live) == len(ray.u):
            yield from zip(torch.split(ray.u, rows), torch.split(ray.v, rows), torch.split(t, rows), strict=True)
            return
        for index, column in zip(torch.split(live, rows), torch.split(t, rows), strict=True):
            into = (part[: len(index)] for part in self.scratch[3:])
            u, v = (torch.index_select(part, 0, index, out=out) for part, out in zip((ray.u, ray.v), into, strict=True))
            yield u, v, column


def _inverse_cubic(lo: _Point, hi: _Point) -> Tensor:
    """The zero of the cubic s(phi) through both ends of a bracket, or of its chord where the cubic leaves it."""
    # docs/mathematics/model.md, "Certified Newton"
    drop = hi.phi - lo.phi
    y = -lo.phi / drop
    cubic = (1 + 2 * y) * (1 - y) ** 2 * lo.s + y * (1 - y) ** 2 * drop / lo.slope
    cubic += y * y * (3 - 2 * y) * hi.s - y * y * (1 - y) * drop / hi.slope
    return torch.where((lo.s < cubic) & (cubic < hi.s), cubic, lo.s + (hi.s - lo.s) * y)
