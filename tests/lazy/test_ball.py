"""The ball B_(2,inf)(W_0, C0 / sqrt m) and its cone: distances, projection, membership."""

import math
import pickle

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import assume, given, settings

from cases import refused
from gradflip import LazyBall, TwoLayer, UsageError
from reference import cone_by_search, cone_height, deviation_by_loop
from tensors import normal

FORMS = [{}, {"bias": True}, {"bias": True, "output_bias": True, "scaling": "sqrt-d"}, {"scaling": "sqrt-d"}]


def moved(network: TwoLayer, size: float, *, seed: int) -> TwoLayer:
    """The network with every row moved by about `size`, some rows by much less."""
    share = torch.rand(network.width, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** 3
    W = network.W.double() + size * share * normal(network.width, network.dim, seed=seed)
    bias = (
        None
        if network.bias is None
        else network.bias.double() + size * share[:, 0] * normal(network.width, seed=seed + 1)
    )
    dtype = network.W.dtype
    bias = None if bias is None else bias.to(dtype)
    return TwoLayer(W.to(dtype), network.a, bias, network.output_bias, network.activation, network.scaling)


def all_rows(network: TwoLayer) -> torch.Tensor:
    """[W, b] as it is stored."""
    return network.W if network.bias is None else torch.cat([network.W, network.bias[:, None]], dim=1)


# Distances


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_deviation_is_the_largest_distance_of_a_row(form, dtype):
    start = TwoLayer.random(5, 12, dtype=dtype, seed=1, **form)
    ball = LazyBall(start, 2.0)
    for seed in range(5):
        network = moved(start, 0.3, seed=seed)
        expected = deviation_by_loop(network, start)
        rtol = 1e-12 if dtype == torch.float64 or start.scaling == "unit" else 1e-5  # rescaling rounds
        assert ball.deviation(network) == pytest.approx(expected, rel=rtol)
        assert float(ball.deviations(network).max()) == ball.deviation(network)
        assert ball.contains(network) == (ball.deviation(network) <= ball.radius)
    assert ball.deviation(start) == 0
    assert ball.contains(start)


def test_one_network_has_one_deviation_in_both_scalings():
    start = TwoLayer.random(7, 12, bias=True, dtype=torch.float64)
    network = moved(start, 0.3, seed=1)
    expected = LazyBall(start, 2.0).deviation(network)
    for centre in (start, start.rescale("sqrt-d")):
        for other in (network, network.rescale("sqrt-d")):
            assert LazyBall(centre, 2.0).deviation(other) == pytest.approx(expected, rel=1e-13)
    assert LazyBall(start.rescale("sqrt-d"), 2.0).network0.scaling == "unit"


def test_the_radius_is_C0_by_the_root_of_the_width():
    start = TwoLayer.random(5, 16)
    assert (LazyBall(start, 2.0).radius, LazyBall(start, 2.0).C0) == (0.5, 2.0)
    assert (LazyBall(start, radius=0.5).radius, LazyBall(start, radius=0.5).C0) == (0.5, 2.0)
    assert LazyBall(start).C0 == 10.0
    assert repr(LazyBall(start, 2.0)) == "LazyBall(C0=2, radius=0.5, width=16, dim=5)"


def test_a_network_on_the_surface_is_inside():
    start = TwoLayer(torch.zeros(4, 2).double(), torch.ones(4).double())
    W = torch.zeros(4, 2).double()
    W[2] = torch.tensor([3.0, 4.0])
    assert LazyBall(start, radius=5.0).contains(TwoLayer(W, start.a))
    assert not LazyBall(start, radius=math.nextafter(5.0, 0)).contains(TwoLayer(W, start.a))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_of_another_type_can_be_compared(dtype):
    other = torch.float32 if dtype == torch.float64 else torch.float64
    start = TwoLayer(normal(4, 3, seed=1).to(dtype), normal(4, seed=2).to(dtype), normal(4, seed=3).to(dtype))
    assert LazyBall(start, 2.0).deviation(start.to(dtype=other)) < 1e-6


# Projection


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [1e-3, 0.3, 30.0, 1e6])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_projection_is_inside_and_stays_where_it_is(form, size, dtype):
    for seed in range(20):
        start = TwoLayer.random(1 + seed, 30, dtype=dtype, seed=seed, **form)
        for C0 in (0.01, 1.0, 10.0):
            ball, network = LazyBall(start, C0), moved(start, size, seed=seed)
            projected = ball.project(network)
            assert ball.contains(projected)
            assert ball.project(projected) is projected
            assert (projected.W.dtype, projected.scaling) == (dtype, start.scaling)
            # rows outside land on the surface, to the rounding of their type
            outside = ball.deviations(network) > ball.radius
            if outside.any():
                unit = start.rescale("unit")
                lengths = all_rows(unit).double().norm(dim=1)
                gap = ball.radius - ball.deviations(projected)[outside]
                assert bool((gap <= 8 * torch.finfo(dtype).eps * (lengths[outside] + ball.radius)).all())
            else:
                assert projected is network


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_rows_inside_are_left_untouched_to_the_bit(form, dtype):
    start = TwoLayer.random(7, 50, dtype=dtype, seed=2, **form)
    ball, network = LazyBall(start, 3.0), moved(start, 0.8, seed=3)
    outside = ball.deviations(network) > ball.radius
    assert 5 < int(outside.sum()) < 45
    projected = ball.project(network)
    assert torch.equal(all_rows(projected)[~outside], all_rows(network)[~outside])
    assert not torch.equal(all_rows(projected)[outside], all_rows(network)[outside])
    assert torch.equal(projected.a, network.a)


@settings(max_examples=200)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 10**6), st.floats(0.01, 20), st.floats(1e-3, 50))
def test_the_projection_is_the_nearest_point_of_the_ball(dim, width, seed, C0, size):
    start = TwoLayer.random(dim, width, dtype=torch.float64, seed=seed)
    ball = LazyBall(start, C0)
    network = moved(start, size, seed=seed)
    projected = ball.project(network)
    assert ball.contains(projected)
    # row by row: no other point of the row's ball is nearer; p is nearest if (w - p) . (q - p) <= 0 for all q in it
    away = network.W - projected.W
    draw = torch.Generator().manual_seed(seed)
    for _ in range(20):
        direction = torch.nn.functional.normalize(torch.randn(width, dim, generator=draw, dtype=torch.float64))
        other = start.W + ball.radius * direction
        assert bool(((away * (other - projected.W)).sum(1) <= 1e-12 * (1 + ball.radius + size) ** 2).all())
    expected = start.W + (network.W - start.W) * (ball.radius / ball.deviations(network)).clamp(max=1.0)[:, None]
    torch.testing.assert_close(projected.W, expected, rtol=1e-12, atol=1e-12 * (1 + ball.radius))


# The cone


def cone(W: torch.Tensor, W0: torch.Tensor):
    a = torch.ones(len(W), dtype=torch.float64)
    return LazyBall(TwoLayer(W0, a)).cone_distance(TwoLayer(W, a))


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 0.5, 1.0, 3.0, 1e3, 1e6])
@pytest.mark.parametrize("form", [{}, {"bias": True}, {"scaling": "sqrt-d"}], ids=str)
def test_a_multiple_of_the_centre_is_at_distance_0_of_the_cone(form, scale):
    for width in (1, 5, 300):
        start = TwoLayer.random(7, width, dtype=torch.float64, seed=width, **form)
        bias = None if start.bias is None else scale * start.bias
        network = TwoLayer(scale * start.W, start.a, bias, scaling=start.scaling)
        found = LazyBall(start).cone_distance(network)
        assert found.distance < 1e-9
        assert found.scale == pytest.approx(1 / scale, rel=1e-9)


def test_the_cone_holds_every_multiple_of_what_the_ball_holds():
    start = TwoLayer.random(7, 50, dtype=torch.float64)
    ball = LazyBall(start, 3.0)
    network = ball.project(moved(start, 1.0, seed=1))
    assert ball.deviation(network) == pytest.approx(ball.radius, rel=1e-9)
    usual = ball.cone_distance(network)
    assert usual.distance <= ball.radius
    for scale in (1e-5, 1e-2, 7.0, 1e5):
        found = ball.cone_distance(TwoLayer(scale * network.W, network.a))
        assert found.distance == pytest.approx(usual.distance, rel=1e-9)
        assert found.scale == pytest.approx(usual.scale / scale, rel=1e-7)


def test_the_opposite_of_the_centre_is_nearest_at_0():
    start = TwoLayer.random(7, 20, dtype=torch.float64)
    found = LazyBall(start).cone_distance(TwoLayer(-start.W, start.a))
    assert found == (float(start.W.norm(dim=1).max()), 0.0)


def assert_lowest(W: torch.Tensor, W0: torch.Tensor) -> None:
    found = cone(W, W0)
    assert found.scale >= 0
    height = cone_height(found.scale, W, W0)
    assert found.distance == pytest.approx(height, rel=1e-12, abs=1e-300)
    size = float(W0.norm(dim=1).max())
    assert height <= cone_by_search(W, W0) + 1e-9 * size
    # convex, so what is lowest near by is lowest
    for near in (found.scale * (1 - 1e-4), found.scale * (1 + 1e-4), found.scale + 1e-5):
        assert height <= cone_height(near, W, W0) * (1 + 1e-12) + 1e-13 * size


@pytest.mark.parametrize("seed", range(12))
def test_the_cone_distance_is_the_lowest_of_a_fine_search(seed):
    width, dim = (1, 2, 3, 40)[seed % 4], 1 + seed % 5
    W0 = normal(width, dim, seed=seed)
    for W in (
        W0 + 0.2 * normal(width, dim, seed=seed + 50),
        normal(width, dim, seed=seed + 100),
        30 * W0 + normal(width, dim, seed=7),
    ):
        assert_lowest(W, W0)


whole_or_not = st.integers(-2, 2).map(float) | st.floats(-3, 3, width=16)


@settings(max_examples=60)
@given(st.integers(1, 4), st.integers(1, 3), st.data())
def test_the_cone_distance_of_any_small_network_is_the_lowest_of_a_fine_search(width, dim, data):
    row = st.lists(whole_or_not, min_size=width * dim, max_size=width * dim)
    W, W0 = (torch.tensor(data.draw(row), dtype=torch.float64).reshape(width, dim) for _ in range(2))
    assume(bool(W0.any()))
    found = cone(W, W0)
    size = float(W0.norm(dim=1).max())
    assert found.distance <= size * (1 + 1e-12)  # c -> 0
    assert found.distance <= cone_by_search(W, W0) + 1e-7 * size


@pytest.mark.parametrize("seed", range(40))
def test_rows_of_one_length_at_the_start_are_no_trap(seed):
    # at c = 0 all parabolas meet: which of them rises decides
    draw = torch.Generator().manual_seed(seed)
    W0 = torch.randint(0, 2, (4, 3), generator=draw).double() * 2 - 1
    W = torch.randint(-2, 3, (4, 3), generator=draw).double()
    found = cone(W, W0)
    assert found.distance <= cone_by_search(W, W0) + 1e-9


def test_the_distance_is_convex_in_the_scale():
    W0, W = normal(20, 4, seed=1), normal(20, 4, seed=2)
    found = cone(W, W0)
    grid = torch.linspace(0, 3 * found.scale + 1, 400).tolist()
    heights = [cone_height(c, W, W0) for c in grid]
    assert min(heights) >= found.distance - 1e-12
    bends = [heights[i - 1] - 2 * heights[i] + heights[i + 1] for i in range(1, len(grid) - 1)]
    assert min(bends) > -1e-12


# Errors


START = TwoLayer.random(5, 4, dtype=torch.float64)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"C0": 0.0}, r"C0 must be positive and finite, got 0\.0\."),
        ({"C0": -1}, r"C0 must be positive and finite, got -1\."),
        ({"C0": math.inf}, r"C0 must be positive and finite, got inf\."),
        ({"C0": math.nan}, r"C0 must be positive and finite, got nan\."),
        ({"C0": "10"}, r"C0 must be positive and finite, got 10\."),
        ({"C0": True}, r"C0 must be positive and finite, got True\."),
        ({"radius": 0.0}, r"radius must be positive and finite, got 0\.0\."),
        ({"radius": math.inf}, r"radius must be positive and finite, got inf\."),
        ({"C0": 1.0, "radius": 1.0}, r"give C0 or radius, not both; the radius is C0 / sqrt\(width\)\."),
    ],
)
def test_a_size_that_is_none_is_an_error(sizes, message):
    with refused(message):
        LazyBall(START, **sizes)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (TwoLayer.random(5, 6), r"must have the shape of the ball's centre, \(4, 5\), got \(6, 5\)"),
        (TwoLayer.random(6, 4), r"must have the shape of the ball's centre, \(4, 5\), got \(4, 6\)"),
        (TwoLayer(START.W, -START.a), "must have the top weights of the ball's centre: they are not trained"),
        (TwoLayer(START.W, START.a, START.a), "must both have biases or both have none"),
        (
            TwoLayer(START.W, START.a, None, 0.5),
            "must have the output bias of the ball's centre, None, got 0.5: it is not trained",
        ),
    ],
)
def test_a_network_of_another_ball_is_an_error(network, message):
    ball = LazyBall(START, 1.0)
    for function in (ball.deviation, ball.deviations, ball.contains, ball.project):
        with pytest.raises(UsageError, match=message):
            function(network)


@pytest.mark.parametrize("name", ["tanh", "gelu", "sin"])
def test_the_cone_of_a_network_that_does_not_scale_is_an_error(name):
    network = TwoLayer(START.W, START.a, activation=name)
    with pytest.raises(UsageError, match=f"the cone needs a positively homogeneous activation, got '{name}'"):
        LazyBall(network).cone_distance(network)


def test_the_cone_of_a_network_with_an_output_bias_is_an_error():
    network = TwoLayer(START.W, START.a, None, 0.5)
    with pytest.raises(UsageError, match=r"the cone needs a network without output bias, got 0\.5"):
        LazyBall(network).cone_distance(network)


def test_a_ball_is_frozen_and_can_be_sent_to_another_process():
    ball = LazyBall(TwoLayer.random(3, 6, seed=1), 2.0)
    with pytest.raises(AttributeError):
        ball.radius = 1.0
    sent = pickle.loads(pickle.dumps(ball))
    assert (sent.C0, sent.radius, repr(sent)) == (ball.C0, ball.radius, repr(ball))
    assert torch.equal(sent.network0.W, ball.network0.W)
