"""How much memory is left, for an error that says what would fit."""

from __future__ import annotations

import os
from pathlib import Path

import torch


def free_memory(device: torch.device) -> int | None:
    """Bytes that this process may still take on a device.

    Args:
        device: Where.

    Returns:
        The number; `None` where the system does not tell.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        import resource

        page = os.sysconf("SC_PAGE_SIZE")
        free = os.sysconf("SC_AVPHYS_PAGES") * page
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            free = min(free, limit - int(Path("/proc/self/statm").read_text().split()[0]) * page)
    except (ImportError, OSError, ValueError):
        return None
    return max(0, free)
