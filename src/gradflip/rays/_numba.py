"""Whether the compiled passes are available, and for which rays."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import torch
from torch import Tensor

from gradflip.networks import Activation

_SHARE = 2**21  # numbers per thread: with fewer, torch's own threads still interfere


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
    """Whether the compiled passes support an activation: on the CPU, two slopes that meet at (0, 0).

    Args:
        sigma: The activation.
        device: Device of the network.

    Returns:
        True if they do. At the kink itself, sigma' must be the left slope, as for relu.
    """
    return device.type == "cpu" and sigma.bends_at_zero


def bends_at_zero(sigma: Activation) -> bool:
    """Whether an activation has two slopes that meet at (0, 0), where its derivative is the left slope, like relu.

    Args:
        sigma: The activation.

    Returns:
        True for relu and leaky relu, not for abs, whose derivative at 0 is 0.
    """
    return sigma.bends_at_zero


def left_slopes(sigma: Activation, u: Tensor, out: Tensor) -> Tensor:
    """Write sigma'(u); at 0 it is the left slope.

    Args:
        sigma: An activation that `bends_at_zero`.
        u: Pre-activations.
        out: The result; may be u.

    Returns:
        `out`.
    """
    return sigma.left_slopes(u, out)


def in_threads(work: Callable[[slice], None], rows: int, width: int) -> None:
    """Call `work` on slices that partition the rows, on up to as many threads as torch uses.

    Args:
        work: Compiled passes, which release the interpreter lock.
        rows: Number of rows.
        width: Numbers per row.
    """
    threads = max(1, min(torch.get_num_threads(), rows, rows * width // _SHARE))
    if threads == 1:
        work(slice(0, rows))
        return
    ends = [rows * k // threads for k in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, map(slice, ends[:-1], ends[1:])))
