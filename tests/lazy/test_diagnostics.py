"""Distances, sign changes and linearisation errors of two networks against their definitions."""

import math

import pytest
import torch

from cases import refused
from gradflip import LazyBall, TwoLayer
from gradflip.lazy import linearization_error, neuron_distances, sign_changes
from reference import deviation_by_loop, drift_by_loop
from tensors import normal


def moved(network0: TwoLayer, size: float, *, seed: int = 7) -> TwoLayer:
    """The network with other trained weights."""
    W = network0.W + size * normal(network0.width, network0.dim, seed=seed).to(network0.W.dtype)
    bias = None if network0.bias is None else network0.bias + size * normal(network0.width, seed=seed + 1)
    return TwoLayer(W, network0.a, bias, network0.output_bias, network0.activation, network0.scaling)


@pytest.mark.parametrize("form", [{}, {"bias": True, "output_bias": True}], ids=str)
@pytest.mark.parametrize("name", ["relu", "tanh", "sin"])
def test_diagnostics_are_their_definitions(name, form):
    network0 = TwoLayer.random(5, 20, activation=name, dtype=torch.float64, seed=3, **form)
    network, x = moved(network0, 0.3), normal(23, 5, seed=1)
    pairs, neurons, error = drift_by_loop(network, network0, x)
    assert 0 < pairs < neurons < 1
    assert sign_changes(network, network0, x) == (pytest.approx(pairs), pytest.approx(neurons))
    assert linearization_error(network, network0, x) == pytest.approx(error, rel=1e-9)
    distances = neuron_distances(network, network0)
    assert distances.shape == (20,)
    assert float(distances.max()) == pytest.approx(deviation_by_loop(network, network0), rel=1e-12)
    assert torch.equal(distances, LazyBall(network0, 1.0).deviations(network))


def test_nothing_changed_where_nothing_moved():
    network0 = TwoLayer.random(5, 20, dtype=torch.float32, seed=3)
    x = normal(9, 5, seed=1)
    assert sign_changes(network0, network0, x) == (0.0, 0.0)
    assert linearization_error(network0, network0, x) == 0.0
    assert float(neuron_distances(network0, network0).max()) == 0.0


def test_a_network_linear_in_its_weights_has_no_linearization_error():
    network0 = TwoLayer.random(5, 20, activation="identity", bias=True, dtype=torch.float64, seed=3)
    assert linearization_error(moved(network0, 2.0), network0, normal(9, 5, seed=1)) < 1e-13


def test_the_linearization_error_of_a_smooth_network_vanishes_with_the_distance():
    network0 = TwoLayer.random(5, 20, activation="tanh", dtype=torch.float64, seed=3)
    x = normal(9, 5, seed=1)
    errors = [linearization_error(moved(network0, size), network0, x) for size in (1e-2, 1e-3)]
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.1)


def test_diagnostics_do_not_depend_on_the_scaling():
    unit = TwoLayer.random(5, 20, bias=True, dtype=torch.float64, seed=3)
    network, x = moved(unit, 0.3), normal(23, 5, seed=1)
    other = unit.rescale("sqrt-d"), network.rescale("sqrt-d")
    scaled = math.sqrt(5) * x
    assert sign_changes(other[1], other[0], scaled) == sign_changes(network, unit, x)
    assert linearization_error(other[1], other[0], scaled) == pytest.approx(linearization_error(network, unit, x))
    torch.testing.assert_close(neuron_distances(other[1], other[0]), neuron_distances(network, unit))


def test_networks_that_cannot_be_compared_are_refused():
    network0 = TwoLayer.random(5, 20, seed=3)
    x = normal(4, 5, seed=1)
    with refused("the network must have the shape of network0"):
        neuron_distances(TwoLayer.random(5, 21), network0)
    with refused("the network must have the top weights of network0"):
        sign_changes(TwoLayer(network0.W, -network0.a), network0, x)
    with refused("the network and network0 must both have biases or both have none"):
        linearization_error(TwoLayer.random(5, 20, bias=True, seed=3), network0, x)
    with refused(r"x must have shape \(n, 5\) with n at least 1, got \(4, 4\)"):
        linearization_error(network0, network0, x[:, :4])
