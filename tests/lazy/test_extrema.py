"""How high and how low y f gets over the ball at one input: above every network of the ball, and attained in it."""

import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

import gradflip.lazy._extrema as extremes
from cases import hard_tanh, refused, zigzag
from gradflip import Activation, LazyBall, TwoLayer
from gradflip.networks import ACTIVATIONS, activation
from tensors import normal

SIGMAS = [*ACTIVATIONS, "leaky_relu(-0.5)", hard_tanh(), zigzag()]


def network(width: int, dim: int, *, bias: bool = False, c: float | None = None, sigma="relu", seed: int = 0, size=1.5):
    """General top weights, one of them 0 where there are many."""
    a = 2 * normal(width, seed=seed + 1)
    a[5:6] = 0.0
    b = normal(width, seed=seed + 2) if bias else None
    return TwoLayer(size * normal(width, dim, seed=seed), a, b, c, sigma)


def in_the_ball(count: int, width: int, dim: int, seed: int) -> torch.Tensor:
    """Rows of length at most 1, half of them on the surface."""
    draw = torch.Generator().manual_seed(seed)
    directions = torch.nn.functional.normalize(
        torch.randn(count, width, dim, generator=draw, dtype=torch.float64), dim=2
    )
    radii = torch.rand(count, width, 1, generator=draw, dtype=torch.float64) ** (1 / dim)
    radii[::2] = 1.0
    return directions * radii


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("width", range(1, 21))
def test_no_network_of_the_ball_is_above_the_maximum_and_one_attains_it(width, bias):
    dim, label = 2, 1.0 if width % 2 else -1.0
    y = torch.tensor([label], dtype=torch.float64)
    moved = in_the_ball(100_000, width, dim + bias, seed=width)
    x = normal(1, dim, seed=50 + width)
    ray = torch.cat([x[0], torch.ones(1).double()]) if bias else x[0]
    along = moved @ ray
    for k, sigma in enumerate(SIGMAS):
        start = network(width, dim, bias=bias, c=0.3 if k % 2 else None, sigma=sigma, seed=7 * width)
        radius = (0.3, 1.0, 4.0)[k % 3]
        ball = LazyBall(start, radius=radius)
        u = start.W @ x[0] + (0.0 if start.bias is None else start.bias)
        values = start.activation(u + radius * along) @ start.a / math.sqrt(width) + (start.output_bias or 0.0)
        most, least = float(ball.max_value(x, y)[0]), float(ball.min_value(x, y)[0])
        assert float((label * values).max()) <= most + 1e-12
        assert float((label * values).min()) >= least - 1e-12
        for sign, expected in ((1.0, most), (-1.0, -least)):
            best = ball.extreme(x[0], sign * label)
            assert ball.contains(best)
            assert sign * label * float(best(x[0])) == pytest.approx(expected, rel=1e-6, abs=1e-9)
        if width < 3:  # few neurons: chance comes near
            assert float((label * values).max()) > most - 0.03 * (most - least) - 1e-12


@pytest.mark.parametrize("sigma", ["relu", "abs", "tanh", "gelu", "sin"])
@pytest.mark.parametrize("bias", [False, True])
def test_ascent_in_the_ball_ends_at_the_maximum(bias, sigma):
    start = network(7, 3, bias=bias, c=0.2, sigma=sigma, seed=3)
    x = normal(3, seed=4)
    ball, best = LazyBall(start, radius=0.2), torch.full((7,), -torch.inf).double()
    ray = torch.cat([x, torch.ones(1).double()]) if bias else x
    for seed in range(8):  # neurons may be at a lower peak each, so the best of every neuron counts
        rows = extremes.with_ones(start, start.W) if bias else start.W.clone()
        if bias:
            rows[:, 3] = start.bias
        rows = rows + 0.2 * in_the_ball(1, 7, 3 + bias, seed)[0]
        for k in range(300):
            u = rows @ ray
            best = torch.maximum(best, start.a * start.activation(u))
            pull = (start.a * start.activation.derivative(u)).sign()
            rows = rows + 0.2 * 0.95**k * pull[:, None] * ray
            inside = ball.project(TwoLayer(rows[:, :3], start.a, rows[:, 3] if bias else None, 0.2, sigma))
            rows = inside.W if inside.bias is None else torch.cat([inside.W, inside.bias[:, None]], dim=1)
    most = float(ball.max_value(x[None], torch.ones(1))[0])
    reached = float(best.sum()) / math.sqrt(7) + 0.2
    assert reached <= most + 1e-12
    assert reached == pytest.approx(most, rel=1e-6)


@pytest.mark.parametrize("form", [{}, {"bias": True}, {"bias": True, "output_bias": True}], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_extreme_network_is_in_the_ball_of_any_type(form, dtype):
    for seed in range(10):
        start = TwoLayer.random(20, 60, seed=seed, dtype=dtype, **form)
        ball = LazyBall(start, (0.01, 1.0, 30.0)[seed % 3])
        x = normal(20, seed=seed)
        best = ball.extreme(x, -1.0)
        assert ball.contains(best)
        assert ball.deviation(best) > 0.999 * ball.radius
        assert -float(best(x)) == pytest.approx(float(ball.max_value(x[None], -torch.ones(1))[0]), rel=1e-9)


def test_at_zero_a_network_without_biases_is_its_centre_and_one_with_biases_is_not():
    zero, y = torch.zeros(1, 3).double(), torch.ones(1)
    start = network(9, 3)
    assert torch.equal(LazyBall(start).extreme(zero[0], 1.0).W, start.W)
    assert float(LazyBall(start).max_value(zero, y)[0]) == 0.0
    biased = network(9, 3, bias=True)
    ball = LazyBall(biased, radius=0.5)
    best = ball.extreme(zero[0], 1.0)
    assert float(best(zero[0])) == pytest.approx(float(ball.max_value(zero, y)[0]), rel=1e-12)
    assert torch.equal(best.W, biased.W)


def test_values_do_not_depend_on_the_scaling_or_the_blocks(monkeypatch):
    start = network(50, 6, bias=True, c=0.1, sigma="gelu")
    x, y = normal(40, 6, seed=1), torch.where(normal(40, seed=2) < 0, -1.0, 1.0)
    whole = LazyBall(start, 3.0).max_value(x, y)
    torch.testing.assert_close(LazyBall(start.rescale("sqrt-d"), 3.0).max_value(x, y), whole, rtol=1e-12, atol=0)
    monkeypatch.setattr(extremes, "_BLOCK", 20)
    monkeypatch.setattr(extremes, "_BLOCK_NEURONS", 7)
    torch.testing.assert_close(LazyBall(start, 3.0).max_value(x, y), whole, rtol=1e-12, atol=0)
    monkeypatch.setattr(extremes, "_BLOCK", 1)
    torch.testing.assert_close(
        LazyBall(start, 3.0).max_value(x.float(), y), LazyBall(start, 3.0).max_value(x.float().double(), y)
    )


sizes = st.floats(1e-3, 10)


@settings(max_examples=150)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 10**6), sizes, sizes, st.sampled_from(range(len(SIGMAS))))
def test_the_maximum_grows_with_the_radius_and_is_minus_the_minimum_of_the_other_class(
    width, dim, seed, radius, other, which
):
    start = network(width, dim, bias=bool(seed % 2), c=0.5, sigma=SIGMAS[which], seed=seed)
    x, y = normal(3, dim, seed=seed + 9), torch.tensor([1.0, -1.0, 1.0]).double()
    small, large = (LazyBall(start, radius=r) for r in sorted((radius, other)))
    slack = 1e-13 * (1 + 20 * float(start.a.abs().sum()))
    assert bool((small.max_value(x, y) <= large.max_value(x, y) + slack).all())
    assert torch.equal(small.min_value(x, y), -small.max_value(x, -y))
    margins = y * start(x)
    assert bool((small.min_value(x, y) <= margins + slack).all())
    assert bool((small.max_value(x, y) >= margins - slack).all())


@settings(max_examples=100)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 10**6), sizes, sizes, st.booleans())
def test_the_maximum_scales_with_the_weights(width, dim, seed, radius, factor, bias):
    start = network(width, dim, bias=bias, sigma="leaky_relu", seed=seed)
    x, y = normal(3, dim, seed=seed + 9), torch.tensor([1.0, -1.0, 1.0]).double()
    expected = factor * LazyBall(start, radius=radius).max_value(x, y)
    b = None if start.bias is None else factor * start.bias
    first = TwoLayer(factor * start.W, start.a, b, activation="leaky_relu")
    atol = 1e-13 * factor * 20 * float(start.a.abs().sum())
    torch.testing.assert_close(LazyBall(first, radius=factor * radius).max_value(x, y), expected, rtol=1e-11, atol=atol)
    top = TwoLayer(start.W, factor * start.a, start.bias, activation="leaky_relu")
    torch.testing.assert_close(LazyBall(top, radius=radius).max_value(x, y), expected, rtol=1e-11, atol=atol)


# What is known of an activation


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_between_its_turning_points_an_activation_is_monotone(name):
    sigma = activation(name)
    half = sigma.period / 2 if sigma.period else 30.0
    ends = [-half, *sigma.turning, half]
    for left, right in zip(ends, ends[1:], strict=False):
        values = sigma(torch.linspace(left, right, 10_001, dtype=torch.float64))
        steps = values.diff()
        slack = 4e-15 * (1 + values.abs().max()) + sigma.tolerance
        assert bool((steps >= -slack).all()) or bool((steps <= slack).all())
    for point in sigma.turning:  # to the last digit: next to it sigma is no more extreme
        if not sigma.piecewise_linear:
            assert abs(float(sigma.derivative(torch.tensor(point, dtype=torch.float64)))) < 2e-16


def test_a_smooth_activation_of_unknown_shape_is_refused_by_name():
    unknown = Activation("mine", torch.tanh, lambda z: 1 - torch.tanh(z) ** 2)
    ball = LazyBall(network(3, 2, sigma=unknown))
    with refused(
        r"need to know where activation 'mine' turns; give Activation\(\.\.\., turning=\(\)\) if it is monotone"
    ):
        ball.max_value(normal(1, 2, seed=0), torch.ones(1))
    known = Activation("mine", torch.tanh, lambda z: 1 - torch.tanh(z) ** 2, turning=())
    x, y = normal(4, 2, seed=0), torch.ones(4)
    expected = LazyBall(network(3, 2, sigma="tanh")).max_value(x, y)
    assert torch.equal(LazyBall(network(3, 2, sigma=known)).max_value(x, y), expected)


def test_a_falling_activation_is_highest_at_its_left_end():
    falling = Activation("falling", lambda z: -torch.tanh(z), lambda z: torch.tanh(z) ** 2 - 1, turning=())
    start = network(6, 2, sigma=falling)
    other = TwoLayer(start.W, -start.a, activation="tanh")
    x, y = normal(5, 2, seed=0), torch.ones(5)
    torch.testing.assert_close(LazyBall(start).max_value(x, y), LazyBall(other).max_value(x, y))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"turning": ()}, "turns between -30.0 and 30.0; turning must list every such point"),
        ({"turning": (0.5,)}, r"states turning points \(0.5,\), its slopes there are"),
        ({"turning": (1.0, 0.0)}, r"turning points of activation 'square' must increase, got \(1.0, 0.0\)"),
        ({"turning": (math.nan,)}, "must increase"),
        ({"turning": (0.0,), "period": -1.0}, "needs turning points and a positive period, got -1.0"),
        ({"turning": (), "period": 1.0}, "needs turning points and a positive period"),
        ({"turning": (3.0,), "period": 1.0}, "must be within half a period of 0"),
    ],
)
def test_turning_points_that_are_none_are_refused(shape, message):
    with refused(message):
        Activation("square", torch.square, lambda z: 2 * z, **shape)


BALL = LazyBall(TwoLayer.random(5, 4, dtype=torch.float64), 1.0)
X, Y = normal(3, 5, seed=1), torch.ones(3)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:, :4], Y, r"x must have shape \(n, 5\) with n at least 1, got \(3, 4\)"),
        (X[:0], Y[:0], r"x must have shape \(n, 5\) with n at least 1, got \(0, 5\)"),
        (X[0], Y, r"x must have shape \(n, 5\)"),
        (X, Y[:2], r"y must have one label per row of x, 3, got \(2,\)"),
        (X, 2 * Y, r"y must hold only -1 and \+1, got 2"),
        (X * math.nan, Y, "x must be finite, got 15 NaN or infinite entries"),
        (X.tolist(), Y, "got list"),
    ],
)
def test_points_that_are_none_are_refused(x, y, message):
    for function in (BALL.max_value, BALL.min_value):
        with refused(message):
            function(x, y)
