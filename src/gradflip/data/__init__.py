"""Two-class data with labels in {-1, +1}: images resized to any size, and inputs on the sphere.

Names that need torch are loaded on first use (PEP 562): the registry and the data folder are available without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gradflip.data._folder import data_folder, user_folder
from gradflip.data._registry import DATA_NAMES, DATA_SETS, DataSet

if TYPE_CHECKING:
    from gradflip.data._load import load_data
    from gradflip.data._split import Split

_HOMES = {"Split": "_split", "load_data": "_load"}

__all__ = ["DATA_NAMES", "DATA_SETS", "DataSet", "Split", "data_folder", "load_data", "user_folder"]


def __getattr__(name: str) -> Any:
    """Load a public name on its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'gradflip.data' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"gradflip.data.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return sorted(__all__)
