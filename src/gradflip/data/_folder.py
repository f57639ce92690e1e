"""Where data files are: the folder of a call, else that of the surrounding `data_folder`, else the user's setting."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

VARIABLE = "GRADFLIP_DATA"

_folder: ContextVar[str | None] = ContextVar("data_folder", default=None)


@contextmanager
def data_folder(path: str | os.PathLike[str]) -> Iterator[None]:
    """Inside, `load_data` reads files as if called with `data_dir=path`, where it is not given one itself.

    It holds for this thread and no other, and takes precedence over the user's `$GRADFLIP_DATA`. A sweep enters it in
    each worker, as `Context("gradflip.data:data_folder", (path,))`.

    Args:
        path: Folder with the data files. It is looked at when data are loaded.

    Yields:
        Nothing.
    """
    token = _folder.set(os.fspath(path))
    try:
        yield
    finally:
        _folder.reset(token)


def chosen_folder(data_dir: str | os.PathLike[str] | None) -> str | os.PathLike[str] | None:
    """Return the folder that a caller chose: by the argument, else by the surrounding `data_folder`."""
    return _folder.get() if data_dir is None else data_dir


def user_folder() -> str | None:
    """Return the user's setting, the value of `$GRADFLIP_DATA`; None if it is not set."""
    return os.environ.get(VARIABLE)
