"""No restriction on the width: the law of the flipping perturbation over m at fixed d, and over d at fixed m."""

from gradflip.claims import Above, Claim, Distance, Fall, Reported
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._group import Group
from gradflip.experiments.random._cells import RANDOM
from gradflip.sweep import Measure

DIMS = (400, 10**6)  # along the widths
WIDTHS = (10, 1000)  # along the dimensions


def _decades(first: int, last: int, steps: tuple[int, ...]) -> tuple[int, ...]:
    """The steps times 10^first, ..., 10^(last - 1), and 10^last."""
    return tuple(step * 10**decade for decade in range(first, last) for step in steps) + (10**last,)


def _ensembles(
    largest_width: int, largest_dim: int, steps: tuple[int, ...], most: int, fewest: int
) -> tuple[Group, ...]:
    """Make groups along both axes; beyond width 10^4 the number of draws falls, as their cost rises."""

    def draws(width: int) -> int:
        return max(fewest, most * 10**4 // max(10**4, width))

    lines: dict[tuple[int, int], list[tuple[str, str]]] = {}  # a point where lines meet is drawn once
    for dim in DIMS:
        for width in _decades(0, largest_width, steps):
            lines.setdefault((dim, width), []).append((f"over m, d = {_power(dim)}", "width"))
    for width in WIDTHS:
        for dim in _decades(0, largest_dim, steps)[1:]:  # d = 1 has no direction but x
            lines.setdefault((dim, width), []).append((f"over d, m = {_power(width)}", "dim"))
    return tuple(
        Group(
            f"any width: relu, d = {_power(dim)}, m = {_power(width)}",
            {"activation": "relu", "dim": dim, "width": width, "draws": draws(width), "lines": own},
            seconds=(5e-4 + 8e-8 * width) * draws(width),
        )
        for (dim, width), own in lines.items()
    )


def _power(size: int) -> str:
    """10⁶ for a million, 2·10⁶ for two; small sizes as they are."""
    zeros = len(str(size)) - len(str(size).rstrip("0"))
    if zeros < 4:
        return str(size)
    first = "" if size == 10**zeros else f"{size // 10**zeros}·"
    return f"{first}10{str(zeros).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


MONTANARI2022_ANY_WIDTH = Experiment(
    name="montanari2022-any-width",
    title="The flipping perturbation at any width and dimension",
    question="Is a relative perturbation of order 1/√d enough whatever the width, from one unit to ten million, "
    "without a restriction relative to d?",
    source="Montanari & Wu (2022), the theorem for two layers, and its failure at small fixed width",
    family=RANDOM,
    measure=Measure(
        "random-any-width",
        version=1,
        reference="gradflip.experiments.random._any_width_measure:measure",
        hashed_as="gradflip.experiments._random_any_width:measure",
        renamed=(("kind", None),),
    ),
    figure="gradflip.experiments.random._any_width_figure:any_width_figure",
    curve="line",
    claims=(
        Claim(
            Fall("distance", along="position"),
            Above(0.0),
            r"\rho \sqrt{d}",
            "the law comes closer to that of (ν/τ) |Z| from the smallest to the largest size on the axis",
        ),
        Claim(
            Distance("distance"),
            Reported(),
            r"\rho \sqrt{d}",
            "how far from it the law still is at the largest size on the axis: the floor that the other size sets",
            at_last=("position",),
        ),
    ),
    groups={
        "quick": _ensembles(6, 9, (1, 3), 2000, 100),
        "standard": _ensembles(7, 9, (1, 2, 5), 20_000, 500),
        "paper": _ensembles(7, 12, (1, 2, 5), 100_000, 2000),
    },
)
