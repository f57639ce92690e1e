"""The versions and the machine of a run."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from gradflip._version import __version__


def environment() -> dict[str, Any]:
    """Versions and machine, on which numbers may depend besides the settings.

    Returns:
        JSON values by name.
    """
    packages = ("torch", "numpy", "scipy", "polars", "altair")
    return {
        "gradflip": __version__,
        "python": sys.version.split()[0],
        **{name: metadata.version(name) for name in packages},
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _processor() -> str:
    """The name of the processor, as far as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
