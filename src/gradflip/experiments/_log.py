"""The log of a run: one JSON object per line in its folder."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from gradflip._errors import FileError


class _JsonLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"at": at, "level": record.levelname, "from": record.name, "says": record.getMessage()}
        return json.dumps(line, ensure_ascii=False)


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Append the log records of gradflip, INFO and above, to a file while the context lasts.

    Args:
        path: The file.

    Yields:
        Nothing.

    Raises:
        FileError: If the file cannot be opened.
    """
    logger = logging.getLogger("gradflip")
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}.") from error
    handler.setFormatter(_JsonLine())
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()
