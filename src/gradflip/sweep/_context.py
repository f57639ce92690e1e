"""What a worker enters around each measure: settings that measures need and rows do not depend on."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

from gradflip.sweep._json import plain_scalar
from gradflip.sweep._measure import Scalar
from gradflip.sweep._reference import check_reference, resolve


@dataclass(frozen=True)
class Context:
    """A context manager that travels with each cell to its worker, such as where data files are on this machine.

    It is part of no cell: hashes and rows are the same in every context.

    Args:
        reference: A function that returns a context manager, `"package.module:function"`; the worker imports it.
        arguments: Its positional arguments, JSON scalars.

    Raises:
        UsageError: If the reference does not read `"package.module:function"`, or an argument is no JSON scalar.
    """

    reference: str
    arguments: tuple[Scalar, ...] = ()

    def __post_init__(self) -> None:
        check_reference("context", self.reference)
        values = (plain_scalar(value, f"argument {i} of {self.reference}") for i, value in enumerate(self.arguments))
        object.__setattr__(self, "arguments", tuple(values))

    def open(self) -> AbstractContextManager[object]:
        """Import the function and call it.

        Returns:
            A context manager, not yet entered.
        """
        manager: AbstractContextManager[object] = resolve(self.reference)(*self.arguments)
        return manager
