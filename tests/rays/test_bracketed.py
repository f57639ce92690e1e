"""The bracketed flip of smooth networks: a sign change, narrow, and the first where it says so."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from cases import PIECEWISE, SMOOTH
from gradflip import (
    Activation,
    Bracketed,
    Certainty,
    FlipStatus,
    PiecewiseLinear,
    Ray,
    TwoLayer,
    UsageError,
    flip,
    gradient_ray,
)
from reference import dense_points
from tensors import normal


def assert_bracketed(ray: Ray, found, rtol: float) -> None:
    turned = found.status == FlipStatus.FLIPPED
    rays, lower, upper = ray.rows(turned), found.lower[turned], found.upper[turned]
    assert bool((rays.phi(lower) >= 0).all())
    assert bool((rays.phi(upper) < 0).all())
    assert bool((upper - lower <= rtol * upper).all())
    assert bool((lower < upper).all())
    assert torch.equal(found.step[turned], upper)


def first_sign_change_of_a_scan(ray: Ray, i: int, end: float, count: int) -> float:
    """The first of `count` steps at which phi is negative beyond rounding; inf if none is."""
    steps = dense_points(end, count)
    for part in steps.split(2000):
        one = ray.rows(torch.full((len(part),), i))
        below = one.phi(part) < -one.rounding(part)
        if bool(below.any()):
            return float(part[below][0])
    return math.inf


@pytest.mark.parametrize("rtol", [1e-12, 1e-6, 1e-2])
@pytest.mark.parametrize("name", SMOOTH)
def test_a_bracket_is_a_sign_change_no_wider_than_asked(name, rtol):
    turned = 0
    for seed, (width, bias) in enumerate([(1, True), (5, False), (40, True), (300, False)]):
        network = TwoLayer.random(
            6, width, activation=name, bias=bias, output_bias=bias, dtype=torch.float64, seed=seed
        )
        x = normal(60, 6, seed=seed)
        found = flip(network, x, finder=Bracketed(rtol=rtol))
        assert_bracketed(gradient_ray(network, x), found, rtol)
        turned += int((found.status == FlipStatus.FLIPPED).sum())
    assert turned > 60


@pytest.mark.parametrize("name", SMOOTH)
def test_what_is_certified_first_is_the_first_of_a_dense_scan(name):
    certified = 0
    for seed, width in enumerate([2, 8, 50]):
        network = TwoLayer.random(4, width, activation=name, bias=True, dtype=torch.float64, seed=seed + 20)
        x = normal(12, 4, seed=seed)
        ray, found = gradient_ray(network, x), flip(network, x)
        first = found.certainty == Certainty.CERTIFIED_FIRST
        assert set(found.status[first].tolist()) <= {FlipStatus.FLIPPED}
        for i in first.nonzero()[:, 0].tolist():
            assert first_sign_change_of_a_scan(ray, i, float(found.lower[i]) * (1 - 1e-8), 20_000) == math.inf
            certified += 1
    assert certified > 12


def test_an_earlier_flip_that_the_search_jumped_over_is_not_called_first():
    jumped = 0
    for seed in range(100):
        network = TwoLayer.random(2, 3, activation="sin", dtype=torch.float64, seed=seed)
        network = TwoLayer(8 * network.W, network.a, activation="sin")
        x = normal(1, 2, seed=seed)
        coarse = Bracketed(growth=2.0)
        found, ray = flip(network, x, finder=coarse), gradient_ray(network, x)
        if found.status[0] != FlipStatus.FLIPPED:
            continue
        earlier = first_sign_change_of_a_scan(ray, 0, float(found.lower) * (1 - 1e-8), 1000)
        if earlier < math.inf:
            jumped += 1
            assert found.certainty.tolist() == [Certainty.BRACKETED]
    assert jumped > 3


def test_a_shallow_flip_that_the_search_jumped_over_is_not_called_first():
    # phi = sin(u - s v) + 0.999 is below zero, by 0.001 at most, in one twentieth of each period
    network = TwoLayer(torch.ones(1, 1).double(), torch.ones(1).double(), None, 0.999, "sin")
    x = torch.linspace(-1, 3, 200, dtype=torch.float64)[:, None]
    ray, found = gradient_ray(network, x), flip(network, x)
    jumped = 0
    for i in (found.status == FlipStatus.FLIPPED).nonzero()[:, 0].tolist():
        if first_sign_change_of_a_scan(ray, i, float(found.lower[i]) * (1 - 1e-8), 4000) < math.inf:
            jumped += 1
            assert found.certainty[i] == Certainty.BRACKETED
    assert jumped > 20


def test_few_marches_certify_less_and_change_no_step():
    network, x = TwoLayer.random(6, 40, activation="sin", dtype=torch.float64, seed=1), normal(200, 6, seed=2)
    many, none = flip(network, x), flip(network, x, finder=Bracketed(max_marches=0))
    assert torch.equal(many.step, none.step)
    assert set(none.certainty.tolist()) == {Certainty.BRACKETED}
    assert float((many.certainty == Certainty.CERTIFIED_FIRST).double().mean()) > 0.5


def test_the_march_ends_where_it_reaches_the_bracket(monkeypatch):
    calls = []
    phi = Ray.phi
    monkeypatch.setattr(Ray, "phi", lambda ray, s: calls.append(len(s)) or phi(ray, s))
    found = flip(TwoLayer.random(6, 200, activation="tanh", dtype=torch.float64, seed=1), normal(1, 6, seed=2))
    assert found.certainty.tolist() == [Certainty.CERTIFIED_FIRST]
    assert len(calls) < 40  # without an end, 64 for the march alone


def test_a_network_without_a_sign_change_is_not_found():
    positive = TwoLayer(normal(5, 3, seed=1), torch.ones(5).double(), activation="softplus")
    found = flip(positive, normal(10, 3, seed=2))
    assert set(found.status.tolist()) == {FlipStatus.NOT_FOUND}
    assert set(found.certainty.tolist()) == {Certainty.BRACKETED}
    assert found.step.isinf().all()
    assert found.perturbation.isinf().all()
    assert found.to_frame()["status"].to_list() == ["not_found"] * 10


def test_a_relu_network_that_only_dies_is_not_found_by_a_search():
    network = TwoLayer(normal(4, 3, seed=1), torch.ones(4).double())
    found = flip(network, normal(40, 3, seed=2), finder=Bracketed())
    assert set(found.status.tolist()) <= {FlipStatus.NOT_FOUND, FlipStatus.BOUNDARY}
    assert FlipStatus.NOT_FOUND in found.status


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_network_that_ends_in_rounding_noise_is_not_found(sign):
    # relu(1 - s) +- (0.1 + 0.2 - 0.3): nothing but rounding beyond 1, below 0 for one of the signs
    one = torch.ones(1, dtype=torch.float64)
    u, v = torch.tensor([[1.0, 0.1, 0.2, 0.3]]).double(), torch.tensor([[1.0, 0.0, 0.0, 0.0]]).double()
    u[0, 1:] = torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
    ray = Ray.of(u, v, torch.tensor([1.0, sign, sign, -sign]).double(), 0.0, PIECEWISE["relu"][0], one, one)
    assert abs(float(ray.phi(2 * one))) < 1e-16
    assert Bracketed()(ray).status.tolist() == [FlipStatus.NOT_FOUND]


@pytest.mark.parametrize("name", SMOOTH)
def test_most_flips_of_wide_networks_are_certified_first(name):
    network = TwoLayer.random(20, 200, activation=name, bias=True, dtype=torch.float64, seed=3)
    found = flip(network, torch.nn.functional.normalize(normal(200, 20, seed=4)))
    first = found.certainty[found.status == FlipStatus.FLIPPED] == Certainty.CERTIFIED_FIRST
    assert float(first.double().mean()) > 0.95


def test_boundary_and_flat_are_seen_by_the_search_too():
    network = TwoLayer(torch.tensor([[1.0], [1.0]]).double(), torch.tensor([1.0, -1.0]).double(), activation="tanh")
    assert flip(network, torch.ones(1, 1).double()).status.tolist() == [FlipStatus.BOUNDARY]
    constant = TwoLayer(network.W, network.a, None, 0.5, "tanh")
    found = flip(constant, torch.ones(1, 1).double())
    assert (found.status.tolist(), found.certainty.tolist()) == ([FlipStatus.FLAT], [Certainty.EXACT])


@pytest.mark.parametrize("name", PIECEWISE)
def test_on_piecewise_linear_networks_a_bracket_holds_a_flip_that_is_not_before_the_exact_one(name):
    network = TwoLayer.random(5, 30, activation=PIECEWISE[name][0], bias=True, dtype=torch.float64, seed=4)
    x = normal(80, 5, seed=5)
    exact, searched = flip(network, x, finder=PiecewiseLinear()), flip(network, x, finder=Bracketed())
    both = searched.status == FlipStatus.FLIPPED
    assert int(both.sum()) > 20
    assert set(exact.status[both].tolist()) == {FlipStatus.FLIPPED}
    assert bool((exact.step[both] <= searched.step[both] * (1 + 1e-11)).all())
    assert float(torch.isclose(exact.step[both], searched.step[both], rtol=1e-11, atol=0).double().mean()) > 0.9
    assert set(searched.certainty[both].tolist()) == {Certainty.BRACKETED}  # no bound on the curvature


def test_the_first_guess_of_a_linear_network_is_the_flip_itself():
    # the first step tried is on the zero but for rounding, on either side of it
    for seed in range(40):
        network = TwoLayer.random(5, 30, activation="identity", dtype=torch.float64, seed=seed)
        x = normal(20, 5, seed=seed)
        ray, found = gradient_ray(network, x), flip(network, x, finder=Bracketed())
        assert set(found.status.tolist()) == {FlipStatus.FLIPPED}
        assert_bracketed(ray, found, 1e-12)
        torch.testing.assert_close(found.step, ray.value.abs() / ray.gradient_norm**2, rtol=1e-11, atol=0)


def test_without_a_bound_on_the_curvature_nothing_is_certified():
    unknown = Activation(
        "cubic_tanh", lambda z: torch.tanh(z) ** 3, lambda z: 3 * torch.tanh(z) ** 2 / torch.cosh(z) ** 2
    )
    network, x = TwoLayer.random(5, 30, activation=unknown, dtype=torch.float64, seed=4), normal(80, 5, seed=5)
    found = flip(network, x)
    assert int((found.status == FlipStatus.FLIPPED).sum()) > 20
    assert set(found.certainty.tolist()) == {Certainty.BRACKETED}
    known = Activation("cubic_tanh", unknown.function, unknown.derivative, curvature=2.0)
    certain = flip(TwoLayer(network.W, network.a, activation=known), x).certainty
    assert Certainty.CERTIFIED_FIRST in certain


@settings(max_examples=150)
@given(st.sampled_from(SMOOTH), st.integers(1, 6), st.integers(0, 10**6), st.floats(0.01, 30))
def test_any_small_smooth_network_gets_a_right_answer(name, width, seed, scale):
    network = TwoLayer.random(2, width, activation=name, bias=True, output_bias=True, dtype=torch.float64, seed=seed)
    network = TwoLayer(scale * network.W, network.a, network.bias, network.output_bias, name)
    x = normal(3, 2, seed=seed)
    ray, found = gradient_ray(network, x), flip(network, x)
    assert_bracketed(ray, found, 1e-12)
    for i in (found.certainty == Certainty.CERTIFIED_FIRST).nonzero()[:, 0].tolist():
        assert first_sign_change_of_a_scan(ray, i, float(found.lower[i]) * (1 - 1e-8), 1000) == math.inf


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rtol": 0.0}, r"rtol must be at least 1e-15, got 0\.0\."),
        ({"rtol": math.nan}, r"rtol must be at least 1e-15, got nan\."),
        ({"growth": 1.0}, r"growth must be above 1, got 1\.0\."),
        ({"reach": math.inf}, r"reach must be at least 1 and finite, got inf\."),
        ({"reach": 0.5}, r"reach must be at least 1 and finite, got 0\.5\."),
    ],
)
def test_settings_that_would_never_end_are_errors(settings, message):
    with pytest.raises(UsageError, match=message):
        Bracketed(**settings)
