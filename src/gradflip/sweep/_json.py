"""Plain JSON values: what may be in a cell or a row, and one spelling for each, so that it can be hashed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gradflip._errors import UsageError


def plain_scalar(value: object, where: str) -> None | bool | int | float | str:
    """`value` as exactly one of JSON's scalars (a `numpy.float64` becomes a `float`).

    Args:
        value: The value to check.
        where: How an error names it.

    Returns:
        The same value, of one of the types None, bool, int, float and str.

    Raises:
        UsageError: If it is something else, not finite, or text that UTF-8 cannot hold.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UsageError(f"{where} must be finite, got {float(value)}; give None where there is no number.")
        return float(value)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UsageError(f"{where} must be text that UTF-8 can hold, got {ascii(value)}.") from None
        return str(value)
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    raise UsageError(f"{where} must be None, a bool, an int, a float or a str, got {kind}.")


def plain(value: object, where: str) -> Any:
    """A deep copy of `value` in which every mapping is a dict and every list or tuple a list.

    Args:
        value: A JSON value; tuples count as lists.
        where: How an error names it; the path inside the value is added.

    Returns:
        The copy.

    Raises:
        UsageError: If something inside is no JSON value.
    """
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise UsageError(f"the keys of {where} must be strings, got {key!r}.")
        return {plain_scalar(key, f"a key of {where}"): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    return plain_scalar(value, where)


def frozen(value: Any) -> Any:
    """Return a plain value with its lists as tuples and its dicts read-only."""
    if isinstance(value, dict):
        return MappingProxyType({key: frozen(item) for key, item in value.items()})
    if isinstance(value, list):
        return tuple(frozen(item) for item in value)
    return value


def canonical(value: Any) -> str:
    """Return the one spelling of a plain value: keys sorted, no blanks, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
