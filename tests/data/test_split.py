import dataclasses

import pytest
import torch

from gradflip._errors import UsageError
from gradflip.data import Split


def split(**changes):
    values = {
        "x_train": torch.randn(4, 9, generator=torch.Generator().manual_seed(0)),
        "y_train": torch.tensor([-1.0, 1.0, 1.0, -1.0]),
        "x_test": torch.ones(2, 9),
        "y_test": torch.tensor([1.0, -1.0]),
        "name": "made",
        "classes": (0, 1),
        "size": 3,
    }
    return Split(**(values | changes))


def test_a_split_knows_its_dimension_and_is_frozen():
    made = split()
    assert made.dim == 9
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.size = 4
    assert made != split()  # by identity: comparing tensors has no single answer


def test_to_changes_dtype_and_keeps_the_rest():
    made = split()
    moved = made.to(dtype=torch.float64)
    assert {moved.x_train.dtype, moved.y_train.dtype, moved.x_test.dtype, moved.y_test.dtype} == {torch.float64}
    assert torch.equal(moved.x_train.float(), made.x_train)
    assert made.x_train.dtype == torch.float32
    assert (moved.name, moved.classes, moved.size) == ("made", (0, 1), 3)
    assert made.to().x_train is made.x_train


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y_train": torch.tensor([-1.0, 3.0, 1.0, 0.0])}, r"^y_train must hold only -1 and \+1, got 3\.0\.$"),
        ({"y_test": torch.tensor([0.0, 1.0])}, r"^y_test must hold only -1 and \+1, got 0\.0\.$"),
        ({"y_test": torch.tensor([1.0, torch.nan])}, r"^y_test must hold only -1 and \+1, got nan\.$"),
        ({"x_train": torch.full((4, 9), torch.inf)}, r"^x_train must be finite, got inf\.$"),
        ({"x_test": torch.full((2, 9), torch.nan)}, r"^x_test must be finite, got nan\.$"),
        ({"x_train": torch.ones(4)}, r"^x_train must have shape \(n, d\) with n, d >= 1, got \(4,\)\.$"),
        ({"x_test": torch.ones(0, 9)}, r"^x_test must have shape \(n, d\) with n, d >= 1, got \(0, 9\)\.$"),
        ({"x_test": torch.ones(2, 8)}, r"^x_test must have the 9 columns of x_train, got 8\.$"),
        ({"y_train": torch.ones(3)}, r"^y_train must have shape \(4,\), a label for each input, got \(3,\)\.$"),
        ({"y_train": torch.ones(4, 1)}, r"^y_train must have shape \(4,\), a label for each input, got \(4, 1\)\.$"),
        ({"y_train": torch.ones(4).long()}, r"^y_train must have a floating-point dtype, got torch\.int64\.$"),
        ({"x_train": torch.ones(4, 9).long()}, r"^x_train must have a floating-point dtype, got torch\.int64\.$"),
        ({"x_test": torch.ones(2, 9).double()}, r"^x_test must have the dtype of x_train, torch\.float32, got .*64\.$"),
        ({"x_test": torch.ones(2, 9).to("meta")}, r"^x_test must be on the device of x_train, cpu, got meta\.$"),
        ({"y_train": [-1, 1, 1, -1]}, r"^y_train must be a torch\.Tensor, got list\.$"),
    ],
)
def test_what_is_no_split_is_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        split(**changes)
