"""One check of each kind: what it takes, and the sentence with which it refuses the rest."""

import math

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from gradflip import RandomNetwork, StreamedTwoLayer, TwoLayer, UsageError, attack_steps, flip, pgd
from gradflip._checks import finite, one_of, positive, positive_int
from tensors import normal

THREES = [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3), torch.tensor(3, dtype=torch.int8)]


@pytest.mark.parametrize("value", THREES, ids=repr)
def test_an_integer_of_any_kind_is_a_plain_one(value):
    number = positive_int("steps", value)
    assert (type(number), number) == (int, 3)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (-2, "-2"),
        (np.int64(0), "0"),
        (True, "True"),
        (2.0, "2.0"),
        (math.nan, "nan"),
        ("3", "'3' of type str"),
        (None, "None of type NoneType"),
        ([3], "[3] of type list"),
        (np.bool_(True), "np.True_ of type bool"),
        (torch.tensor([3]), "tensor([3]) of type Tensor"),
        (torch.tensor(3.0), "tensor(3.) of type Tensor"),
    ],
)
def test_what_is_no_positive_integer_is_refused(value, said):
    with pytest.raises(UsageError) as caught:
        positive_int("steps", value, hint="; it counts")
    assert str(caught.value) == f"steps must be a positive integer, got {said}; it counts."


@pytest.mark.parametrize("value", [0.5, np.float64(0.5), np.float32(0.5), np.array(0.5), torch.tensor(0.5)], ids=repr)
def test_a_number_of_any_kind_is_a_plain_one(value):
    number = positive("epsilon", value)
    assert (type(number), number) == (float, 0.5)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (-0.5, "-0.5"),
        (math.inf, "inf"),
        (torch.tensor(math.nan), "nan"),
        (True, "True"),
        ("1", "'1' of type str"),
        (1j, "1j of type complex"),
        (torch.ones(2), "tensor([1., 1.]) of type Tensor"),
    ],
)
def test_what_is_not_positive_and_finite_is_refused(value, said):
    with pytest.raises(UsageError) as caught:
        positive("epsilon", value)
    assert str(caught.value) == f"epsilon must be positive and finite, got {said}."


def test_a_name_is_one_of_a_few():
    one_of("top", "sign", ("sign", "gaussian"))
    for value in ("signs", None, 3):
        with pytest.raises(UsageError) as caught:
            one_of("top", value, ("sign", "gaussian"))
        assert str(caught.value) == f"top must be 'sign' or 'gaussian', got {value!r}."


def test_entries_that_are_not_finite_are_counted():
    finite("x", torch.zeros(0, 3))
    finite("x", torch.ones(2, 3))
    with pytest.raises(UsageError, match=r"^x must be finite, got 2 entries that are NaN or infinite\.$"):
        finite("x", torch.tensor([[1.0, math.nan], [-math.inf, 0.0]]))


def test_public_functions_take_the_numbers_of_numpy_and_torch():
    five, half = np.int64(5), torch.tensor(0.5)
    try:
        TwoLayer.random(five, 20)
    except TypeCheckError:
        pytest.skip("in this run the annotations are checked, which say int")
    network, x = TwoLayer.random(five, torch.tensor(20), dtype=torch.float64), normal(4, 5, seed=1)
    assert torch.equal(network.W, TwoLayer.random(5, 20, dtype=torch.float64).W)
    assert StreamedTwoLayer(five, np.int32(20)).width == 20
    assert torch.equal(flip(network, x, block=np.int64(2)).step, flip(network, x, block=2).step)
    y = network(x).sign()
    assert torch.equal(pgd(network, x, y, half, steps=five).x, pgd(network, x, y, 0.5, steps=5).x)
    assert torch.equal(attack_steps(network, x, half, five).values, attack_steps(network, x, 0.5, 5).values)
    random = RandomNetwork([five, np.int64(9)], weight_variance=np.float32(2.0), seed=1)
    assert torch.equal(random(x), RandomNetwork([5, 9], weight_variance=2.0, seed=1)(x))
