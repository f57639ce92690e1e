"""Rows -> exponents with intervals -> holds, fails, undecided."""

from gradflip.claims._claim import Claim, Finding, Verdict, find, judge
from gradflip.claims._exponent import Interval, exponent, mean

__all__ = ["Claim", "Finding", "Interval", "Verdict", "exponent", "find", "judge", "mean"]
