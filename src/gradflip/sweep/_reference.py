"""References `"package.module:function"`: they travel to workers, which import what they name."""

from __future__ import annotations

import importlib
import re
from typing import Any

from gradflip._errors import UsageError

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def check_reference(name: str, reference: object) -> None:
    """Check the form of a reference without importing anything.

    Args:
        name: How an error names it.
        reference: The value to check.

    Raises:
        UsageError: If it does not read `"package.module:function"`.
    """
    if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
        raise UsageError(f"{name} must read 'package.module:function', got {reference!r}.")


def resolve(reference: str) -> Any:
    """Import the module of a reference and return the attribute it names.

    Args:
        reference: A reference that `check_reference` accepts.

    Returns:
        The function, class or other attribute.
    """
    module, _, path = reference.partition(":")
    attribute: Any = importlib.import_module(module)
    for name in path.split("."):
        attribute = getattr(attribute, name)
    return attribute
