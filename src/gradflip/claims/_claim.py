"""What a theorem says as a number, and what an interval says to it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

from gradflip.claims._exponent import Interval

TOLERANCE = 0.1

PowerKind = Literal["exponent", "exponent-below", "grows-with-C0", "variation", "contour", "largest", "bracket"]
LawKind = Literal[
    "same-probability", "same-law", "limit", "below-limit", "approaches", "falls", "distance", "at-most-share",
    "above-share",
]  # fmt: skip


class Verdict(enum.Enum):
    """What an interval says of a claimed value (docs/mathematics/statistics.md, "Verdicts")."""

    HOLDS = "holds"
    """The interval lies within the claimed value +- 0.1, or on the claimed side of 0."""
    FAILS = "fails"
    """It is disjoint from that."""
    UNDECIDED = "undecided"
    """Neither."""


@dataclass(frozen=True)
class Claim:
    """That a column of a table behaves in a certain way.

    Attributes:
        kind: Of trained networks, over seeds: `"exponent"`: grows as a power of the input dimension, or of the column
            `over`; `"exponent-below"`: as a lower power than this;
            `"grows-with-C0"`: as a power of C0 at each dimension, the exponents averaged; `"variation"`: has this
            coefficient of variation over the test images; `"contour"`: crosses one half along a power of an axis;
            `"largest"`: is this much where it is largest along an axis; `"bracket"`: a curve above it crosses a level
            at most so many times further along an axis. Of random networks, over draws:
            `"same-probability"`: a count is that of explicit networks, up to chance; `"same-law"`: so is a sample, by
            its Kolmogorov distance; `"limit"`: a probability exceeds its limit by this much; `"below-limit"`: by less
            than this; `"approaches"`: it comes closer to its limit along an axis; `"falls"`: a Kolmogorov distance
            does; `"distance"`: has this size; `"at-most-share"`: a count of draws that break a bound exceeds the
            share that may, the column `gamma`, by nothing; `"above-share"`: it exceeds it.
        column: Of the table; a count `flips` is out of `draws`.
        quantity: The column as a formula, in LaTeX.
        value: The claimed number; for `"grows-with-C0"` 0 stands for "above 0"; `None` where the number is only
            reported.
        why: Where the claim comes from, or what the number is for.
        only: A column and the values of it that the claim is about; all rows if not given.
        along: The column of the axis that `"approaches"` and `"falls"` are about the ends of; of `"contour"` that in
            which one half is crossed; of `"largest"` that along which it is looked for.
        over: The column that the crossing of a `"contour"`, or the claim's column of an `"exponent"`, is a power of.
        at_last: Columns of which only the largest value counts, curve by curve.
    """

    kind: PowerKind | LawKind
    column: str
    quantity: str
    value: float | None
    why: str
    only: tuple[str, tuple[str, ...]] | None = None
    along: str | None = None
    above: str | None = None
    level: float = 0.5
    over: str | None = None
    at_last: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What the rows of one curve say to a claim.

    Attributes:
        claim: The claim.
        by: The column that tells the curves apart, such as `"width"` or `"activation"`.
        curve: Its value.
        found: The number and its interval.
        verdict: `None` for a number that is only reported.
    """

    claim: Claim
    by: str
    curve: float | str
    found: Interval
    verdict: Verdict | None


def judge(found: Interval, value: float, tolerance: float = TOLERANCE) -> Verdict:
    """The verdict of an interval on a claimed value.

    Args:
        found: The number and its interval.
        value: The claimed one.
        tolerance: How far off still counts as the same.

    Returns:
        `HOLDS` if the interval lies within value +- tolerance, `FAILS` if it is disjoint from that, else `UNDECIDED`.
    """
    if value - tolerance <= found.low and found.high <= value + tolerance:
        return Verdict.HOLDS
    if found.high < value - tolerance or found.low > value + tolerance:
        return Verdict.FAILS
    return Verdict.UNDECIDED
