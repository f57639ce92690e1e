"""The two ways in which a request can go wrong: it was badly put, or what it needs cannot be read or written."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """A request that cannot be carried out as it was put. The command line exits with 2."""


class FileError(OSError):
    """A file or folder that cannot be used: missing, damaged, not permitted, full. The command line exits with 1."""


def unknown(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that does not exist, with the nearest one that does.

    Args:
        kind: What was looked for, such as `"experiment"`.
        name: What came.
        known: The names there are.

    Returns:
        An exception to raise: `unknown experiment 'wang2022-fg2'; did you mean 'wang2022-fig2'? There are: ...`.
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return UsageError(f"unknown {kind} {name!r}{hint} There are: {', '.join(names)}.")
