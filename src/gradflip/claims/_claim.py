"""A claim: a statistic of a table, and what a theorem expects of it."""

from __future__ import annotations

from dataclasses import dataclass

from gradflip.claims._expectations import Expectation, Reported, Verdict
from gradflip.claims._interval import Interval
from gradflip.claims._statistic import Statistic


@dataclass(frozen=True)
class Claim:
    """The statement that a statistic of a table lies where a theorem says.

    Attributes:
        statistic: The number, such as `Exponent("gradient_norm")`.
        expectation: Where it should lie, such as `Equals(0.5)`; `Reported()` where nothing is claimed.
        quantity: The column as a formula, in LaTeX.
        why: Where the claim comes from, or what the number is for.
        only: A column and the values of it that the claim is about; all rows if not given.
        at_last: Columns of which only the largest value of each curve counts.
    """

    statistic: Statistic
    expectation: Expectation
    quantity: str
    why: str
    only: tuple[str, tuple[str, ...]] | None = None
    at_last: tuple[str, ...] = ()

    @property
    def column(self) -> str:
        """The column of the table that the claim is about."""
        return self.statistic.column

    @property
    def judged(self) -> bool:
        """Whether anything is claimed, rather than only reported."""
        return not isinstance(self.expectation, Reported)

    @property
    def name(self) -> str:
        """A few words for a terminal, such as `"exponent below"`."""
        return self.statistic.name.format(side=self.expectation.side).strip()

    @property
    def words(self) -> str:
        """The claim in words, such as `"exponent in d 0 ± 0.1"`."""
        return f"{self.statistic.words} {self.expectation.words}".rstrip()


@dataclass(frozen=True)
class Finding:
    """A claim evaluated on the rows of one curve.

    Attributes:
        claim: The claim.
        by: The column that tells the curves apart, such as `"width"` or `"activation"`.
        curve: The value of that column.
        interval: The number with its interval; of several comparisons, the decisive one.
        verdict: `None` for a number that is only reported.
    """

    claim: Claim
    by: str
    curve: float | str
    interval: Interval
    verdict: Verdict | None
