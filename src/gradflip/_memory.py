"""Blocks that bound memory: how many rows to process at once, and how much memory is free.

A file that works block by block states the numbers of one block as `_BLOCK`, the entries of its largest intermediate;
where it states rows instead, as `_BLOCK_ROWS`. Some blocks shall fit into a cache and others only into memory, so the
constants differ. The shape of a block decides how its matrix products round: another constant changes results in their
last digits.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch


def rows_per_block(block: int, row: int, *, least: int = 1, most: int | None = None) -> int:
    """The number of rows whose intermediates fill one block.

    Args:
        block: Numbers per block.
        row: Numbers per row.
        least: Fewest rows, even if they exceed the block.
        most: Most rows, if limited.

    Returns:
        The number of rows, at least `least`.
    """
    rows = block // max(1, row)
    return max(least, rows if most is None else min(most, rows))


def free_memory(device: torch.device) -> int | None:
    """Bytes that this process may still allocate on a device.

    Args:
        device: The device.

    Returns:
        The number; `None` where the system does not say.
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
