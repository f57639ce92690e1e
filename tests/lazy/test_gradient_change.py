"""The change of the gradient near an input: against dense discs and its definition."""

import math

import torch

from cases import refused
from gradflip import TwoLayer
from gradflip.lazy import largest_gradient_change
from tensors import seeded, sphere


def test_the_largest_difference_is_one_within_reach_and_near_the_largest_of_a_dense_disc():
    for seed in range(5):
        network = TwoLayer.random(2, 60, seed=seed, dtype=torch.float64)
        x, reach = sphere(3, 2, seed), 0.5
        found = largest_gradient_change(network, x, reach, starts=4, steps=20, generator=seeded(0))
        angles = torch.arange(720, dtype=torch.float64) * math.pi / 360
        circle = torch.stack([angles.cos(), angles.sin()], dim=1)
        disc = torch.cat([reach * share * circle for share in (0.25, 0.5, 0.75, 1.0)])
        for i in range(3):
            there = network.gradient(x[i] + disc) - network.gradient(x[i])
            dense = float(torch.linalg.vector_norm(there, dim=1).max())
            assert 0.7 * dense <= float(found[i]) <= 1.1 * dense


def test_a_search_of_one_step_is_the_difference_at_its_starts_and_more_steps_find_no_less():
    network = TwoLayer.random(30, 80, seed=2, dtype=torch.float64)
    x, reach = sphere(4, 30), 0.3
    g = network.gradient(x)
    ahead = reach * g / torch.linalg.vector_norm(g, dim=1, keepdim=True)
    by_hand = torch.stack([network.gradient(x + d) - g for d in (ahead, -ahead)]).norm(dim=-1).amax(dim=0)
    few, more = (
        largest_gradient_change(network, x, reach, starts=0, steps=steps, generator=seeded()) for steps in (1, 12)
    )
    torch.testing.assert_close(few, by_hand)
    assert bool((more >= few).all())
    assert float(more.mean()) > 1.1 * float(few.mean())


def test_a_difference_is_measured_in_blocks_as_it_is_at_once(monkeypatch):
    network, x = TwoLayer.random(10, 40, seed=2, dtype=torch.float64), sphere(7, 10)
    found = [largest_gradient_change(network, x, 0.3, starts=2, steps=4, generator=seeded(1)) for _ in (0, 1)]
    monkeypatch.setattr("gradflip.lazy._gradient_change._BLOCK", 300)
    again = largest_gradient_change(network, x, 0.3, starts=2, steps=4, generator=seeded(1))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    torch.testing.assert_close(found[0], again)


def test_what_the_ascent_does_not_cover_is_refused():
    x, draw = sphere(2, 3), seeded()
    with refused("largest_gradient_change needs activation 'relu', got 'abs'"):
        largest_gradient_change(TwoLayer.random(3, 5, activation="abs"), x, 0.1, starts=1, steps=1, generator=draw)
    with refused("largest_gradient_change needs a network without biases"):
        largest_gradient_change(TwoLayer.random(3, 5, bias=True), x, 0.1, starts=1, steps=1, generator=draw)
    with refused("steps must be an integer >= 1, got 0"):
        largest_gradient_change(TwoLayer.random(3, 5), x, 0.1, starts=1, steps=0, generator=draw)
