"""What a kind of network registers: its rays, and how its flips are searched for."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from cases import refused
from gradflip import Bracketed, Certainty, FlipStatus, RandomNetwork, StreamedTwoLayer, TwoLayer, flip, gradient_ray
from gradflip.rays import AbstractRay
from gradflip.rays._kinds import flips as flips_of
from gradflip.rays._kinds import rays, refine
from gradflip.rays._random_network import _DeepRay
from gradflip.rays._result import Crossing, Flip
from tensors import normal


@dataclass(frozen=True)
class Plane:
    """The network f(x) = w . x, a kind that registers its rays alone."""

    w: Tensor


@dataclass(frozen=True)
class PlaneRay(AbstractRay):
    """phi(s) = |w . x| - s |w|^2."""

    value: Tensor
    gradient_norm: Tensor
    input_norm: Tensor

    def rows(self, index):
        return PlaneRay(self.value[index], self.gradient_norm[index], self.input_norm[index])

    def phi(self, s):
        return self.value.abs() - s * self.gradient_norm**2

    def slope(self, s):
        return -(self.gradient_norm**2).expand_as(s)

    def rounding(self, s):
        return 1e-12 * (self.value.abs() + s * self.gradient_norm**2)

    def bend(self):
        return torch.zeros_like(self.value)


@rays.register
def _(network: Plane, x: Tensor) -> AbstractRay:
    return PlaneRay(x @ network.w, network.w.norm().expand(len(x)), x.norm(dim=1))


def test_a_kind_that_registers_rays_alone_has_flips_certified_by_its_bend():
    network, x = Plane(normal(5, seed=1)), normal(300, 5, seed=2)
    x[7] = 0
    for block in (None, 7):
        flips = flips_of(network, x, None, block)
        assert flips.status[7] == FlipStatus.BOUNDARY
        others = torch.arange(len(x)) != 7
        assert set(flips.certainty[others].tolist()) == {Certainty.CERTIFIED_FIRST}
        torch.testing.assert_close(flips.step, (x @ network.w).abs() / network.w.norm() ** 2, rtol=1e-11, atol=0)
        assert flips.method.startswith("bracketed (rtol 1e-12), float64: ")
    with refused("block must be a positive integer, got 0."):
        flips_of(network, x, None, 0)
    assert isinstance(rays(network, x), PlaneRay)


def test_another_kind_of_network_is_refused_in_one_sentence():
    sentence = "network must be a TwoLayer, a StreamedTwoLayer or a RandomNetwork, got Linear; "
    for call in (flip, gradient_ray):
        with refused(sentence + "TwoLayer.from_module takes a PyTorch module of two layers."):
            call(torch.nn.Linear(3, 1), normal(4, 3, seed=1))


def test_no_ray_holds_a_network_wider_than_memory():
    with refused(r"no ray holds the neurons of a StreamedTwoLayer; use network\.stored\(\) where it fits in memory\."):
        gradient_ray(StreamedTwoLayer(3, 20), normal(4, 3, seed=1))


@pytest.mark.parametrize("draws", [None, 2])
def test_the_slope_of_a_deep_ray_is_that_of_phi(draws):
    network = RandomNetwork([12, 30, 20], "tanh", seed=3, implicit=False, draws=draws)
    x = normal(*((5, 12) if draws is None else (draws, 5, 12)), seed=4)
    whole = _DeepRay.of(network, x)
    ray = whole.rows(torch.tensor([0, 3, 4]))
    s, h = 0.3 * ray.value.abs() / ray.gradient_norm**2, 1e-6
    difference = (ray.phi(s + h) - ray.phi(s - h)) / (2 * h)
    torch.testing.assert_close(ray.slope(s), difference, rtol=1e-6, atol=1e-9)
    zero = torch.zeros_like(whole.value)
    torch.testing.assert_close(whole.slope(zero), -(whole.gradient_norm**2))


# What a search amounts to


def crossing(*statuses: FlipStatus) -> Crossing:
    step = torch.arange(1.0, 1 + len(statuses), dtype=torch.float64)
    return Crossing(torch.tensor(statuses, dtype=torch.int8), step, step - 0.5, step + 0.5)


def test_boundary_and_flat_come_before_what_the_search_saw():
    flipped = FlipStatus.FLIPPED
    flips = Flip.assemble(
        crossing(flipped, flipped, flipped, flipped, FlipStatus.NEVER, FlipStatus.NOT_FOUND),
        value=torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0, 1.0]).double(),
        gradient_norm=torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0, 1.0]).double(),
        input_norm=torch.ones(6).double(),
        passes=3,
        finder="mine",
        certainty=Certainty.BRACKETED,
    )
    boundary, flat = FlipStatus.BOUNDARY, FlipStatus.FLAT
    assert flips.status.tolist() == [boundary, boundary, flat, flipped, FlipStatus.NEVER, FlipStatus.NOT_FOUND]
    assert flips.certainty.tolist() == [Certainty.EXACT] * 3 + [Certainty.BRACKETED] * 3
    inf = torch.inf
    assert flips.step.tolist() == [0, 0, inf, 4, inf, inf]
    assert flips.lower.tolist() == [0, 0, inf, 3.5, inf, inf]
    assert flips.upper.tolist() == [0, 0, inf, 4.5, inf, inf]
    assert flips.passes.tolist() == [3] * 6


def test_the_method_is_a_sentence_made_of_the_fields():
    flips = flip(TwoLayer.random(6, 20, activation="tanh", dtype=torch.float64), normal(4, 6, seed=1))
    alone = replace(flips, finder="mine", dtype=None)
    assert alone.method == "mine"
    cost = f"{float(flips.passes.double().mean()):.2f} passes a row"
    assert replace(alone, dtype=torch.float32).method == f"mine, float32: {cost}"
    assert replace(alone, dtype=torch.float32, refined=2).method == (
        f"mine, float32, 2 of 4 rows again in float64: {cost}"
    )
    assert replace(alone, weights="implicit").method == f"mine, implicit weights: {cost}"


def test_rows_that_float32_cannot_settle_are_searched_again_in_float64():
    network, x = TwoLayer.random(6, 20, activation="tanh", dtype=torch.float64), normal(8, 6, seed=1)
    types = []

    def search(rows, dtype):
        types.append((len(rows), dtype))
        flips = Bracketed()(gradient_ray(network, rows))
        status = flips.status.clone()
        if dtype == torch.float32:
            status[2:5] = FlipStatus.NOT_FOUND
        return replace(flips, status=status)

    flips = refine(search, x, torch.float32)
    assert types == [(8, torch.float32), (3, torch.float64)]
    assert (flips.dtype, flips.refined) == (torch.float32, 3)
    torch.testing.assert_close(flips.step, flip(network, x).step, rtol=1e-11, atol=0)
    assert bool((flips.passes[2:5] > flips.passes[:2].amax()).all())
