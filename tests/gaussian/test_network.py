"""Networks at random initialisation: the same code for weights in memory and weights that are never built."""

import math

import pytest
import torch

from cases import refused
from gradflip import Activation, RandomNetwork, TwoLayer, UsageError

ACTIVATIONS = ["relu", "tanh", "abs", "gelu"]


def sphere(n: int, dim: int, seed: int = 0) -> torch.Tensor:
    x = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x * math.sqrt(dim) / x.norm(dim=1, keepdim=True)


def plain(network: RandomNetwork, x: torch.Tensor) -> torch.Tensor:
    """f from the matrices themselves, as autograd can differentiate it."""
    h = x
    for W in network.layers:
        h = network.activation(h @ W.to_dense().mT)
    return h @ network.a / math.sqrt(len(network.a))


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("widths", [[7, 12], [5, 9, 4, 11]])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_and_gradient_are_those_of_the_matrices(name, widths, implicit):
    network = RandomNetwork(widths, name, weight_variance=2.0, top="gaussian", seed=3, implicit=implicit)
    x = sphere(4, widths[0])
    value, gradient = network.value_and_gradient(x)
    moving = x.clone().requires_grad_()
    expected = plain(network, moving)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), moving)[0], rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(network(x), value, rtol=1e-12, atol=1e-14)
    assert torch.equal(network.gradient(x), network.gradient(x))


def test_an_implicit_two_layer_network_is_the_network_of_its_completed_matrix():
    network = RandomNetwork([6, 30], "gelu", seed=1)
    x = sphere(5, 6)
    value, gradient = network.value_and_gradient(x)
    stored = TwoLayer(network.layers[0].to_dense(), network.a, activation="gelu", scaling="sqrt-d")
    torch.testing.assert_close(stored(x), value)
    torch.testing.assert_close(stored.gradient(x), gradient)


def test_several_draws_are_independent_networks_with_inputs_of_their_own():
    draws = RandomNetwork([6, 11, 8], "tanh", draws=4, seed=5)
    x = torch.stack([sphere(3, 6, seed) for seed in range(4)])
    value, gradient = draws.value_and_gradient(x)
    assert value.shape == (4, 3) and gradient.shape == (4, 3, 6)
    for i in range(4):
        h = x[i]
        for W in draws.layers:
            h = torch.tanh(h @ W.to_dense()[i].mT)
        torch.testing.assert_close(h @ draws.a[i] / math.sqrt(8), value[i])
    assert len({round(float(v), 9) for v in draws(x[:1].expand(4, -1, -1))[:, 0]}) == 4


@pytest.mark.parametrize("implicit", [True, False])
def test_the_seed_decides_and_layers_and_top_have_streams_of_their_own(implicit):
    one, again, other = (RandomNetwork([5, 8, 7], seed=seed, implicit=implicit) for seed in (1, 1, 2))
    x = sphere(2, 5)
    assert torch.equal(one(x), again(x))
    assert not torch.equal(one(x), other(x))
    assert not torch.equal(one.layers[0].to_dense()[:7, :5], one.layers[1].to_dense()[:7, :5])
    deeper = RandomNetwork([5, 8, 7, 7], seed=1, implicit=implicit)
    assert torch.equal(deeper.a, one.a)


def test_weights_have_the_variance_asked_for():
    for variance in (1.0, 2.0):
        network = RandomNetwork([50, 400, 300], weight_variance=variance, implicit=False)
        for W, below in zip(network.layers, (50, 400), strict=True):
            entries = W.to_dense() * math.sqrt(below)
            z = ((entries**2).mean() / variance - 1) / math.sqrt(2 / entries.numel())
            assert abs(float(z)) < 4.5
    assert set(RandomNetwork([3, 50]).a.tolist()) == {-1.0, 1.0}
    assert len(set(RandomNetwork([3, 50], top="gaussian").a.tolist())) == 50


def test_a_network_far_beyond_memory_can_be_asked():
    network = RandomNetwork([200_000, 300_000, 100_000], "relu", seed=0)  # 700 GB of weights
    value, gradient = network.value_and_gradient(sphere(1, 200_000))
    assert bool(value.isfinite().all()) and 0.2 < float(gradient.norm()) < 2.0
    again = network(sphere(1, 200_000))
    torch.testing.assert_close(again, value, rtol=1e-10, atol=0)


SQUARE = Activation("square", torch.square, lambda z: 2 * z)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), r"widths must list the input dimension and at least one hidden width, such as \[100, 1000\], got \[\]"),
        (([5],), "at least one hidden width"),
        ((100,), "widths must list .* got 100"),
        (([5, 0],), r"widths must be positive integers, got 0 in \[5, 0\]"),
        (([5, 3.0],), r"widths must be positive integers, got 3.0 in"),
        (([5, -2],), "got -2 in"),
        (([5, 3], "rleu"), "rleu"),
        (([5, 3], torch.tanh), "activation must be a name such as 'relu' or an Activation with its derivative, got"),
        (([5, 3], "relu", 0.0), "weight_variance must be positive and finite, got 0.0"),
        (([5, 3], "relu", math.inf), "weight_variance must be positive and finite, got inf"),
        (([5, 3], "relu", 1.0, "signs"), "top must be 'sign' or 'gaussian', got 'signs'"),
        (([5, 3], "relu", 1.0, "sign", 0, True, 0), "draws must be a positive integer or None, got 0"),
        (([10**8, 10**8], "relu", 1.0, "sign", 0, False), r"need 8e\+16 bytes for explicit matrices, .* implicit=True"),
        (([10**12, 10], "relu"), r"need 1.6e\+13 bytes for its first two products with each matrix, .* smaller widths"),
    ],
)
def test_a_wrong_argument_is_named(arguments, message):
    with refused(message):
        RandomNetwork(*arguments)


def test_an_activation_of_ones_own_needs_its_derivative():
    assert RandomNetwork([4, 6], SQUARE)(sphere(2, 4)).shape == (2,)
    with refused("activation 'square' must have a derivative, a function of z, got None"):
        Activation("square", torch.square, None)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(3, 4), r"x must have shape \(n, 5\), one input a row, got \(3, 4\)"),
        (torch.ones(5), r"x must have shape \(n, 5\), one input a row, got \(5,\)"),
        (
            torch.tensor([[1.0, 2.0, math.nan, 4.0, math.inf]]),
            "x must be finite, got 2 entries that are NaN or infinite",
        ),
    ],
)
def test_a_wrong_input_is_named(x, message):
    with pytest.raises(UsageError, match=message):
        RandomNetwork([5, 8])(x)


def test_inputs_of_several_draws_have_a_batch_for_each():
    with pytest.raises(UsageError, match=r"x must have shape \(3, n, 5\), one input a row, got \(2, 1, 5\)"):
        RandomNetwork([5, 8], draws=3)(torch.ones(2, 1, 5))
