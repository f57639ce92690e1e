"""Blocks: how many rows fill one."""

import pytest
import torch

from gradflip._memory import free_memory, rows_per_block


@pytest.mark.parametrize(
    ("block", "row", "bounds", "rows"),
    [
        (100, 10, {}, 10),
        (109, 10, {}, 10),
        (5, 10, {}, 1),
        (100, 0, {}, 100),
        (100, 10, {"most": 4}, 4),
        (100, 10, {"least": 64, "most": 1024}, 64),
        (10**6, 10, {"least": 64, "most": 1024}, 1024),
        (100, 10, {"most": 0}, 1),
    ],
)
def test_a_block_holds_as_many_rows_as_fit_within_the_bounds(block, row, bounds, rows):
    assert rows_per_block(block, row, **bounds) == rows


def test_some_memory_is_free():
    free = free_memory(torch.device("cpu"))
    assert free is None or free > 0
