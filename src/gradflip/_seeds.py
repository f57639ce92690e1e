"""(seed, purpose) -> generator: the only source of randomness in gradflip."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derived_seed(seed: int, purpose: str) -> int:
    """The 63-bit seed that belongs to `purpose` under the user's `seed`.

    Two purposes under one seed, and one purpose under two seeds, give unrelated streams, whatever was drawn before.

    Args:
        seed: The user's seed.
        purpose: What the numbers are for, such as `"weights"` or `"batches"`.

    Returns:
        An integer in [0, 2^63).
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, purpose: str) -> torch.Generator:
    """A CPU generator seeded by `derived_seed`: draw on the CPU, then move, so that devices agree.

    Args:
        seed: The user's seed.
        purpose: What the numbers are for.

    Returns:
        A fresh `torch.Generator` on the CPU.
    """
    import torch

    return torch.Generator().manual_seed(derived_seed(seed, purpose))
