"""The plane of Figure 1: its section of the ball, corner by corner, and the places of networks."""

import math

import pytest
import torch

from cases import refused
from gradflip import LazyBall, TwoLayer
from gradflip.lazy import WeightPlane


def distance(W, W0):
    """sqrt(m) max_j |w_j - w_(j,0)|, row by row."""
    largest = 0.0
    for row, row0 in zip(W, W0, strict=True):
        largest = max(largest, math.sqrt(sum((float(p) - float(q)) ** 2 for p, q in zip(row, row0, strict=True))))
    return math.sqrt(len(W)) * largest


@pytest.mark.parametrize(("dim", "width", "C0"), [(4, 10, 1.0), (9, 60, 5.0), (2, 3, 0.1)])
def test_every_corner_of_the_section_is_on_the_surface_of_the_ball(dim, width, C0):
    network0 = TwoLayer.random(dim, width, seed=1, dtype=torch.float64)
    other = TwoLayer(network0.W + 0.3 * TwoLayer.random(dim, width, seed=2, dtype=torch.float64).W, network0.a)
    ball = LazyBall(network0, C0)
    plane = WeightPlane(ball, other)
    assert distance(plane.direction, 0 * plane.direction) == pytest.approx(1)
    corners = plane.boundary(60)
    for s, t in corners:
        assert distance(s * plane.start + t * plane.direction, network0.W) == pytest.approx(C0, rel=1e-9)
    # convex: the turns all go one way
    for i in range(60):
        (s0, t0), (s1, t1), (s2, t2) = corners[i], corners[(i + 1) % 60], corners[(i + 2) % 60]
        turn = (s1 - s0) * (t2 - t1) - (t1 - t0) * (s2 - s1)
        assert turn > -1e-12


def test_a_network_is_placed_where_it_is_in_the_plane_and_apart_from_it_by_the_rest():
    network0 = TwoLayer.random(6, 20, seed=1, dtype=torch.float64)
    other = TwoLayer.random(6, 20, seed=1, dtype=torch.float64)
    other = TwoLayer(other.W + 0.1 * TwoLayer.random(6, 20, seed=5, dtype=torch.float64).W, other.a)
    plane = WeightPlane(LazyBall(network0, 2.0), other)
    s, t, outside = plane.place(other)
    assert outside == pytest.approx(0, abs=1e-9)
    torch.testing.assert_close(s * plane.start + t * plane.direction, other.W)
    assert plane.place(network0) == pytest.approx((1, 0, 0), abs=1e-9)
    W = 1.2 * plane.start - 0.7 * plane.direction
    assert plane.place(TwoLayer(W, other.a)) == pytest.approx((1.2, -0.7, 0), abs=1e-9)
    beside = TwoLayer.random(6, 20, seed=9, dtype=torch.float64).W
    *_, outside = plane.place(TwoLayer(network0.W + beside, other.a))
    assert 0.5 < outside < 1


def test_networks_that_have_no_place_in_the_plane_are_refused():
    network0 = TwoLayer.random(3, 5)
    with refused("the plane needs networks without biases"):
        WeightPlane(LazyBall(network0, 1.0), TwoLayer.random(3, 5, bias=True))
    with refused(r"the network must have the shape of the ball's centre, \(5, 3\), got \(5, 4\)"):
        WeightPlane(LazyBall(network0, 1.0), TwoLayer.random(4, 5))
