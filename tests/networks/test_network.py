"""What every kind of network offers: dim, dtype, device, value, value_and_gradient."""

import pytest
import torch

from gradflip import RandomNetwork, StreamedTwoLayer, TwoLayer
from gradflip.networks import ACTIVATIONS, Activation, Network
from tensors import normal

NETWORKS = [
    TwoLayer.random(5, 40, bias=True, output_bias=True, dtype=torch.float32),
    TwoLayer.random(5, 40, activation="tanh", dtype=torch.float64),
    StreamedTwoLayer(5, 40, bias=True, output_bias=True, dtype=torch.float64),
    StreamedTwoLayer(5, 40, activation="gelu", dtype=torch.float32),
    RandomNetwork([5, 40, 30], "softplus"),
]


@pytest.mark.parametrize("network", NETWORKS, ids=[f"{type(n).__name__}-{i}" for i, n in enumerate(NETWORKS)])
def test_value_and_gradient_are_those_of_the_network(network):
    assert isinstance(network, Network)
    x = normal(7, network.dim, seed=1).to(network.dtype)
    value, gradient = network.value_and_gradient(x)
    assert (value.dtype, gradient.dtype, x.device) == (network.dtype, network.dtype, network.device)
    assert (value.shape, gradient.shape) == ((7,), (7, 5))
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if network.dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-12}
    torch.testing.assert_close(network.value(x), value, **tolerance)
    if network.dtype == torch.float64 and not isinstance(network, RandomNetwork):
        h = 1e-6 * torch.eye(5).double()
        rise = torch.stack([network.value(x + step) - network.value(x - step) for step in h], dim=1) / 2e-6
        torch.testing.assert_close(gradient, rise, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("width", [1, 40, 700])
@pytest.mark.parametrize("form", [{"activation": "tanh"}, {"bias": True, "output_bias": True, "scaling": "sqrt-d"}])
def test_a_streamed_network_has_the_values_and_gradients_of_the_stored_one(width, form, monkeypatch):
    monkeypatch.setattr("gradflip.networks._streamed._NUMBERS", 64 * 6)
    network, x = StreamedTwoLayer(6, width, seed=2, dtype=torch.float64, **form), normal(9, 6, seed=3)
    for own, stored in zip(network.value_and_gradient(x), network.stored().value_and_gradient(x), strict=True):
        torch.testing.assert_close(own, stored, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(network.value(x), network.stored()(x), rtol=1e-12, atol=1e-13)


def test_value_and_gradient_of_a_stored_network_are_its_value_and_its_gradient_to_the_last_bit():
    network, x = TwoLayer.random(6, 90, bias=True, activation="swish", dtype=torch.float32), normal(3, 4, 6, seed=3)
    value, gradient = network.value_and_gradient(x)
    assert torch.equal(value, network(x)) and torch.equal(gradient, network.gradient(x))


# The shape of an activation


def test_relu_and_leaky_relu_bend_at_zero_and_only_relu_is_relu():
    assert [name for name, sigma in ACTIVATIONS.items() if sigma.bends_at_zero] == ["relu", "leaky_relu"]
    assert [name for name, sigma in ACTIVATIONS.items() if sigma.is_relu] == ["relu"]


def test_relu_is_told_by_its_shape_and_not_by_its_name():
    relu = {"kinks": (0.0,), "slopes": (0.0, 1.0)}
    own = Activation("own", torch.relu, lambda z: (z > 0).to(z.dtype), **relu)
    right = Activation("right", torch.relu, lambda z: (z >= 0).to(z.dtype), **relu)
    raised = Activation("raised", lambda z: torch.relu(z) + 1, lambda z: (z > 0).to(z.dtype), **relu)
    assert (own.is_relu, right.is_relu, raised.is_relu) == (True, False, False)


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_left_slopes_are_the_derivative(name):
    z, sigma = torch.tensor([-2.0, -0.0, 0.0, 1e-30, 3.0]), ACTIVATIONS[name]
    expected = sigma.derivative(z)
    torch.testing.assert_close(sigma.left_slopes(z, z), expected, rtol=1e-7, atol=1e-8)
