"""What computes a cell: a measure by its stable name, the version of its numbers, and where its function is now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from gradflip._errors import UsageError
from gradflip.sweep._reference import check_reference

Scalar: TypeAlias = None | bool | int | float | str
LONGEST_SEED = 2**63

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Measured:
    """What a measure returns for one cell.

    Args:
        rows: Rows of the table; each maps a column to None, a bool, an int, a finite float or a str.
        observations: Long columns of equal length, such as the draws behind a row. May be empty.
    """

    rows: Sequence[Mapping[str, Scalar]]
    observations: Mapping[str, Sequence[Scalar]] = field(default_factory=dict)


MeasureFunction: TypeAlias = Callable[[dict[str, Any], int, Callable[[float], None]], Measured]


@dataclass(frozen=True)
class Measure:
    """A function from a cell to rows, known by a name that outlives the file it is in.

    Only the name (or `hashed_as`) and the version enter a cell's hash; `reference` says where a worker imports the
    function from and may change freely.

    Args:
        name: The stable name, such as `"lazy-flip"`; the column `measure` of every row.
        version: Of its numbers: raise it when they change, and earlier results no longer count.
        reference: Where the function is, `"package.module:function"`; by default the name itself. It is called as
            `function(parameters, seed, progress)` and returns a `Measured`.
        hashed_as: What stands for the name in a cell's hash, for measures whose first results were hashed under
            another; by default the name.
        renamed: Columns of rows and observations that earlier versions wrote, and what they are called now;
            `None` for those that are gone.

    Raises:
        UsageError: If the reference does not read `"package.module:function"`, or the version is no such integer.
    """

    name: str
    version: int = 1
    reference: str = ""
    hashed_as: str = ""
    renamed: tuple[tuple[str, str | None], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "reference", self.reference or self.name)
        object.__setattr__(self, "hashed_as", self.hashed_as or self.name)
        check_reference("measure", self.reference)
        check_integer("version", self.version)

    def current(self, columns: Mapping[str, _Value]) -> dict[str, _Value]:
        """Rename the columns of a row or of observations that an earlier version wrote.

        Args:
            columns: Values by column.

        Returns:
            The same values under the names of today, without the columns that are gone.
        """
        names = dict(self.renamed)
        now = ((names.get(name, name), value) for name, value in columns.items())
        return {name: value for name, value in now if name is not None}


def check_integer(name: str, value: object) -> None:
    """Check a version or a seed.

    Args:
        name: How an error names it.
        value: The value to check.

    Raises:
        UsageError: If it is not an integer in [0, 2^63).
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < LONGEST_SEED:
        raise UsageError(f"{name} must be an integer in [0, 2^63), got {value!r}.")
