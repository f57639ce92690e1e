"""The compiled path against the sorting one: many tiny networks, wide ones, float32, threads, and without numba."""

import math
import re

import pytest
import torch

import gradflip.rays._gradient_ray as products
import gradflip.rays._newton as newton
import gradflip.rays._numba as compiled
import gradflip.rays._piecewise as piecewise
import gradflip.rays._random_network as random
from gradflip import (
    Bracketed,
    CertifiedNewton,
    FlipStatus,
    LazyBall,
    PiecewiseLinear,
    Ray,
    TwoLayer,
    UsageError,
    flip,
    gradient_ray,
    train,
)
from gradflip.rays._numba import kernels, serves
from gradflip.rays._result import Crossing
from tensors import normal

needs_numba = pytest.mark.skipif(kernels() is None, reason="numba is not installed")


def tiny_networks(dtype: torch.dtype):
    """320 networks of width 2 to 59 in dimension 2 to 5, each with 50 inputs: 16,000 rows."""
    for seed in range(320):
        width, dim = 2 + seed % 58, 2 + seed % 4
        sigma = ("relu", "leaky_relu(0.2)", "relu", "leaky_relu(-0.5)")[seed // 4 % 4]
        form = {"bias": seed % 3 == 0, "output_bias": seed % 5 == 0}
        network = TwoLayer.random(dim, width, activation=sigma, dtype=dtype, seed=seed, **form)
        yield network, normal(50, dim, seed=seed, dtype=dtype)


def nothing_found(ray) -> tuple[Crossing, torch.Tensor]:
    crossing = Crossing.not_found(len(ray.value), ray.u.device)
    return crossing, torch.zeros_like(crossing.status, dtype=torch.int32)


@pytest.mark.parametrize("finder", [pytest.param(CertifiedNewton(), marks=needs_numba), PiecewiseLinear()])
def test_no_late_crossing_and_no_step_that_is_no_root_in_16000_rows_of_tiny_networks(finder, monkeypatch):
    rows, sorts = 0, []
    within = piecewise._within
    monkeypatch.setattr(piecewise, "_within", lambda ray, *rest: sorts.append(len(ray.value)) or within(ray, *rest))
    for network, x in tiny_networks(torch.float64):
        found, before = flip(network, x, finder=finder), len(sorts)
        with monkeypatch.context() as only:
            only.setattr(piecewise, "falling_zero", lambda ray, start, reach: nothing_found(ray))
            sorted_ = flip(network, x, finder=PiecewiseLinear())
        del sorts[before:]
        assert torch.equal(found.status, sorted_.status)
        torch.testing.assert_close(found.step, sorted_.step, rtol=1e-11, atol=0)
        ray, turned = gradient_ray(network, x), found.status == FlipStatus.FLIPPED
        at = torch.where(turned, found.step, 0.0)
        assert bool((ray.phi(at).abs() <= 10 * ray.rounding(at))[turned].all())
        rows += len(x)
    assert rows == 16_000
    assert 1000 < sum(sorts) < 1.5 * rows  # up to three times a row: to fall and be done is the rule, also here


@pytest.mark.parametrize("finder", [pytest.param(CertifiedNewton(), marks=needs_numba), PiecewiseLinear()])
def test_float32_has_the_statuses_of_float64_and_its_steps_up_to_its_own_rounding(finder):
    for network, x in tiny_networks(torch.float32):
        found, exact = flip(network, x, finder=finder), flip(network.to(dtype=torch.float64), x.double())
        assert torch.equal(found.status, exact.status)
        turned = exact.status == FlipStatus.FLIPPED
        # phi is wrong by 1e-7 of its terms; where it falls slowly that moves the step more
        ray = gradient_ray(network.to(dtype=torch.float64), x.double())
        step = torch.where(turned, found.step, 0.0)
        assert bool((ray.phi(step).abs() <= 1e-6 * ray.rounding(step) / 1e-12)[turned].all())


@pytest.fixture(scope="module")
def lazily_trained() -> tuple[TwoLayer, torch.Tensor]:
    x = torch.nn.functional.normalize(normal(300, 25, seed=1, dtype=torch.float32))
    y = torch.where(x[:, 0] < 0, -1.0, 1.0)
    network0 = TwoLayer.random(25, 1000, bias=True, dtype=torch.float32, seed=2)
    fit = train(network0, x, y, ball=LazyBall(network0, 10.0), lr=1.0, batch_size=30, max_epochs=300)
    assert fit.left_at is not None
    return fit.network, x


@needs_numba
def test_few_passes_settle_a_wide_network(lazily_trained):
    network, x = lazily_trained
    ray = gradient_ray(network.to(dtype=torch.float64), x.double())
    found = CertifiedNewton()(ray)
    assert float(found.passes.double().mean()) < 4
    sorted_ = PiecewiseLinear()(ray)
    assert torch.equal(found.status, sorted_.status)
    torch.testing.assert_close(found.step, sorted_.step, rtol=1e-11, atol=0)


@pytest.mark.parametrize("finder", [pytest.param(CertifiedNewton(), marks=needs_numba), PiecewiseLinear()])
def test_float32_steps_of_a_trained_network_are_right_to_1e5(lazily_trained, finder):
    network, x = lazily_trained
    found, exact = flip(network, x, finder=finder), flip(network.to(dtype=torch.float64), x.double())
    assert torch.equal(found.status, exact.status)
    sure = exact.value.abs() > 0.05  # a smaller f has fewer digits in float32
    assert int(sure.sum()) > 250
    torch.testing.assert_close(found.step[sure], exact.step[sure], rtol=1e-5, atol=0)
    torch.testing.assert_close(found.value, exact.value, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.gradient_norm, exact.gradient_norm, rtol=1e-5, atol=0)


@needs_numba
def test_a_row_wider_than_a_run_of_float32_sums_is_taken_in_runs():
    network, x = TwoLayer.random(3, 10_000, bias=True, dtype=torch.float32, seed=1), normal(40, 3, seed=2).float()
    found, exact = flip(network, x), flip(network.to(dtype=torch.float64), x.double(), finder=PiecewiseLinear())
    assert torch.equal(found.status, exact.status)
    sure = exact.value.abs() > 0.2
    torch.testing.assert_close(found.step[sure], exact.step[sure], rtol=1e-5, atol=0)


@needs_numba
def test_threads_change_no_bit(lazily_trained, monkeypatch):
    network, x = lazily_trained
    ray = gradient_ray(network, x)
    alone = CertifiedNewton()(ray)
    monkeypatch.setattr(compiled, "_SHARE", 2**10)
    torch.set_num_threads(3)
    try:
        together = CertifiedNewton()(ray)
    finally:
        torch.set_num_threads(1)
    assert torch.equal(alone.step, together.step)
    assert torch.equal(alone.passes, together.passes)


# What float32 cannot settle


def test_what_overflows_float32_is_done_in_float64():
    W = torch.full((2, 2), 1e30, dtype=torch.float32)
    network = TwoLayer(W, torch.tensor([1.0, -0.5]))
    x = torch.tensor([[1e15, 1e15], [1.0, 2.0]], dtype=torch.float64)
    found = flip(network, x)
    exact = flip(network.to(dtype=torch.float64), x)
    assert torch.equal(found.status, exact.status)
    torch.testing.assert_close(found.value, exact.value, rtol=1e-6, atol=0)


def test_a_cancelling_network_is_flat_or_at_the_boundary_also_in_float32():
    rows = normal(50, 3, seed=3, dtype=torch.float32)
    a = torch.ones(50)
    for c, status in ((0.5, FlipStatus.FLAT), (None, FlipStatus.BOUNDARY)):
        # each neuron twice with opposite top weights, in another order: zero but for rounding
        order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
        network = TwoLayer(torch.cat([rows, rows[order]]), torch.cat([a, -a]), None, c)
        found = flip(network, normal(4, 3, seed=4).float())
        assert found.status.tolist() == [status] * 4
        assert "4 of 4 rows again in float64" in found.method
        assert found.refined == 4


def test_half_precision_networks_are_computed_in_float32():
    network, x = TwoLayer.random(6, 300, bias=True, dtype=torch.float16, seed=5), normal(20, 6, seed=6)
    found = flip(network, x)
    assert ", float32" in found.method
    assert found.dtype == torch.float32
    exact = flip(network.to(dtype=torch.float64), x)
    assert torch.equal(found.status, exact.status)
    torch.testing.assert_close(found.step, exact.step, rtol=1e-3, atol=0)
    assert gradient_ray(network, x).u.dtype == torch.float32


def test_smooth_networks_are_computed_in_float64():
    network, x = TwoLayer.random(6, 30, activation="tanh", dtype=torch.float32, seed=5), normal(20, 6, seed=6)
    found, exact = flip(network, x), flip(network.to(dtype=torch.float64), x)
    assert torch.equal(found.step, exact.step)
    assert ", float64" in found.method
    assert found.dtype == torch.float64


def test_weights_converted_by_blocks_give_the_same_products(monkeypatch):
    network, x = TwoLayer.random(6, 300, bias=True, dtype=torch.float32, seed=5), normal(20, 6, seed=6)
    whole = list(products.gradient_rays(network, x, torch.float64, 20))[0]
    monkeypatch.setattr(products, "_CONVERTED", 6 * 7)  # seven neurons at once
    parts = list(products.gradient_rays(network, x, torch.float64, 20))[0]
    for name in ("u", "v", "value", "gradient_norm", "input_norm"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name), rtol=1e-12, atol=1e-14)


# Which finder


def test_without_numba_the_sort_is_taken_and_finds_the_same(monkeypatch, lazily_trained):
    network, x = lazily_trained
    usual = flip(network, x)
    for module in (random, newton, products):
        monkeypatch.setattr(module, "kernels", lambda: None)
    plain = flip(network, x)
    assert plain.method.startswith("piecewise-linear, float32")
    assert (plain.finder, plain.dtype) == ("piecewise-linear", torch.float32)
    assert torch.equal(plain.status, usual.status)
    torch.testing.assert_close(plain.perturbation, usual.perturbation, rtol=0, atol=1e-6)
    with pytest.raises(UsageError, match=r"CertifiedNewton needs numba: pip install 'gradflip\[fast\]'"):
        flip(network, x, finder=CertifiedNewton())


def test_the_method_says_the_finder_the_type_and_the_cost(lazily_trained):
    network, x = lazily_trained
    said = flip(network, x, finder=PiecewiseLinear()).method
    assert re.fullmatch(
        r"piecewise-linear, float32(, \d+ of 300 rows again in float64)?: [2-4]\.\d\d passes a row", said
    )
    assert flip(network, x.double(), finder=Bracketed()).method.startswith("bracketed (rtol 1e-12), float64: ")


@needs_numba
@pytest.mark.parametrize("name", ["abs", "identity", "tanh"])
def test_activations_that_are_not_two_slopes_through_0_are_refused(name):
    network = TwoLayer.random(4, 9, activation=name, dtype=torch.float64)
    assert not serves(network.activation, torch.device("cpu"))
    with pytest.raises(UsageError, match=f"two slopes that meet in 0, got '{name}' on cpu; use PiecewiseLinear"):
        CertifiedNewton()(gradient_ray(network, torch.ones(1, 4)))


@needs_numba
def test_the_compiled_passes_serve_no_other_device():
    assert serves(TwoLayer.random(2, 2).activation, torch.device("cpu"))
    assert not serves(TwoLayer.random(2, 2).activation, torch.device("cuda"))


# Rays on which Newton steps alone go wrong


@needs_numba
@pytest.mark.parametrize(
    ("u", "v", "a", "c", "status"),
    [
        ([1.0, -1.0], [1.0, -1.0], [1.0, 1.0], 0.0, FlipStatus.NEVER),  # |1 - s|: touches 0
        ([1.0, -1.0, -2.0], [1.0, -1.0, -1.0], [1.0, 1.0, -3.0], 0.0, FlipStatus.FLIPPED),  # touches, then crosses
        ([1.0, -3.0], [1.0, -1.0], [1.0, -1.0], 0.0, FlipStatus.FLIPPED),  # rests on 0, then crosses
        ([0.1, 0.2, 0.3], [0.1, 0.7, 0.9], [1.0, 1.0, 1.0], 0.0, FlipStatus.NEVER),  # dies
        ([1.0, 2.0], [1.0, -1.0], [1.0, 1.0], 4.0, FlipStatus.NEVER),  # rises for good
        ([5.0, -1.0, -1.5], [1.0, -20.0, -20.0], [1.0, -1.0, 1.0], 0.0, FlipStatus.FLIPPED),  # a dip before the root
    ],
)
def test_rays_that_fool_a_root_finder_do_not_fool_a_certified_one(u, v, a, c, status):
    one = torch.ones(1, dtype=torch.float64)
    u, v = (torch.tensor([row], dtype=torch.float64) for row in (u, v))
    relu = TwoLayer.random(1, 1).activation
    ray = Ray.of(u, v, torch.tensor(a, dtype=torch.float64), c, relu, one, one)
    found, sorted_ = CertifiedNewton()(ray), PiecewiseLinear()(ray)
    assert found.status.tolist() == sorted_.status.tolist() == [status]
    assert float(found.step) == pytest.approx(float(sorted_.step), rel=1e-12) or math.isinf(float(found.step))


def nearly_touching(seed: int, height: float) -> tuple[TwoLayer, torch.Tensor] | None:
    """A float32 network and an input along whose ray phi falls to just this height and rises again."""
    network = TwoLayer.random(2, 12, seed=seed, dtype=torch.float32)
    x = normal(1, 2, seed=seed)
    ray = gradient_ray(network.to(dtype=torch.float64), x)
    if float(ray.value) <= 0.05:
        return None
    breaks = (ray.u / ray.v)[0]
    breaks = breaks[breaks > 0].sort().values
    phi = ray.rows(torch.zeros(len(breaks), dtype=torch.int64)).phi(breaks)
    lowest = int(phi.argmin())
    if lowest == len(breaks) - 1 or float(phi[lowest]) <= -0.5 * float(ray.value):
        return None
    c = height - float(phi[lowest])  # f > 0, so that phi moves with the output bias
    return TwoLayer(network.W, network.a, None, c, network.activation), x


@pytest.mark.parametrize("finder", [pytest.param(CertifiedNewton(), marks=needs_numba), PiecewiseLinear()])
@pytest.mark.parametrize("height", [1e-9, -1e-9])
def test_float32_tells_a_touch_from_a_dip_below_0_as_float64_does(height, finder):
    tried = 0
    for seed in range(400):
        case = nearly_touching(seed, height)
        if case is None:
            continue
        found, exact = (flip(n, case[1], finder=finder) for n in (case[0], case[0].to(dtype=torch.float64)))
        assert found.status.tolist() == exact.status.tolist()
        torch.testing.assert_close(found.step, exact.step, rtol=1e-4, atol=0)
        tried += 1
    assert tried > 30
