"""Two layers in closed form: O(m) for any dimension, and what it must agree with."""

import math

import pytest
import torch

from cases import refused
from gradflip.gaussian import draw_two_layer
from gradflip.theory import limits
from tensors import seeded


@pytest.mark.parametrize("name", ["relu", "tanh", "leaky_relu"])
@pytest.mark.parametrize("variance", [1.0, 2.0])
def test_value_slope_and_gradient_norm_belong_together(name, variance):
    drawn = draw_two_layer(
        10**6, 500, activation=name, weight_variance=variance, top="gaussian", draws=50, generator=seeded()
    )
    torch.testing.assert_close(drawn.at(0.0), drawn.value)
    # f falls along the ray as fast as |g|^2 says
    falls = (drawn.a * drawn.sigma.derivative(drawn.u) * drawn.v).sum(dim=1) * drawn.value.sign() / math.sqrt(500)
    torch.testing.assert_close(falls, drawn.gradient_norm**2, rtol=1e-12, atol=0)
    steps = torch.linspace(0, 1, 50, dtype=torch.float64)
    torch.testing.assert_close(drawn.at(steps)[7], drawn.at(float(steps[7]))[7])


def test_a_trillion_dimensions_cost_no_more_than_ten():
    drawn = draw_two_layer(10**12, 20_000, draws=200, generator=seeded())
    known = limits("relu")
    z = (drawn.value / known.nu).square().mean() - 1
    assert abs(float(z)) < 4.5 * math.sqrt(2 / 200)
    assert float((drawn.gradient_norm - known.tau).abs().max()) < 0.03
    moved = drawn.value - drawn.value.sign() * known.tau**2  # s = 1
    assert float((drawn.at(1.0) - moved).abs().max()) < 0.05


def test_one_dimension_has_no_room_beside_the_input():
    drawn = draw_two_layer(1, 30, draws=20, generator=seeded())
    # x = 1, g = q . u / (sqrt(m) x): W g is a multiple of u
    along = (drawn.v / drawn.u).where(drawn.u != 0, 0.0)
    torch.testing.assert_close(along, along[:, :1].expand(-1, 30), rtol=1e-12, atol=1e-14)


def test_a_dead_network_has_no_gradient():
    drawn = draw_two_layer(50, 1, draws=400, generator=seeded())
    dead = drawn.u[:, 0] < 0
    assert 100 < int(dead.sum()) < 300
    assert not drawn.gradient_norm[dead].any() and not drawn.v[dead].any() and not drawn.value[dead].any()
    assert bool((drawn.gradient_norm[~dead] > 0).all())


@pytest.mark.parametrize(
    ("arguments", "more", "message"),
    [
        ((0, 5), {}, "widths must be positive integers, got 0"),
        ((5, 2.5), {}, "widths must be positive integers, got 2.5"),
        ((5, 5), {"draws": 0}, "draws must be a positive integer, got 0"),
        ((5, 5), {"weight_variance": -1.0}, "weight_variance must be positive and finite, got -1.0"),
        ((5, 5), {"activation": math.tanh}, "activation must be a name"),
        ((5, 5), {"top": "ones"}, "top must be 'sign' or 'gaussian', got 'ones'"),
    ],
)
def test_a_wrong_argument_is_named(arguments, more, message):
    with refused(message):
        draw_two_layer(*arguments, **more, generator=seeded())
