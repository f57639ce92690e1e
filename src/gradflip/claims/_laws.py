"""Laws of random networks against limits and against explicit networks, by curve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradflip.claims._binomial import clopper_pearson
from gradflip.claims._claim import TOLERANCE, Claim, Verdict, judge
from gradflip.claims._distance import kolmogorov_margin, two_sample_margin
from gradflip.claims._exponent import LEVEL, Interval
from gradflip.claims._proportion import difference, wilson

if TYPE_CHECKING:
    import polars as pl

FALSE_ALARM = 1e-3
"""How often equal laws are said to differ, over all comparisons of a claim together."""


def law(claim: Claim, rows: pl.DataFrame, *, comparisons: int) -> tuple[Interval, Verdict | None] | None:
    """What the rows of one curve say to a claim about probabilities or laws.

    Columns by kind. `"same-probability"`: the claim's column, a count out of `draws`, and `explicit_flips` out of
    `explicit_draws`; `"same-law"`: the claim's column, the largest Kolmogorov distance of `tests` between two samples
    of `draws` and `explicit_draws`; `"limit"`, `"below-limit"` and `"approaches"`: a count out of `draws`, and its
    `limit`; `"falls"` and `"distance"`: a Kolmogorov distance to a given law of a sample of `draws`;
    `"at-most-share"` and `"above-share"`: a count out of `draws`, and the share `gamma` that it is allowed.

    Args:
        claim: Of one of the kinds of `LawKind`.
        rows: Of one curve, a row each comparison, at least one.
        comparisons: How many rows all curves have: intervals hold for all of them together.

    Returns:
        The number that decides, and the verdict; `None` where there is nothing to compare.
    """
    if claim.kind in ("approaches", "falls"):
        return _fall(claim, rows)
    lines = rows.to_dicts()
    if claim.kind == "same-probability":
        return _same([_difference(claim, line, FALSE_ALARM / comparisons) for line in lines])
    if claim.kind == "same-law":
        tests = comparisons * max(line["tests"] for line in lines)
        return _same([_two_sample(claim, line, FALSE_ALARM / tests) for line in lines])
    alarm = (1 - LEVEL) / comparisons
    if claim.kind == "distance":
        return max((_apart(claim, line, alarm) for line in lines), key=lambda found: found.estimate), None
    if claim.kind in ("at-most-share", "above-share"):
        return _from_share(claim, [_beyond(claim, line, alarm) for line in lines])
    return _from_limit(claim, [_excess(claim, line, alarm) for line in lines])


def _share(claim: Claim, line: dict[str, Any], alarm: float) -> Interval:
    return wilson(line[claim.column], line["draws"], 1 - alarm)


def _difference(claim: Claim, line: dict[str, Any], alarm: float) -> Interval:
    explicit = wilson(line["explicit_flips"], line["explicit_draws"], 1 - alarm)
    return difference(_share(claim, line, alarm), explicit)


def _excess(claim: Claim, line: dict[str, Any], alarm: float) -> Interval:
    found, limit = _share(claim, line, alarm), line["limit"]
    return Interval(found.estimate - limit, found.low - limit, found.high - limit, found.seeds)


def _beyond(claim: Claim, line: dict[str, Any], alarm: float) -> Interval:
    found, allowed = clopper_pearson(line[claim.column], line["draws"], 1 - alarm), line["gamma"]
    return Interval(found.estimate - allowed, found.low - allowed, found.high - allowed, found.seeds)


def _two_sample(claim: Claim, line: dict[str, Any], alarm: float) -> Interval:
    measured = line[claim.column]
    margin = two_sample_margin(line["draws"], line["explicit_draws"], 1 - alarm)
    return Interval(
        measured, max(0.0, measured - margin), measured + margin, min(line["draws"], line["explicit_draws"])
    )


def _apart(claim: Claim, line: dict[str, Any], alarm: float) -> Interval:
    measured, margin = line[claim.column], kolmogorov_margin(line["draws"], 1 - alarm)
    return Interval(measured, max(0.0, measured - margin), min(1.0, measured + margin), line["draws"])


def _same(found: list[Interval]) -> tuple[Interval, Verdict]:
    """Equal up to chance: every interval holds 0, and none reaches further than the tolerance."""
    off = [interval for interval in found if interval.low > 0 or interval.high < 0]
    if off:
        return max(off, key=lambda interval: max(interval.low, -interval.high)), Verdict.FAILS
    furthest = max(found, key=_reach)
    return furthest, Verdict.HOLDS if _reach(furthest) <= TOLERANCE else Verdict.UNDECIDED


def _reach(interval: Interval) -> float:
    return max(-interval.low, interval.high)


def _from_limit(claim: Claim, found: list[Interval]) -> tuple[Interval, Verdict | None]:
    """The probability furthest on the wrong side decides for all of the curve."""
    if claim.value is None:
        return max(found, key=lambda interval: abs(interval.estimate)), None
    value = claim.value
    if claim.kind == "limit":
        off = [interval for interval in found if judge(interval, value) is Verdict.FAILS]
        furthest = max(off or found, key=lambda interval: max(value - interval.low, interval.high - value))
        return furthest, judge(furthest, value)
    largest = max(found, key=lambda interval: interval.high)
    below = Verdict.HOLDS if largest.high < value else Verdict.FAILS if largest.low >= value else Verdict.UNDECIDED
    return largest, below


def _from_share(claim: Claim, found: list[Interval]) -> tuple[Interval, Verdict | None]:
    """The comparison that speaks most against the claim decides for all of the curve."""
    if claim.value is None:
        return max(found, key=lambda interval: interval.estimate), None
    if claim.kind == "at-most-share":
        most = max(found, key=lambda interval: (interval.low > 0, interval.high))
        holds, fails = most.high <= claim.value, most.low > claim.value
    else:
        most = min(found, key=lambda interval: interval.low)
        holds, fails = most.low > claim.value, most.high <= claim.value
    return most, Verdict.HOLDS if holds else Verdict.FAILS if fails else Verdict.UNDECIDED


def _fall(claim: Claim, rows: pl.DataFrame) -> tuple[Interval, Verdict] | None:
    """The distance at the start of the axis less that at its end."""
    assert claim.along is not None
    ordered = rows.sort(claim.along)
    if ordered[claim.along].n_unique() < 2:
        return None
    measured = _apart if claim.kind == "falls" else _absolute
    # each end holds with half of the alarm, so both do with all of it
    start, end = (measured(claim, ordered.row(i, named=True), (1 - LEVEL) / 2) for i in (0, -1))
    low, high = start.low - end.high, start.high - end.low
    fall = Interval(start.estimate - end.estimate, low, high, min(start.seeds, end.seeds))
    return fall, Verdict.HOLDS if fall.low > 0 else Verdict.FAILS if fall.high < 0 else Verdict.UNDECIDED


def _absolute(claim: Claim, line: dict[str, Any], alarm: float) -> Interval:
    """How far a probability is from its limit, on either side."""
    found = _excess(claim, line, alarm)
    ends = sorted((abs(found.low), abs(found.high)))
    low = 0.0 if found.low <= 0 <= found.high else ends[0]
    return Interval(abs(found.estimate), low, ends[1], found.seeds)
