"""The network of the published runs: trained by others, flipped by their line search in steps of 0.001."""

import math

import numpy as np
import pytest
import torch

from gradflip import FlipStatus, LazyBall, TwoLayer, flip


@pytest.fixture(scope="module")
def published(reference_network):
    with np.load(reference_network) as file:
        return {
            key: torch.from_numpy(file[key]) for key in file.files if file[key].dtype.kind in "fib" and file[key].ndim
        }


@pytest.fixture(scope="module")
def network(published):
    a = published["a"].double() * math.sqrt(1000)
    return TwoLayer(published["W"].double(), a, published["b"].double(), float(published["a_bias"]))


def test_values_and_gradient_norms_are_the_published_ones(published, network):
    x = published["X_test"].double()
    assert float((network(x) - published["f"].double()).abs().max()) < 1e-5
    norms = network.gradient(x).norm(dim=1)
    assert float((norms / published["gnorm"].double() - 1).abs().max()) < 1e-5
    found = flip(network, x)
    assert float((found.value - published["f"].double()).abs().max()) < 1e-5
    assert float((found.gradient_norm / published["gnorm"].double() - 1).abs().max()) < 1e-5


def test_perturbations_are_those_of_the_published_line_search(published, network):
    correct = published["correct"]
    found = flip(network, published["X_test"].double())
    assert torch.equal(correct, found.value.sign() == 2 * published["y_test"] - 1) or torch.equal(
        correct, found.value.sign() == published["y_test"]
    )
    assert set(found.status[correct].tolist()) == {FlipStatus.FLIPPED}
    above = found.perturbation[correct] - (published["delta"][correct] - 0.001)
    within = (above > 0) & (above <= 0.001)
    assert float(within.double().mean()) >= 0.99
    assert bool(((above > -0.001) & (above <= 0.002)).all())


def test_the_deviation_is_the_published_one(published, network):
    start = TwoLayer(published["W0"].double(), network.a, published["b0"].double(), network.output_bias)
    ball = LazyBall(start, 10.0)
    assert math.sqrt(1000) * ball.deviation(network) == pytest.approx(10.064, abs=5e-4)
    assert not ball.contains(network)  # it is the first one outside
