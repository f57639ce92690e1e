"""Which rays the compiled passes can serve, and whether they are there at all."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import torch
from torch import Tensor

from gradflip.networks import Activation

_SHARE = 2**21  # numbers worth a thread of their own: on fewer, torch's own threads are still in the way


@functools.cache
def kernels() -> ModuleType | None:
    """The compiled passes.

    Returns:
        The module `_newton_kernels`; `None` where numba is not installed.
    """
    try:
        from gradflip.rays import _newton_kernels
    except ImportError:
        return None
    return _newton_kernels


def serves(sigma: Activation, device: torch.device) -> bool:
    """Whether the compiled passes can take this activation: on the CPU, two slopes that meet in (0, 0).

    Args:
        sigma: The activation.
        device: Where the network is.

    Returns:
        True if they can. At the kink itself sigma' must be the left slope, as for relu.
    """
    return device.type == "cpu" and sigma.bends_at_zero


def bends_at_zero(sigma: Activation) -> bool:
    """Whether an activation is two slopes that meet in (0, 0), its derivative there the left one, as relu is.

    Args:
        sigma: The activation.

    Returns:
        True for relu and leaky relu, not for abs, whose derivative in 0 is 0.
    """
    return sigma.bends_at_zero


def left_slopes(sigma: Activation, u: Tensor, out: Tensor) -> Tensor:
    """Write sigma'(u), at 0 the left slope.

    Args:
        sigma: An activation that `bends_at_zero`.
        u: Pre-activations.
        out: Where to; may be u.

    Returns:
        `out`.
    """
    return sigma.left_slopes(u, out)


def in_threads(work: Callable[[slice], None], rows: int, width: int) -> None:
    """Call `work` on slices that together are all rows, on as many threads as torch uses.

    Args:
        work: Compiled passes that let go of the interpreter.
        rows: How many rows.
        width: Numbers in each.
    """
    threads = max(1, min(torch.get_num_threads(), rows, rows * width // _SHARE))
    if threads == 1:
        work(slice(0, rows))
        return
    ends = [rows * k // threads for k in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, map(slice, ends[:-1], ends[1:])))
