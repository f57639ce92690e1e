"""One check of each kind: what it takes, and the sentence with which it refuses the rest."""

import math

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from gradflip import (
    LazyBall,
    RandomNetwork,
    StreamedTwoLayer,
    TwoLayer,
    UsageError,
    attack_steps,
    certify,
    flip,
    gradient_ray,
    pgd,
    train,
)
from gradflip._checks import array, examples, finite, inputs, one_of, positive, positive_int
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


CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, ">f4"])
def test_a_numpy_array_is_a_tensor_of_its_own_memory(dtype):
    given = np.arange(6, dtype=dtype).reshape(2, 3)[:, ::-1]
    given.flags.writeable = False
    taken = array("x", given)
    assert np.array_equal(taken.numpy(), given)
    taken += 1
    assert given[0, 0] == 2


def test_a_tensor_is_taken_without_its_graph():
    x = torch.ones(2, 3, requires_grad=True)
    assert not array("x", x).requires_grad
    assert array("x", x).data_ptr() == x.data_ptr()


@pytest.mark.parametrize(
    ("value", "said"), [([[1.0]], "list"), (None, "NoneType"), (np.array(["1"]), "an array of <U1"), (2.0, "float")]
)
def test_what_is_no_array_of_numbers_is_refused(value, said):
    with pytest.raises(UsageError) as caught:
        array("x", value)
    assert str(caught.value) == f"x must be a tensor or a numpy array of numbers, got {said}."


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (torch.ones(3), "start must have shape (n, 4), one input a row, got (3,)."),
        (np.ones((2, 3)), "start must have shape (n, 4), one input a row, got (2, 3)."),
        (torch.ones(2, 4, device="meta"), "start must be on the device of the network, cpu, got meta."),
        (torch.full((2, 4), math.nan), "start must be finite, got 8 entries that are NaN or infinite."),
    ],
)
def test_inputs_that_do_not_fit_a_network_are_refused(x, said):
    with pytest.raises(UsageError) as caught:
        inputs(x, 4, CPU, name="start")
    assert str(caught.value) == said


def test_inputs_keep_their_type_and_may_be_none():
    assert inputs(torch.ones(0, 4, dtype=torch.float16), 4, CPU).dtype == torch.float16
    assert torch.equal(inputs(np.ones((2, 4)), 4, CPU), torch.ones(2, 4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (torch.ones(0, 4), torch.ones(0), "points must have shape (n, 4) with n at least 1, got (0, 4)."),
        (torch.ones(2, 3), torch.ones(2), "points must have shape (n, 4) with n at least 1, got (2, 3)."),
        (torch.ones(2, 4), torch.ones(3), "signs must have one label per row of points, 2, got shape (3,)."),
        (torch.ones(2, 4), np.zeros(2), "signs must hold only -1 and +1, got 0."),
        (torch.ones(2, 4), torch.tensor([1.0, math.nan]), "signs must hold only -1 and +1, got nan."),
        (torch.full((2, 4), math.inf), torch.ones(2), "points must be finite, got 8 NaN or infinite entries."),
        (torch.ones(2, 4, device="meta"), torch.ones(2), "points must be on the device of the network, cpu, got meta."),
        (torch.ones(2, 4), [1.0, 1.0], "signs must be a tensor or a numpy array of numbers, got list."),
    ],
)
def test_examples_that_do_not_fit_a_network_are_refused(x, y, said):
    with pytest.raises(UsageError) as caught:
        examples(x, y, 4, CPU, names=("points", "signs"))
    assert str(caught.value) == said


def test_examples_keep_their_types_and_any_dimension_will_do_for_a_function():
    points, labels = examples(np.ones((2, 3)), torch.tensor([1, -1]), None, None)
    assert (points.shape, points.dtype, labels.dtype) == ((2, 3), torch.float64, torch.int64)
    with pytest.raises(UsageError, match=r"x must have shape \(n, d\) with n at least 1, got \(2,\)"):
        examples(torch.ones(2), torch.ones(2), None, None)


def test_public_functions_take_the_arrays_of_numpy():
    network, x = TwoLayer.random(5, 20, dtype=torch.float64), normal(4, 5, seed=1)
    y, streamed = network(x).sign(), StreamedTwoLayer(5, 20, dtype=torch.float64)
    try:
        flip(network, x.numpy())
    except TypeCheckError:
        pytest.skip("in this run the annotations are checked, which say Tensor")
    random, ball = RandomNetwork([5, 9], seed=1), LazyBall(network, np.float64(0.5))
    assert torch.equal(network(x.numpy()), network(x))
    for each in (network, streamed):
        assert torch.equal(flip(each, x.numpy()).step, flip(each, x).step)
    assert torch.equal(flip(RandomNetwork([5, 9], seed=1), x.numpy()).step, flip(random, x).step)
    assert torch.equal(gradient_ray(network, x.numpy()).u, gradient_ray(network, x).u)
    assert torch.equal(streamed.value(x.numpy()), streamed.value(x))
    assert torch.equal(pgd(network, x.numpy(), y.numpy(), 0.5).x, pgd(network, x, y, 0.5).x)
    assert torch.equal(ball.max_value(x.numpy(), y.numpy()), ball.max_value(x, y))
    fit = train(network, x.numpy(), y.numpy(), max_epochs=2)
    assert torch.equal(fit.network.W, train(network, x, y, max_epochs=2).network.W)
    budgets = np.full(4, 0.5)
    whole, numbers = certify(ball, x, y, 0.5), certify(ball, x.numpy(), y.numpy(), budgets, steps=np.int64(50))
    assert torch.equal(whole.bound, numbers.bound)
