"""Flips of any network: a sign change is bracketed and narrowed, on the whole batch at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.rays._abstract import AbstractRay
from gradflip.rays._result import Certainty, Crossing, Flip

_CLOSE = 1e-9  # relative distance at which the march has reached the bracket: closer, phi is within rounding of zero


@dataclass(frozen=True)
class Bracketed:
    """Finds a flip of any network by expansion from the first-order guess and bracketed root finding.

    The result is a bracket phi(lower) >= 0 > phi(upper) with upper - lower <= rtol * upper: *a* flip. Where a bound M
    on |phi''| is known, a march from 0 proves that it is the first, since

        phi(t + h) >= phi(t) + h phi'(t) - h^2 M / 2

    excludes a flip up to the root of the right-hand side, from where the march continues until it reaches the bracket.

    Args:
        rtol: Width of the bracket relative to the step.
        growth: Factor between trial steps, from the first-order guess |f| / |g|^2 on.
        reach: Largest trial step, as a multiple of the first-order guess.
        max_marches: Most evaluations of the proof that the flip is the first.

    Source: docs/mathematics/model.md, "Bracketed flips"; the root finder is Chandrupatla (1997).
    """

    rtol: float = 1e-12
    growth: float = 1.2
    reach: float = 1e6
    max_marches: int = 64

    def __post_init__(self) -> None:
        """Check the settings."""
        if not self.rtol >= 1e-15:
            raise UsageError(f"rtol must be at least 1e-15, got {self.rtol}.")
        if not self.growth > 1:
            raise UsageError(f"growth must be above 1, got {self.growth}.")
        if not 1 <= self.reach < math.inf:
            raise UsageError(f"reach must be at least 1 and finite, got {self.reach}.")

    def __call__(self, ray: AbstractRay) -> Flip:
        """A flip on every ray that has one within reach.

        Args:
            ray: A batch of rays.

        Returns:
            A `Flip` with certainty `CERTIFIED_FIRST` or `BRACKETED`, status `NOT_FOUND` if there is none within reach.

        Shape:
            Memory O(n m), time O(n m) per evaluation; about 15 evaluations, and the march.
        """
        value = ray.value
        live = ((value != 0) & (ray.gradient_norm != 0)).nonzero()[:, 0]
        turned, lower, upper, passes = bracket(ray.rows(live), self)
        at = live[turned]
        crossing = Crossing.not_found(len(value), value.device)
        crossing.put(at, Crossing.flipped(upper, lower, upper))
        first, marches = _no_flip_before(ray.rows(at), lower, self.max_marches)
        certainty = torch.full_like(crossing.status, Certainty.BRACKETED)
        certainty[at[first]] = Certainty.CERTIFIED_FIRST
        return Flip.assemble(
            crossing,
            value=value,
            gradient_norm=ray.gradient_norm,
            input_norm=ray.input_norm,
            passes=passes + marches,
            finder=f"bracketed (rtol {self.rtol:g})",
            certainty=certainty,
        )


def bracket(ray: AbstractRay, settings: Bracketed) -> tuple[Tensor, Tensor, Tensor, int]:
    """A sign change on every ray that has one within reach.

    Args:
        ray: Rays, each with f and g not zero.
        settings: The reach and width of the search.

    Returns:
        Positions of the rays with a sign change, the ends of its bracket, and evaluations of phi.
    """
    lo, hi, tried = _expand(ray, settings.growth, settings.reach)
    turned = hi.isfinite().nonzero()[:, 0]
    lo, hi, narrowed = _narrow(ray.rows(turned), lo[turned], hi[turned], settings.rtol)
    return turned, lo, hi, tried + narrowed


def _expand(ray: AbstractRay, growth: float, reach: float) -> tuple[Tensor, Tensor, int]:
    """The first trial steps between which phi goes below zero, the upper inf if there are none; evaluations of phi."""
    guess = ray.value.abs() / ray.gradient_norm**2
    lo, hi = torch.zeros_like(guess), torch.full_like(guess, torch.inf)
    factor, tried = 1.0, 0
    open_rows = torch.arange(len(guess), device=guess.device)
    while len(open_rows) and factor <= reach:
        tried += 1
        trial = factor * guess[open_rows]
        rays = ray.rows(open_rows)
        # strictly below rounding, so that a network that merely dies along the ray does not flip
        phi = rays.phi(trial)
        below = phi < -rays.rounding(trial)
        hi[open_rows[below]] = trial[below]
        above = phi >= 0  # a value below 0 within rounding is neither end of a bracket
        lo[open_rows[above]] = trial[above]
        open_rows = open_rows[~below]
        factor *= growth
        growth = min(2.0, growth * 1.05)  # fine near the guess, coarse far out
    return lo, hi, tried


def _narrow(ray: AbstractRay, lo: Tensor, hi: Tensor, rtol: float, max_steps: int = 200) -> tuple[Tensor, Tensor, int]:
    """Chandrupatla's method on every row: inverse quadratic steps where they are safe, bisection elsewhere."""
    taken = 0
    if not len(lo):
        return lo, hi, taken
    a, b = hi, lo  # a: newest point, b: other end of the bracket, c: the point before
    fa, fb = ray.phi(a), ray.phi(b)
    c, fc = a, fa
    t = (fa / (fa - fb)).nan_to_num(0.5).clamp(1e-3, 1 - 1e-3)  # where the chord is zero: phi is nearly linear
    wide = torch.ones_like(a, dtype=torch.bool)
    while taken < max_steps:
        taken += 1
        x = a + t * (b - a)
        fx = ray.phi(x)
        same = (fx >= 0) == (fa >= 0)
        # narrow rows stay as they are, so that no row depends on the number of steps of another
        same, turned = same & wide, ~same & wide
        c, fc = torch.where(same, a, torch.where(turned, b, c)), torch.where(same, fa, torch.where(turned, fb, fc))
        b, fb = torch.where(turned, a, b), torch.where(turned, fa, fb)
        a, fa = torch.where(wide, x, a), torch.where(wide, fx, fa)
        width = (b - a).abs()
        tolerance = 0.5 * rtol * torch.maximum(a, b)
        wide = width > 2 * tolerance
        if not bool(wide.any()):
            break
        xi, ratio = (a - b) / (c - b), (fa - fb) / (fc - fb)
        safe = (1 - torch.sqrt((1 - xi).clamp(min=0)) < ratio) & (ratio < torch.sqrt(xi.clamp(min=0)))
        quadratic = fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
        t = torch.where(safe & quadratic.isfinite(), quadratic, 0.5)
        margin = (tolerance / width.clamp(min=1e-300)).clamp(max=0.5)
        t = t.maximum(margin).minimum(1 - margin)
    swap = fa >= 0
    return torch.where(swap, a, b), torch.where(swap, b, a), taken + 2


def _no_flip_before(ray: AbstractRay, lower: Tensor, max_marches: int) -> tuple[Tensor, int]:
    """Whether a bound on the curvature proves phi >= 0, up to rounding, on (0, lower); the number of marches."""
    bend = ray.bend()
    if bend is None or not len(lower):
        return torch.zeros_like(lower, dtype=torch.bool), 0
    # as close to the bracket as phi exceeds its rounding: not very close for inputs near the boundary
    near = 4 * ray.rounding(lower) / ray.slope(lower).abs()
    goal = lower - torch.minimum(torch.maximum(near, _CLOSE * lower), 1e-3 * lower)
    t = torch.zeros_like(lower)
    marches = 0
    while marches < max_marches:
        marches += 1
        height, slope = ray.phi(t), ray.slope(t)
        height = (height - ray.rounding(t)).clamp(min=0.0)
        # root of height + h slope - h^2 bend / 2, in the form that does not cancel
        root = torch.sqrt(slope**2 + 2 * bend * height)
        ahead = torch.where(slope > 0, (slope + root) / bend, 2 * height / (root - slope))
        t = torch.where(bend > 0, t + ahead.nan_to_num(0.0), torch.inf)
        if bool((t >= goal).all()):
            break
        t = torch.minimum(t, lower)
    return t >= goal, marches
