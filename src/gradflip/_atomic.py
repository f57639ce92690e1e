"""A file is there whole or not at all, and an operating system's refusal says what to do about it."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gradflip._errors import FileError

TEMPORARY = ".gradflip-tmp"  # how the name of an unfinished file ends; a kill may leave one behind, nobody reads it

_ADVICE = {
    errno.ENOSPC: "free some space, then run the same command again",
    errno.EDQUOT: "your quota is used up: free some space, then run the same command again",
    errno.EFBIG: "raise the limit on the size of files, then run the same command again",
    errno.EACCES: "choose a folder in which you may write",
    errno.EPERM: "choose a folder in which you may write",
    errno.EROFS: "choose a folder in which you may write",
    errno.ENOTDIR: "a part of this path is a file, not a folder: choose another",
    errno.ENAMETOOLONG: "choose a shorter path",
}


@contextmanager
def explained(action: str, path: Path) -> Iterator[None]:
    """Turn any `OSError` inside into a `FileError` that names the file, the cause and what to do.

    Args:
        action: What was tried, such as `"write"`.
        path: The file or folder.

    Yields:
        Nothing.

    Raises:
        FileError: In place of the `OSError`.
    """
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0, "check this path, then run the same command again")
        raise FileError(f"could not {action} {path}: {error.strerror or error}; {advice}.") from error


def atomic_write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file so that a reader, now or after a crash, sees the old content or the new one, never a part.

    A `FileError` says why it could not be written; the old content is then still there.

    Args:
        path: The file; its folder must exist.
        data: All of its content.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}{TEMPORARY}")  # the same folder: same file system
    with explained("write", path):
        try:
            with open(temporary, "xb") as file:  # "x": the name is new; the mode follows the umask
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
