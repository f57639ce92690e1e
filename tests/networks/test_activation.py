"""Activations: values, derivatives, bounds, and what a user may state about one."""

import math

import pytest
import torch

from cases import SMOOTH, hard_tanh
from gradflip import Activation, UsageError
from gradflip.networks import ACTIVATIONS, activation

ALL = [*ACTIVATIONS, "leaky_relu(0.2)", "leaky_relu(-0.5)"]
DEFINITIONS = {
    "relu": lambda z: max(z, 0.0),
    "leaky_relu": lambda z: z if z > 0 else 0.01 * z,
    "leaky_relu(0.2)": lambda z: z if z > 0 else 0.2 * z,
    "leaky_relu(-0.5)": lambda z: z if z > 0 else -0.5 * z,
    "abs": abs,
    "identity": lambda z: z,
    "tanh": math.tanh,
    "erf": math.erf,
    "gelu": lambda z: 0.5 * z * (1 + math.erf(z / math.sqrt(2))),
    "softplus": lambda z: max(z, 0.0) + math.log1p(math.exp(-abs(z))),
    "swish": lambda z: z / (1 + math.exp(-z)),
    "sin": math.sin,
}


@pytest.mark.parametrize("name", ALL)
def test_an_activation_is_its_definition(name):
    z = torch.linspace(-9, 9, 301, dtype=torch.float64)
    expected = torch.tensor([DEFINITIONS[name](float(one)) for one in z], dtype=torch.float64)
    atol = 3e-9 if name == "softplus" else 1e-14  # torch's softplus is linear beyond 20
    torch.testing.assert_close(activation(name)(z), expected, rtol=1e-13, atol=atol)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", ALL)
def test_the_derivative_is_that_of_autograd(name, dtype):
    z = torch.linspace(-9, 9, 1800, dtype=dtype).requires_grad_()  # even: 0, a kink, is not on it
    sigma = activation(name)
    (expected,) = torch.autograd.grad(sigma(z).sum(), z)
    derivative = sigma.derivative(z.detach())
    assert derivative.dtype == dtype
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(derivative, expected, rtol=20 * eps, atol=20 * eps)


@pytest.mark.parametrize("name", ALL)
def test_the_bound_on_the_slope_holds_and_is_tight(name):
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    steepest = float(activation(name).derivative(z).abs().max())
    assert steepest <= activation(name).lipschitz * (1 + 1e-14)
    assert steepest >= 0.999 * activation(name).lipschitz


@pytest.mark.parametrize("name", SMOOTH)
def test_the_bound_on_the_curvature_holds_and_is_tight(name):
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64).requires_grad_()
    (bend,) = torch.autograd.grad(activation(name).derivative(z).sum(), z)
    most = float(bend.abs().max())
    assert most <= activation(name).curvature * (1 + 1e-12)
    assert most >= 0.999 * activation(name).curvature


@pytest.mark.parametrize("name", ALL)
def test_kinks_and_slopes_describe_the_function(name):
    sigma = activation(name)
    assert sigma.piecewise_linear == (name not in SMOOTH)
    assert sigma.homogeneous == (name not in SMOOTH)
    if sigma.piecewise_linear:
        z = torch.linspace(-5, 5, 1000, dtype=torch.float64)
        slope = torch.full_like(z, sigma.slopes[0])
        for kink, after in zip(sigma.kinks, sigma.slopes[1:], strict=True):
            slope[z > kink] = after
        torch.testing.assert_close(sigma.derivative(z), slope, rtol=1e-15, atol=0)


def test_only_what_scales_with_its_input_is_homogeneous():
    assert not hard_tanh().homogeneous
    shifted = Activation("shifted", lambda z: torch.relu(z) + 1, lambda z: (z > 0).to(z.dtype), (0.0,), (0.0, 1.0))
    assert not shifted.homogeneous
    assert shifted.lipschitz == 1.0


def test_the_slope_of_a_leaky_relu_is_kept_to_the_last_digit():
    third = activation(f"leaky_relu({1 / 3!r})")
    assert third.slopes == (1 / 3, 1.0)
    assert activation(third.name).slopes == (1 / 3, 1.0)
    assert activation("leaky_relu(0.01)") is activation("leaky_relu")
    assert activation("leaky_relu(0.2)").name == "leaky_relu(0.2)"


def test_an_activation_is_taken_as_it_is():
    mine = hard_tanh()
    assert activation(mine) is mine


def relu_like(**form) -> Activation:
    return Activation("mine", torch.relu, lambda z: (z > 0).to(z.dtype), **form)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"kinks": (0.0,)}, "activation 'mine' has kinks but no slopes; give one slope more than kinks"),
        ({"kinks": (0.0,), "slopes": (1.0,)}, "must have one slope more than kinks, got 1 slopes for 1 kinks"),
        (
            {"kinks": (1.0, 0.0), "slopes": (0.0, 0.0, 1.0)},
            r"kinks of activation 'mine' must increase, got \(1\.0, 0\.0\)",
        ),
        (
            {"kinks": (0.0,), "slopes": (0.0, 2.0)},
            r"states slope 2\.0 between 0\.0 and 2\.0, but its function rises by 1 there",
        ),
        (
            {"kinks": (0.0,), "slopes": (0.01, 1.0)},
            r"states slope 0\.01 between -1000\.0 and -30\.0, but its function rises by 0",
        ),
        ({"slopes": (1.0,)}, r"states slope 1\.0 between"),
    ],
)
def test_a_shape_that_is_not_that_of_the_function_is_an_error(form, message):
    with pytest.raises(UsageError, match=message):
        relu_like(**form)


def test_a_kink_left_out_far_from_the_others_is_an_error():
    with pytest.raises(UsageError, match="states slope 1.0 between"):
        Activation("relu6", lambda z: z.clamp(0, 6), lambda z: ((z > 0) & (z < 6)).to(z.dtype), (0.0,), (0.0, 1.0))


def test_a_curve_between_its_kinks_is_an_error():
    curve = Activation("curve", lambda z: z.clamp(-1, 1) ** 3, lambda z: 3 * z**2 * (z.abs() < 1))
    with pytest.raises(UsageError, match="states slope 1.0 between"):
        Activation("curve", curve.function, curve.derivative, (-1.0, 1.0), (0.0, 1.0, 0.0))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rleu", r"unknown activation 'rleu'; did you mean 'relu'\? There are: relu, leaky_relu, abs, identity"),
        ("leaky_relu(x)", r"activation must look like 'leaky_relu\(0\.2\)', got 'leaky_relu\(x\)'"),
        ("leaky_relu(inf)", r"activation must look like 'leaky_relu\(0\.2\)', got 'leaky_relu\(inf\)'"),
        ("leaky_relu(nan)", r"activation must look like 'leaky_relu\(0\.2\)', got 'leaky_relu\(nan\)'"),
    ],
)
def test_an_unknown_name_is_an_error_that_names_the_nearest(name, message):
    with pytest.raises(UsageError, match=message):
        activation(name)
