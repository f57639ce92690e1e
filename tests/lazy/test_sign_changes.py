"""Neurons that can change sign within the ball: counts by loops, the bound, and the perturbation that breaks it."""

import math

import pytest
import scipy.stats
import torch

from cases import refused
from gradflip import LazyBall, TwoLayer
from gradflip.lazy import crowding_perturbation, sign_change_bound, switchable_neurons
from tensors import sphere


def test_the_bound_is_the_width_times_the_largest_density_and_hoeffdings_slack():
    for width, C0, gamma in [(100, 1, 0.5), (1000, 10, 0.01), (7, 0.3, 0.9)]:
        mean = width * 2 * C0 / math.sqrt(width) * scipy.stats.norm.pdf(0)
        # exp(-2 t^2 / m) = gamma
        slack = sign_change_bound(width, C0, gamma) - mean
        assert math.exp(-2 * slack**2 / width) == pytest.approx(gamma)


def test_neurons_in_the_slab_are_counted_as_by_a_loop():
    W, x = TwoLayer.random(6, 50, seed=0, dtype=torch.float64).W, 1.7 * sphere(3, 6)
    for i in range(3):
        by_loop = 0
        for w in W:
            by_loop += abs(float(w @ x[i])) <= 4 * 1.7 / math.sqrt(50)
        assert int(switchable_neurons(W, x, 4)[i]) == by_loop > 0


def test_those_neurons_and_no_others_change_sign_within_the_ball():
    network = TwoLayer.random(6, 50, seed=0, dtype=torch.float64)
    (x,), ball = sphere(1, 6), LazyBall(network, 2.0)
    can = 0
    for j in range(50):
        toward = -ball.radius * (1 + 1e-9) * x * (1 if float(network.W[j] @ x) > 0 else -1)
        can += (float((network.W[j] + toward) @ x) > 0) != (float(network.W[j] @ x) > 0)
    assert int(switchable_neurons(network.W, x, 2.0)) == can


@pytest.mark.parametrize("reach", [0.05, 0.2, 0.6])
def test_a_chosen_perturbation_is_short_and_crowds_the_slab(reach):
    W = TwoLayer.random(120, 500, seed=0, dtype=torch.float64).W
    for x in sphere(4, 120):
        delta = crowding_perturbation(W, x, 1.0, reach)
        assert float(torch.linalg.vector_norm(delta)) <= reach * (1 + 1e-9)
        before, after = int(switchable_neurons(W, x, 1.0)), int(switchable_neurons(W, x + delta, 1.0))
        assert after > (1.5 if reach < 0.1 else 2) * before


def test_a_probability_or_a_radius_out_of_range_is_refused():
    with refused(r"gamma must be in \(0, 1\], got 0.0"):
        sign_change_bound(10, 1.0, 0.0)
    with refused(r"radius must be in \(0, 1\), got 1.0"):
        crowding_perturbation(TwoLayer.random(3, 5).W, sphere(1, 3)[0], 1.0, 1.0)
