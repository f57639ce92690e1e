"""What a claim is called on the page and on a terminal."""

import pytest

from gradflip import claims
from gradflip.claims import (
    Above,
    Approach,
    AtMost,
    Below,
    Claim,
    Contour,
    Difference,
    Distance,
    DistanceToExplicit,
    Equals,
    EqualsUpToChance,
    Excess,
    Exponent,
    Fall,
    GrowthWithC0,
    Largest,
    Ratio,
    Reported,
    ShareAbove,
    Statistic,
    Variation,
)

NAMED = [
    (Exponent("y"), Equals(0.0), "exponent", "exponent in d 0 ± 0.1"),
    (Exponent("y", "width"), Equals(-0.5), "exponent", "exponent in m -0.5 ± 0.1"),
    (Exponent("y", "scale"), Reported(), "exponent", "exponent in c"),
    (Exponent("y"), Below(0.5), "exponent below", "exponent in d below 0.5"),
    (GrowthWithC0("y"), Above(0.0), "grows with C0", "exponent in C0 above 0"),
    (Variation("y"), Reported(), "variation", "coefficient of variation"),
    (
        Contour("y", along="epsilon", over="dim", label="single step"), Equals(-0.5), "contour",
        "exponent of the 50 % contour (single step) -0.5 ± 0.1",
    ),
    (Largest("y", along="epsilon"), Reported(), "largest", "where it is largest"),
    (Ratio("y", above="z", along="x", level=0.75), AtMost(1.5), "bracket", "ratio of the budgets at 75% at most 1.5"),
    (Difference("y"), EqualsUpToChance(), "same probability", "difference from explicit networks 0 ± 0.1"),
    (DistanceToExplicit("y"), EqualsUpToChance(), "same law", "Kolmogorov distance to explicit networks 0 ± 0.1"),
    (Excess("y"), Equals(0.0), "limit", "difference from the limit 0 ± 0.1"),
    (Excess("y"), Below(-0.1), "below limit", "difference from the limit below -0.1"),
    (Approach("y", along="dim"), Above(0.0), "approaches", "fall of the distance to the limit above 0"),
    (Distance("y"), Reported(), "distance", "Kolmogorov distance to the limit"),
    (Fall("y", along="dim"), Above(0.0), "falls", "fall of the Kolmogorov distance to the limit above 0"),
    (ShareAbove("y"), AtMost(0.0), "at most share", "share above the bound, less γ at most 0"),
    (ShareAbove("y"), Above(0.0), "above share", "share above the bound, less γ above 0"),
]  # fmt: skip


@pytest.mark.parametrize(("statistic", "expectation", "name", "words"), NAMED)
def test_a_claim_has_a_name_and_words(statistic, expectation, name, words):
    claim = Claim(statistic, expectation, "y", "tests")
    assert (claim.name, claim.words, claim.column) == (name, words, "y")
    assert claim.judged == (not isinstance(expectation, Reported))


def test_every_statistic_is_named_here():
    exported = [getattr(claims, name) for name in claims.__all__]
    statistics = {kind for kind in exported if isinstance(kind, type) and issubclass(kind, Statistic)}
    assert {type(statistic) for statistic, *_ in NAMED} == statistics - {Statistic}
