"""A certificate checked by other means: interval arithmetic against rational arithmetic, and claims that are false."""

import dataclasses
import math
import time
from fractions import Fraction

import numpy as np
import pytest
import torch

from cases import refused
from gradflip import Activation, Certificate, FileError, LazyBall, TwoLayer, certify, verify
from gradflip.certificates._certificate import prove
from gradflip.networks import ACTIVATIONS
from rational import FAMILIES, FORMS, LARGER, exactly, reference_function, small, sphere
from tensors import normal


def proof(network: TwoLayer, radius: float, x: torch.Tensor, y: torch.Tensor) -> Certificate:
    """The certificate of inputs that are not perturbed."""
    return prove(LazyBall(network, radius=radius), x, y, torch.ones_like(y), x)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bound_is_above_the_exact_maximum_and_tight(family):
    for seed in range(60):
        network, x, radius = small(family, seed)
        y = torch.tensor([1.0 - 2 * (seed % 2)], dtype=torch.float64)
        exact = exactly(network, reference_function(network), Fraction(radius) * LARGER, x, float(y))
        found = verify(proof(network, radius, x[None], y))
        assert Fraction(float(found.bound[0])) >= exact
        assert bool(found.verified[0]) == (found.bound[0] < 0)
        row = np.abs(network.W.numpy()) @ np.abs(x.numpy()) + (
            0 if network.bias is None else network.bias.abs().numpy()
        )
        scale = float(network.a.abs().numpy() @ row) / math.sqrt(network.width) + abs(network.output_bias or 0)
        slack = 2.0**-900 * max(1.0, float(network.a.abs().sum()))
        assert (
            Fraction(float(found.bound[0])) - exact <= Fraction(40 * 2**-52 * scale + slack) + Fraction(radius) / 10**6
        )


@pytest.mark.parametrize("name", [*ACTIVATIONS, "leaky_relu(-0.5)"])
def test_the_bound_is_that_of_the_other_path_for_every_built_in_activation(name):
    for bias in (False, True):
        W, a = 2 * normal(50, 6, seed=1), normal(50, seed=2)
        network = TwoLayer(W, a, normal(50, seed=3) if bias else None, 0.3 if bias else None, name)
        x, y = normal(30, 6, seed=4), torch.where(normal(30, seed=5) < 0, -1.0, 1.0).double()
        found = proof(network, 0.3, x, y)
        wider = LazyBall(network, radius=0.3 * (1 + 1e-5)).max_value(x, y).numpy()
        checked = verify(found)
        loose = 1e-7 if name == "softplus" else 1e-12
        assert (checked.bound >= wider - 1e-13 * float(a.abs().sum())).all()
        np.testing.assert_allclose(checked.bound, wider, rtol=0, atol=loose * float(a.abs().sum()))
        np.testing.assert_allclose(checked.bound, found.bound, rtol=0, atol=2 * loose * float(a.abs().sum()))


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_what_is_certified_is_verified_from_the_file(form, tmp_path):
    start = TwoLayer.random(30, 300, seed=2, dtype=torch.float32, **form)
    ball = LazyBall(start, 0.5)
    x = sphere(20, 30, 5)
    y = torch.where(ball.network0.to(dtype=torch.float64)(x) < 0, -1.0, 1.0)
    found = certify(ball, x, y, 0.9, steps=15)
    assert found.share > 0.5
    found.save(tmp_path / "c.safetensors")
    for checked in (verify(tmp_path / "c.safetensors"), verify(str(tmp_path / "c.safetensors")), verify(found)):
        assert checked.holds
        assert checked.verified.tolist() == checked.certified.tolist() == found.certified.tolist()


def test_a_false_claim_does_not_hold():
    start = TwoLayer.random(10, 100, seed=0, dtype=torch.float64)
    ball, x = LazyBall(start, 2.0), sphere(6, 10, 1)
    y = torch.where(start(x) < 0, -1.0, 1.0)
    honest = certify(ball, x, y, 0.01, steps=2)
    assert honest.share == 0.0
    assert verify(honest).holds
    false = dataclasses.replace(honest, certified=torch.ones(6, dtype=torch.bool), bound=-torch.ones(6).double())
    checked = verify(false)
    assert not checked.holds
    assert checked.verified.tolist() == [False] * 6


def test_the_distance_is_compared_exactly():
    start = TwoLayer(torch.tensor([[1.0, 0.0]]).double(), torch.ones(1).double(), activation="identity")
    x, y = torch.tensor([[0.5, 0.0]]).double(), torch.ones(1).double()
    at = torch.tensor([[-2.5, 4.0]]).double()  # at distance 5
    found = prove(LazyBall(start, radius=0.1), x, y, torch.tensor([5.0]).double(), at)
    assert float(found.bound[0]) < -1
    assert verify(found).verified.tolist() == [True]
    shorter = dataclasses.replace(found, epsilon=torch.tensor([math.nextafter(5.0, 0)], dtype=torch.float64))
    assert verify(shorter).verified.tolist() == [False]
    endless = dataclasses.replace(found, epsilon=torch.tensor([math.inf]).double())
    assert verify(endless).verified.tolist() == [False]


@pytest.mark.parametrize("sigma", ["relu", "tanh", "sin"])
def test_what_overflows_is_not_verified(sigma):
    start = TwoLayer(torch.full((3, 2), 1e200, dtype=torch.float64), -torch.ones(3).double(), activation=sigma)
    x = torch.full((1, 2), 1e150, dtype=torch.float64)
    for radius in (1.0, 1e300):
        assert verify(proof(start, radius, x, torch.ones(1).double())).verified.tolist() == [False]


def test_a_point_at_full_size_takes_about_a_second():
    start = TwoLayer.random(784, 10_000, seed=0, dtype=torch.float32)
    x = sphere(2, 784, 1)
    found = certify(LazyBall(start, 10.0), x, torch.where(start(x) < 0, -1.0, 1.0), 0.6, steps=5)
    begin = time.process_time()
    assert verify(found).holds
    assert (time.process_time() - begin) / 2 < 3  # 0.3 s on an idle core
    assert found.share == 1.0


def test_what_is_no_certificate_is_refused(tmp_path):
    with refused("certificate must be a Certificate or its file, got int"):
        verify(3)
    with pytest.raises(FileError, match="does not exist"):
        verify(tmp_path / "none.safetensors")
    mine = Activation("mine", torch.tanh, lambda z: 1 - torch.tanh(z) ** 2, lipschitz=1.0, turning=())
    with refused("verify knows the built-in activations, got 'mine'; use one of relu, abs"):
        verify(proof(TwoLayer.random(3, 4, activation=mine), 0.1, normal(1, 3, seed=0), torch.ones(1).double()))
