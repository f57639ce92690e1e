"""Compiled passes over the neurons of a row, for `CertifiedNewton`; imported only where numba is installed.

Neuron j switches at B_j = u_j / v_j. With D the jump of the slope of sigma at its kink 0 and kappa_j = sign(f) a_j
|v_j| D / sqrt(m), sums over the neurons that switch before t give

    phi(t) = |f| + t phi'(0) + sum_j kappa_j (t - B_j) = |f| + t phi'(0) + P(t) - Q(t),                            (1)

where P collects the positive kappa_j and Q the negative ones. P and Q are convex and increasing, so on [l, h]

    phi'(0) + P'(l) - Q'(h)  <=  phi'(t)  <=  phi'(0) + P'(h) - Q'(l).                                             (2)

One pass over the neurons sums, over those that switch before t, G = sum a_j |v_j| (t - B_j), S = sum a_j |v_j| and
A = sum |a_j v_j|. With unit = sign(f) D / sqrt(m),

    phi(t) = |f| + t phi'(0) + unit G,    P'(t), Q'(t) = (|unit| A +- unit S) / 2.                                  (3)

Newton steps start at the zero of the cubic s(phi) through both ends of the bracket: with drop = phi(h) - phi(l) and
y = -phi(l) / drop,

    s = (1 + 2 y) (1 - y)^2 l + y (1 - y)^2 drop / phi'(l) + y^2 (3 - 2 y) h - y^2 (1 - y) drop / phi'(h).          (4)

The loops are written so that they vectorise: slices from 0, masks that multiply, no branches. Sums over `_RUN` neurons
are taken in the type of the row, and their sums in float64. Types are left out: numba compiles each function for the
types of its arguments.

Source: docs/mathematics/model.md, "Certified Newton".
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba import njit

_FAST = {"reassoc", "contract", "nsz"}  # sums in any order; NaN and inf keep their meaning
_RUN = 4096  # neurons summed in the type of the row
_MAX_PASSES = 60
_LEAST_SHARE = 1 / 40  # of a step: many shorter ones would cost more than the sort


@njit(error_model="numpy", fastmath=_FAST, nogil=True, cache=True)
@no_type_check
def _slopes_row(u, a, left, jump, q):
    one = u.dtype.type
    for j in range(u.shape[0]):
        q[j] = (left + jump * one(u[j] > 0)) * a[j]


@njit(error_model="numpy", nogil=True, cache=True)
@no_type_check
def weighted_slopes(u, a, left, jump, q):
    """Write q = a sigma'(u), row by row; sigma has the slopes `left` and `left + jump` on either side of 0."""
    for i in range(u.shape[0]):
        _slopes_row(u[i], a, left, jump, q[i])


@njit(error_model="numpy", fastmath=_FAST, nogil=True, cache=True)
@no_type_check
def directions(g, x, root, terms, constant, rounding, value, gradient_norm, input_norm):
    """Write |g|, f and |x| of every row, and replace g by sign(f) g / sqrt(m), along which f falls.

    On entry g lacks its factor 1 / sqrt(m), and value holds f - g . x, the part of f that the biases contribute.

    Returns:
        Whether every row is finite, with f and g not zero up to rounding.
    """
    clear = True
    for i in range(g.shape[0]):
        along, size, length = 0.0, 0.0, 0.0
        for k in range(g.shape[1]):
            gk, xk = np.float64(g[i, k]), np.float64(x[i, k])
            along += gk * xk
            size += gk * gk
            length += xk * xk
        value[i] += along / root
        gradient_norm[i], input_norm[i] = math.sqrt(size) / root, math.sqrt(length)
        above = abs(value[i]) > rounding * (terms * input_norm[i] + constant) and gradient_norm[i] > rounding * terms
        clear &= above and abs(value[i]) + gradient_norm[i] < np.inf
        turned = g.dtype.type((-1.0 if value[i] < 0 else 1.0) / root)
        for k in range(g.shape[1]):
            g[i, k] *= turned
    return clear


@njit(error_model="numpy", fastmath=_FAST, nogil=True, cache=True)
@no_type_check
def _first_run(u, v, a, t):
    one = u.dtype.type
    gained, slope, size = one(0), one(0), one(0)
    terms_u, terms_v = one(0), one(0)
    for j in range(u.shape[0]):
        past = t * abs(v[j]) - abs(u[j])  # |v_j| (t - B_j)
        switched = one((past > 0) & ((u[j] > 0) == (v[j] > 0)))
        fall, weight = abs(v[j]) * switched, abs(a[j])
        gained += past * switched * a[j]
        slope += fall * a[j]
        size += fall * weight
        terms_u += abs(u[j]) * weight
        terms_v += abs(v[j]) * weight
    f = np.float64
    return f(gained), f(slope), f(size), f(terms_u), f(terms_v)


@njit(error_model="numpy", nogil=True, cache=True)
@no_type_check
def _first(u, v, a, t):
    """G, S and A of (3), and sum |a_j u_j| and sum |a_j v_j| over all neurons, the scale of rounding."""
    if u.shape[0] <= _RUN:
        return _first_run(u, v, a, t)
    gained, slope, size, terms_u, terms_v = 0.0, 0.0, 0.0, 0.0, 0.0
    for start in range(0, u.shape[0], _RUN):
        end = min(start + _RUN, u.shape[0])
        run = _first_run(u[start:end], v[start:end], a[start:end], t)
        gained += run[0]
        slope += run[1]
        size += run[2]
        terms_u += run[3]
        terms_v += run[4]
    return gained, slope, size, terms_u, terms_v


@njit(error_model="numpy", fastmath=_FAST, nogil=True, cache=True)
@no_type_check
def _pass_run(u, v, a, t, radius):
    one = u.dtype.type
    gained, slope, size, near = one(0), one(0), one(0), one(0)
    for j in range(u.shape[0]):
        past = t * abs(v[j]) - abs(u[j])
        same = (u[j] > 0) == (v[j] > 0)
        near += one((abs(past) <= radius * abs(v[j])) & same)
        switched = one((past > 0) & same)
        fall = abs(v[j]) * switched
        gained += past * switched * a[j]
        slope += fall * a[j]
        size += fall * abs(a[j])
    return np.float64(gained), np.float64(slope), np.float64(size), np.float64(near)


@njit(error_model="numpy", nogil=True, cache=True)
@no_type_check
def _pass(u, v, a, t, radius):
    """G, S and A of (3), and the number of neurons that switch within `radius` of t."""
    if u.shape[0] <= _RUN:
        return _pass_run(u, v, a, t, radius)
    gained, slope, size, near = 0.0, 0.0, 0.0, 0.0
    for start in range(0, u.shape[0], _RUN):
        end = min(start + _RUN, u.shape[0])
        run = _pass_run(u[start:end], v[start:end], a[start:end], t, radius)
        gained += run[0]
        slope += run[1]
        size += run[2]
        near += run[3]
    return gained, slope, size, near


@njit(error_model="numpy", nogil=True, cache=True)
@no_type_check
def _row(u, v, a, height, slope0, left, unit, rounding, reach):
    """Find the first zero of phi on one row.

    height is |f|, slope0 is phi'(0), unit is sign(f) D / sqrt(m), and left is sign(f) / sqrt(m) times the left slope of
    sigma. In the code at_t is phi(t), rise and fall are P'(t) and Q'(t), and a suffix _lo refers to the left end.

    Returns:
        (settled, step, lower, upper, passes). Settled means: phi stays above 0 and then falls strictly, through the
        step returned, until it is below 0 by more than rounding; and phi is linear on [lower, upper].
    """
    one = u.dtype.type
    weight, eps = abs(unit), np.finfo(u.dtype).eps
    # 1. The first trial, a little past the zero of the tangent at 0, and the scale of rounding.
    t = one(reach * height / -slope0) if slope0 < 0 else one(0)
    if not (t > 0 and t < np.inf):
        return False, 0.0, 0.0, 0.0, 0
    gained, slope, size, terms_u, terms_v = _first(u, v, a, t)
    passes = 1
    scale_u, scale_v = (weight + abs(left)) * terms_u, (weight + abs(left)) * terms_v
    scale_u = max(scale_u, height)
    if not (scale_u + t * scale_v < np.inf):
        return False, 0.0, 0.0, 0.0, passes

    # 2. A bracket on which phi falls strictly, to below 0 by more than rounding. Throughout, phi >= 0 on (0, lo]; or,
    #    once crossed, phi falls strictly from the bracket's left end to lo. The bounds (2) on [lo, t] judge a trial t.
    lo, at_lo, rise_lo, fall_lo = 0.0, height, 0.0, 0.0
    crossed, bracket_lo, bracket_hi = False, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
    longest = np.inf  # the longest step expected to prove something; it shrinks with the width
    while True:
        at_t = height + t * slope0 + unit * gained
        rise, fall = 0.5 * (weight * size + unit * slope), 0.5 * (weight * size - unit * slope)  # P', Q'
        tiny = rounding * (scale_u + t * scale_v)
        most, least, down = slope0 + rise - fall_lo, slope0 + rise_lo - fall, slope0 + rise_lo - fall_lo
        falls = most < -rounding * scale_v
        if falls and at_t < 0 and not crossed:
            crossed, bracket_lo, bracket_hi = True, (lo, at_lo, down), (float(t), at_t, slope0 + rise - fall)
        # 2a. phi falls on [lo, t] and ends clearly below 0: done.
        if falls and at_t < -tiny:
            break
        above = at_t > tiny and not crossed
        if above and not falls and least < 0:
            # phi is above the steepest line down from lo and the flattest line back from t: above 0 if they meet there
            above = at_lo + least * (at_lo - at_t + most * (t - lo)) / (most - least) > tiny
        # 2b. phi falls on [lo, t], but ends within rounding of 0: go as far again.
        if falls and not above:
            length = t - lo
            lo, at_lo, rise_lo, fall_lo = float(t), at_t, rise, fall
            t = one(lo + length)
        # 2c. phi > 0 on [lo, t]: move lo to t, and try a little past the zero of the tangent there.
        elif above:
            lo, at_lo, rise_lo, fall_lo = float(t), at_t, rise, fall
            now = slope0 + rise - fall
            longest *= 2
            t = one(min(lo + reach * at_t / -now if now < 0 else 2 * lo, lo + longest))
        # 2d. Nothing is proved, but phi falls at lo: shorten the step to where (2) should prove that it still falls.
        elif down < 0:
            share = 0.7 * -down / (rise - rise_lo)  # as if P' grew linearly
            if share < _LEAST_SHARE:
                return False, 0.0, 0.0, 0.0, passes
            longest = share * (t - lo)
            t = one(lo + longest)
        elif crossed:
            return False, 0.0, 0.0, 0.0, passes
        # 2e. Nothing is proved, and phi need not fall at lo: move lo to where the steepest line down from it is still
        #     above 0, one pass more.
        else:
            before = one(lo + at_lo / -least * (1 - 8 * eps)) if least < 0 else one(0)
            if not before > lo * (1 + 8 * eps):
                return False, 0.0, 0.0, 0.0, passes
            gained, slope, size, _ = _pass(u, v, a, before, one(0))
            passes += 1
            at_b = height + before * slope0 + unit * gained
            if not at_b > rounding * (scale_u + before * scale_v):
                return False, 0.0, 0.0, 0.0, passes
            lo, at_lo = float(before), at_b
            rise_lo, fall_lo = 0.5 * (weight * size + unit * slope), 0.5 * (weight * size - unit * slope)
            now = slope0 + rise_lo - fall_lo
            t = one(min(float(t), lo + reach * at_b / -now)) if now < 0 else t
        if passes >= _MAX_PASSES or not (t > lo and t < np.inf):
            return False, 0.0, 0.0, 0.0, passes
        gained, slope, size, _ = _pass(u, v, a, t, one(0))
        passes += 1

    # 3. The zero inside the bracket, by Newton steps. phi is nearly smooth, so the cubic (4) is close to its zero.
    (lo, at_lo, down_lo), (hi, at_hi, down_hi) = bracket_lo, bracket_hi
    s = _inverse_cubic(lo, hi, at_lo, at_hi, down_lo, down_hi)
    radius = 3.0 * hi / u.shape[0]
    while passes < _MAX_PASSES:
        t = one(s)
        s = float(t)
        gained, slope, size, near = _pass(u, v, a, t, one(radius))
        passes += 1
        at_s = height + s * slope0 + unit * gained
        down = slope0 + unit * slope
        if not down < 0:
            return False, 0.0, 0.0, 0.0, passes
        step = s - at_s / down
        # 3a. No neuron switches within `radius` of s, so phi is linear there: a Newton step inside it ends on the zero.
        if near == 0 and abs(step - s) <= radius * (1 - 4 * eps):
            lower, upper = s - radius * (1 - 4 * eps), s + radius * (1 - 4 * eps)
            return True, step, max(lower, 0.0), upper, passes
        # 3b. s is on a breakpoint, as near to the zero as the type resolves.
        if abs(step - s) <= 2 * eps * s:
            return True, step, min(s, step), max(s, step), passes
        # 3c. Narrow the bracket; where the Newton step leaves it, take the zero of its chord.
        if at_s > 0:
            lo, at_lo = s, at_s
        else:
            hi, at_hi = s, at_s
        moved = abs(step - s)
        if not (lo < step < hi):
            step = lo + (hi - lo) * at_lo / (at_lo - at_hi)
        radius = max(0.25 * moved, 8 * eps * s)
        s = step
    return False, 0.0, 0.0, 0.0, passes


@njit(error_model="numpy", nogil=True, cache=True)
@no_type_check
def _inverse_cubic(lo, hi, at_lo, at_hi, down_lo, down_hi):
    """The zero (4) of the cubic s(phi) through both ends of the bracket, or of its chord where the cubic leaves it."""
    width, drop = hi - lo, at_hi - at_lo
    middle = lo + width * at_lo / -drop
    if down_lo < 0 and down_hi < 0:
        y = -at_lo / drop
        m_lo, m_hi = drop / down_lo, drop / down_hi  # ds/dphi at both ends, per unit of the drop
        s = (
            (1 + 2 * y) * (1 - y) ** 2 * lo + y * (1 - y) ** 2 * m_lo
            + y * y * (3 - 2 * y) * hi - y * y * (1 - y) * m_hi
        )  # fmt: skip
        if lo < s < hi:
            return s
    return middle


@njit(error_model="numpy", nogil=True, cache=True)
@no_type_check
def first_flips(u, v, a, value, slope, left, jump, rounding, reach, step, lower, upper, passes):
    """Run `_row` on every row; step, lower and upper of an unsettled row are inf. Returns whether all are settled."""
    root, every = math.sqrt(u.shape[1]), True
    for i in range(u.shape[0]):
        sign = math.copysign(1.0, value[i]) / root
        settled, step[i], lower[i], upper[i], passes[i] = _row(
            u[i], v[i], a, abs(value[i]), slope[i], sign * left, sign * jump, rounding, reach
        )
        if not settled:
            step[i] = lower[i] = upper[i] = np.inf
            every = False
    return every
