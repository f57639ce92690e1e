"""Values of a table as text; a dash stands for a value that does not exist."""

from __future__ import annotations

from typing import Any

_NONE = "–"


def number(value: Any) -> str:
    """Three significant digits of a float; anything else as it is."""
    if value is None:
        return _NONE
    if isinstance(value, bool) or not isinstance(value, float):
        return str(value)
    return f"{value:.3g}"


def number_or_infinity(value: Any) -> str:
    """Three significant digits, where null means infinite."""
    return "∞" if value is None else f"{value:.3g}"


def general(value: Any) -> str:
    """A parameter, without trailing zeros: `0.25`, `10`."""
    return _NONE if value is None else f"{value:g}"


def fixed(value: Any) -> str:
    """Three decimals."""
    return _NONE if value is None else f"{value:.3f}"


def share(value: Any) -> str:
    """A share in per cent, three significant digits."""
    return _NONE if value is None else f"{100 * value:.3g} %"


def size(value: Any) -> str:
    """A count, thousands set apart."""
    return _NONE if value is None else f"{value:,}"


def tiny(value: Any) -> str:
    """An error by its order of magnitude: `3e-08`."""
    return _NONE if value is None else f"{value:.0e}"


def yes_no(value: Any) -> str:
    """A truth value in a word."""
    return _NONE if value is None else "yes" if value else "no"
