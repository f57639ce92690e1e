"""The smallest gradient over the ball: against loops, all patterns at tiny sizes, and networks that try to do worse."""

import itertools
import math

import pytest
import torch

from cases import refused
from gradflip import LazyBall, TwoLayer
from gradflip.lazy import smallest_gradient
from gradflip.lazy._smallest_gradient import _Switches
from tensors import sphere


def norm(network, x):
    return float(torch.linalg.vector_norm(network.gradient(x)))


def moved(ball, rows, share=1.0):
    """The network whose neurons are `rows` (directions of length at most 1) away from the centre."""
    network = ball.network0
    return TwoLayer(network.W + share * ball.radius * rows, network.a)


@pytest.mark.parametrize("C0", [0.3, 1, 3, 10])
@pytest.mark.parametrize(("dim", "width"), [(2, 5), (8, 50), (50, 200), (3, 400)])
def test_the_least_gradient_is_attained_in_the_ball_and_bounded_from_below(dim, width, C0):
    network = TwoLayer.random(dim, width, seed=dim, dtype=torch.float64)
    ball = LazyBall(network, C0)
    for x in sphere(4, dim):
        found = smallest_gradient(ball, x)
        assert ball.contains(found.network)
        assert norm(found.network, x) == pytest.approx(found.high, abs=1e-6 * norm(network, x) + 1e-8)
        assert 0 <= found.low <= found.high + 1e-9 * norm(network, x)
        assert found.high <= norm(network, x) * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_no_network_of_the_ball_has_less_gradient_than_the_lower_bound(seed):
    dim, width = 6, 40
    ball = LazyBall(TwoLayer.random(dim, width, seed=seed, dtype=torch.float64), 0.7)
    x = sphere(1, dim, seed)[0]
    low = smallest_gradient(ball, x).low
    assert low > 0
    draw = torch.Generator().manual_seed(seed)
    for _ in range(100):
        rows = torch.nn.functional.normalize(torch.randn(width, dim, generator=draw, dtype=torch.float64), dim=1)
        assert norm(moved(ball, rows), x) >= low * (1 - 1e-12)
    # all neurons against one direction, with and without switching those that can be
    for h in torch.nn.functional.normalize(torch.randn(100, dim, generator=draw, dtype=torch.float64), dim=1):
        against = -torch.outer(ball.network0.a.sign(), h)
        assert norm(moved(ball, against), x) >= low * (1 - 1e-12)
        switched = torch.where((ball.network0.W @ x > 0)[:, None], -x, x).expand_as(against)
        reachable = (ball.network0.W @ x).abs() <= ball.radius
        useful = ball.network0.a * (ball.network0.W @ h) * (ball.network0.W @ x).sign() > 0
        rows = torch.where((reachable & useful)[:, None], switched, against)
        assert norm(moved(ball, rows), x) >= low * (1 - 1e-12)


@pytest.mark.parametrize("C0", [0.5, 2.0, 6.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_linear_minimum_over_the_ball_is_that_of_a_dense_disc_neuron_by_neuron(seed, C0):
    network = TwoLayer.random(2, 8, seed=seed, dtype=torch.float64)
    ball, (x,) = LazyBall(network, C0), sphere(1, 2, seed)
    angles, radii = torch.arange(360) * math.pi / 180, torch.linspace(0, 1, 60, dtype=torch.float64)
    circle = torch.stack([angles.cos(), angles.sin()], dim=1).to(torch.float64)
    disc = ball.radius * (radii[:, None, None] * circle).reshape(-1, 2)
    switches = _Switches(ball, x)
    for h in circle[::45]:
        dense = 0.0
        for w, a in zip(network.W, network.a, strict=True):
            moved = w + disc
            dense += float((a * ((moved @ x) > 0) * (moved @ h)).min()) / math.sqrt(8)
        found = float(h @ switches._sum(switches._least(h))) - switches._slack
        assert dense - 0.03 * C0 <= found <= dense + 1e-6


def least_by_patterns(ball, x):
    """The least |gradient| in one dimension: each neuron adds an interval, or 0 if it is off; all patterns."""
    r, a = ball.radius, ball.network0.a / math.sqrt(ball.network0.width)
    choices = []
    for j in range(ball.network0.width):
        w, options = float(ball.network0.W[j, 0]), []
        low, high = w - r, w + r
        if x > 0 and high > 0:
            options.append((max(low, 0.0), high))
        if x < 0 and low < 0:
            options.append((low, min(high, 0.0)))
        if (low if x > 0 else -high) <= 0:
            options.append((0.0, 0.0))
        choices.append([tuple(sorted((float(a[j]) * p, float(a[j]) * q))) for p, q in options])
    least = math.inf
    for pattern in itertools.product(*choices):
        low, high = sum(p for p, _ in pattern), sum(q for _, q in pattern)
        least = min(least, 0.0 if low <= 0 <= high else min(abs(low), abs(high)))
    return least


@pytest.mark.parametrize("seed", range(30))
def test_the_bounds_hold_the_least_gradient_of_all_patterns_in_one_dimension(seed):
    ball = LazyBall(TwoLayer.random(1, 7, seed=seed, dtype=torch.float64), 1.5)
    x = torch.tensor([1.0 if seed % 2 else -1.0], dtype=torch.float64)
    exact, found = least_by_patterns(ball, float(x[0])), smallest_gradient(ball, x)
    assert found.low <= exact + 1e-12
    assert found.high >= exact - 1e-8


def test_where_no_neuron_can_switch_the_least_gradient_is_known():
    network = TwoLayer.random(20, 30, seed=1, dtype=torch.float64)
    x = sphere(1, 20)[0]
    nearest = float((network.W @ x).abs().min())
    ball = LazyBall(network, radius=0.99 * nearest)
    on = int((network.W @ x > 0).sum())
    expected = norm(network, x) - ball.radius * on / math.sqrt(30)
    found = smallest_gradient(ball, x)
    assert found.high == pytest.approx(expected, rel=1e-9)
    assert found.low == pytest.approx(expected, rel=1e-9)


def test_the_bounds_meet_where_there_are_many_more_neurons_than_dimensions():
    for C0 in (1, 3):
        ball = LazyBall(TwoLayer.random(36, 4000, seed=0, dtype=torch.float64), C0)
        for x in sphere(3, 36):
            found = smallest_gradient(ball, x)
            assert found.high - found.low <= 2e-3 * norm(ball.network0, x)
            # to leading order C0/2 by moving and C0 / pi by switching
            taken = norm(ball.network0, x) - found.high
            assert taken == pytest.approx((0.5 + 1 / math.pi) * C0, rel=0.2)


def test_a_large_ball_holds_a_network_without_gradient():
    ball = LazyBall(TwoLayer.random(9, 300, seed=0, dtype=torch.float64), 20.0)
    assert all(smallest_gradient(ball, x).high == 0 for x in sphere(3, 9))


def test_what_the_bounds_do_not_cover_is_refused():
    with refused("smallest_gradient needs activation 'relu', got 'tanh'"):
        smallest_gradient(LazyBall(TwoLayer.random(3, 5, activation="tanh"), 1.0), sphere(1, 3)[0])
    with refused("smallest_gradient needs a network without biases"):
        smallest_gradient(LazyBall(TwoLayer.random(3, 5, bias=True), 1.0), sphere(1, 3)[0])
    for x in (torch.zeros(3), torch.ones(4), torch.full((3,), math.nan)):
        with refused(r"x must be finite, not 0 and of shape \(3,\)"):
            smallest_gradient(LazyBall(TwoLayer.random(3, 5), 1.0), x)
