"""The two ways in which a request can go wrong: it was badly put, or what it needs cannot be read or written."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(ValueError):
    """A request that cannot be carried out as it was put. The command line exits with 2."""


class FileError(OSError):
    """A file or folder that cannot be used: missing, damaged, not permitted, full. The command line exits with 1."""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """What to say of a name that does not exist: the nearest one that does, and all there are.

    Args:
        kind: What was looked for, such as `"experiment"`.
        name: What came.
        known: The names there are.

    Returns:
        The text of an error: `unknown experiment 'wang2022-fg2'; did you mean 'wang2022-fig2'? There are: ...`.
    """
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"unknown {kind} {name!r}{hint} There are: {', '.join(names)}."
