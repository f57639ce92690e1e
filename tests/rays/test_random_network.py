"""Flips of networks that are never built, exact for two layers and bracketed for deep ones; several steps in a row."""

import math

import pytest
import torch

from cases import refused
from gradflip import (
    Bracketed,
    Certainty,
    FlipStatus,
    PiecewiseLinear,
    RandomNetwork,
    TwoLayer,
    attack_steps,
    flip,
    gradient_ray,
)
from gradflip.gaussian import draw_two_layer
from gradflip.rays import flip_draws


def sphere(n: int, dim: int, seed: int = 0) -> torch.Tensor:
    x = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x * math.sqrt(dim) / x.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("name", ["relu", "abs", "tanh"])
def test_an_implicit_two_layer_network_gives_the_rays_and_flips_of_its_matrix(name, implicit):
    network, x = RandomNetwork([40, 300], name, implicit=implicit, seed=2), sphere(9, 40)
    found, ray = flip(network, x), gradient_ray(network, x)
    stored = TwoLayer(network.layers[0].to_dense(), network.a, activation=name, scaling="sqrt-d")
    expected, stored_ray = flip(stored, x), gradient_ray(stored, x)
    assert torch.equal(found.status, expected.status) and torch.equal(found.certainty, expected.certainty)
    torch.testing.assert_close(found.step, expected.step, rtol=1e-10, atol=0)
    torch.testing.assert_close(ray.u, stored_ray.u)
    torch.testing.assert_close(ray.v, stored_ray.v)
    assert ("implicit weights" if implicit else "explicit weights") in found.method
    assert found.weights == ("implicit" if implicit else "explicit")


@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_the_flip_of_a_deep_network_is_a_sign_change_of_its_matrices(name):
    network, x = RandomNetwork([60, 80, 50, 70], name, seed=1), sphere(12, 60)
    found = flip(network, x)
    assert set(found.certainty.tolist()) == {Certainty.BRACKETED}
    turned = found.status == FlipStatus.FLIPPED
    assert int(turned.sum()) >= 8
    value, g = network.value_and_gradient(x)
    matrices = [W.to_dense() for W in network.layers]
    for factor, still in ((1 - 1e-8, True), (1 + 1e-8, False)):
        h = x - (factor * found.step.where(turned, 0.0) * value.sign())[:, None] * g
        for W in matrices:
            h = network.activation(h @ W.mT)
        along = h @ network.a * value.sign()
        assert bool(((along > 0) == still)[turned].all())
    torch.testing.assert_close(found.gradient_norm, g.norm(dim=1))
    assert bool((found.upper - found.lower <= 1e-9 * found.upper)[turned].all())


def test_a_deep_and_narrow_network_may_be_flat_or_on_the_boundary():
    network = RandomNetwork([30, 1, 1, 1], "relu", draws=400, seed=0)
    found = flip(network, sphere(1, 30).expand(400, 1, 30))
    dead = (found.status == FlipStatus.BOUNDARY).sum() + (found.status == FlipStatus.FLAT).sum()
    assert 300 < int(dead) < 400
    assert FlipStatus.FLIPPED not in found.status  # one neuron a layer: relu(w x) never changes its sign


@pytest.mark.parametrize("widths", [[25, 60], [25, 40, 30]])
def test_draws_are_flipped_like_the_networks_that_they_are(widths):
    network = RandomNetwork(widths, "relu", draws=20, seed=4)
    x = torch.stack([sphere(2, 25, seed) for seed in range(20)])
    found = flip(network, x)
    assert len(found) == 40
    if len(widths) == 2:
        W = network.layers[0].to_dense()
        parts = [flip(TwoLayer(W[i], network.a[i], scaling="sqrt-d"), x[i]) for i in range(20)]
        torch.testing.assert_close(found.step, torch.cat([part.step for part in parts]), rtol=1e-10, atol=0)
    turned = (found.status == FlipStatus.FLIPPED).reshape(20, 2)
    value, g = network.value_and_gradient(x)
    step = torch.where(turned, found.step.reshape(20, 2), 0.0)
    moved = x - ((1 + 1e-8) * step * value.sign()).unsqueeze(-1) * g
    assert bool((network(moved) * value < 0)[turned].all())
    assert int(turned.sum()) > 20


def test_draws_in_closed_form_have_exact_flips_whatever_the_dimension():
    drawn = draw_two_layer(10**9, 400, draws=300, generator=torch.Generator().manual_seed(0))
    found = flip_draws(drawn)
    assert set(found.certainty.tolist()) == {Certainty.EXACT}
    turned = found.status == FlipStatus.FLIPPED
    assert int(turned.sum()) == 300
    assert float((drawn.at(found.step) / drawn.value).abs().max()) < 1e-10
    normal = found.relative.median() * math.sqrt(10**9)
    assert 0.55 < float(normal) < 0.8  # |Z|: 0.674, standard error 0.04


def test_smooth_draws_are_bracketed():
    found = flip_draws(draw_two_layer(1000, 300, activation="tanh", draws=20, generator=torch.Generator()))
    assert set(found.certainty.tolist()) <= {Certainty.BRACKETED, Certainty.CERTIFIED_FIRST}


def test_one_attack_step_is_the_ray():
    network, x = RandomNetwork([30, 50, 40], "relu", seed=1), sphere(5, 30)
    path = attack_steps(network, x, 0.7, 1)
    value, g = network.value_and_gradient(x)
    torch.testing.assert_close(path.values[:, 0], value)
    torch.testing.assert_close(path.values[:, 1], network(x - 0.7 * value.sign()[:, None] * g))
    torch.testing.assert_close(path.relative[:, 1], 0.7 * g.norm(dim=1) / math.sqrt(30))
    assert float(path.flipped[0]) == 0.0
    assert float(path.flipped[1]) == float((path.values[:, 1] * value < 0).double().mean())


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomNetwork([30, 50], "tanh", seed=1),
        lambda: TwoLayer.random(30, 50, activation="tanh", scaling="sqrt-d"),
    ],
)
def test_several_attack_steps_are_a_loop(make):
    network, x = make(), sphere(4, 30).to(torch.float64)
    path = attack_steps(network, x, 0.2, 3)
    at, sign = x, network(x).sign()
    for k in range(1, 4):
        at = at - 0.2 * sign[:, None] * network.gradient(at)
        torch.testing.assert_close(path.values[:, k], network(at).double(), rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            path.relative[:, k], (at - x).norm(dim=1).double() / math.sqrt(30), rtol=1e-5, atol=1e-6
        )
    assert bool((path.values[:, 1:] * sign[:, None].double() < path.values[:, :1].abs()).all())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda n, x: gradient_ray(RandomNetwork([5, 6, 7]), x),
            r"one network with one hidden layer, got widths \[5, 6, 7\]",
        ),
        (lambda n, x: gradient_ray(RandomNetwork([5, 6], draws=2), x.expand(2, 3, 5)), "draws=2"),
        (lambda n, x: flip(n, x[:, :4]), r"x must have shape \(n, 5\), one input a row, got \(3, 4\)"),
        (lambda n, x: flip(n, x[:0]), "x must hold at least one input"),
        (lambda n, x: flip(n, x / 0), "x must be finite, got 15"),
        (lambda n, x: flip(n, x, block=4), "block .* not for a RandomNetwork"),
        (
            lambda n, x: flip(n, x, finder=PiecewiseLinear()),
            "finder of a deep network must be Bracketed, got PiecewiseLinear",
        ),
        (lambda n, x: attack_steps(n, x, 0.0, 2), "step must be positive and finite, got 0.0"),
        (lambda n, x: attack_steps(n, x, 1.0, 0), "steps must be a positive integer, got 0"),
    ],
)
def test_a_wrong_call_is_named(call, message):
    with refused(message):
        call(RandomNetwork([5, 6, 7], seed=0), sphere(3, 5))


def test_a_deep_network_takes_a_bracket_of_ones_own():
    network, x = RandomNetwork([50, 60, 70], "tanh", seed=0), sphere(3, 50)
    wide, narrow = flip(network, x, finder=Bracketed(rtol=1e-3)), flip(network, x)
    assert bool((wide.passes < narrow.passes).all())
    torch.testing.assert_close(wide.step, narrow.step, rtol=2e-3, atol=0)
