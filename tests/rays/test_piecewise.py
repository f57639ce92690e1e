"""The exact flip of piecewise-linear networks against rational arithmetic, network by network."""

import itertools
import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import example, given, settings

from cases import FAMILIES, PIECEWISE, rays_of, weights
from gradflip import Certainty, CertifiedNewton, Flip, FlipStatus, PiecewiseLinear, Ray, TwoLayer, flip, gradient_ray
from gradflip.rays._numba import kernels, serves
from reference import ExactRay, plain_sign_change

WIDTHS = (1, 2, 3, 5, 8, 16, 31, 60)
EACH = 17  # 11 families x 7 activations x 8 widths x 17 = 10,472 networks


def exact_ray(ray: Ray, i: int, name: str) -> ExactRay:
    activation, twin = PIECEWISE[name]
    slopes = activation.slopes
    return ExactRay(ray.u[i].tolist(), ray.v[i].tolist(), ray.a.tolist(), ray.c, twin, activation.kinks, slopes)


def assert_right(ray: Ray, found: Flip, name: str) -> dict[str, int]:
    """Every ray of the batch has the status and step of rational arithmetic, up to the stated rounding.

    Returns how often each status came and how often only the rounding rule excused a difference.
    """
    counts = {"flipped": 0, "never": 0, "boundary": 0, "flat": 0, "excused": 0}
    assert set(found.certainty.tolist()) <= {Certainty.EXACT}
    for i, code in enumerate(found.status.tolist()):
        exact, status = exact_ray(ray, i, name), FlipStatus(code).name.lower()
        counts[status] += 1
        step = float(found.step[i])
        if status == "flat":
            assert float(ray.gradient_norm[i]) == 0 and exact.sign != 0
            assert math.isinf(step)
            continue
        truth = exact.flip()
        assert (truth.status == "boundary") == (status == "boundary")
        if status == truth.status and (status != "flipped" or math.isclose(step, truth.step, rel_tol=1e-12)):
            assert step == {"boundary": 0.0, "never": math.inf}.get(status, step)
            continue
        counts["excused"] += 1
        wrong = exact.excuse(status, step)
        assert wrong is None, f"{wrong}; truth: {truth.status} {truth.step and float(truth.step)}; got {status} {step}"
    return counts


@pytest.mark.parametrize("name", PIECEWISE)
@pytest.mark.parametrize("family", FAMILIES)
def test_status_and_step_are_those_of_rational_arithmetic(family, name):
    excused = 0
    for width in WIDTHS:
        ray = rays_of(weights(family, width, count=EACH, seed=1000 * width + len(name)), PIECEWISE[name][0])
        excused += assert_right(ray, PiecewiseLinear()(ray), name)["excused"]
        if kernels() and serves(ray.sigma, ray.u.device):
            assert_right(ray, CertifiedNewton()(ray), name)
    rounding_decides = family in ("aligned", "far_scales") or name == "abs"  # one |w x| touches 0 and turns back
    assert rounding_decides or excused <= 0.05 * EACH * len(WIDTHS)


def test_the_families_show_every_status():
    counts = dict.fromkeys(("flipped", "never", "boundary", "flat", "excused"), 0)
    for family, width in itertools.product(FAMILIES, WIDTHS):
        ray = rays_of(weights(family, width, count=EACH, seed=width), PIECEWISE["relu"][0])
        for status, count in assert_right(ray, PiecewiseLinear()(ray), "relu").items():
            counts[status] += count
    assert all(counts[status] >= 20 for status in ("flipped", "never", "boundary", "flat")), counts


@pytest.mark.parametrize("reach", [1e-3, 0.5, 1.0, 1e3])
def test_how_far_the_first_attempt_looks_changes_nothing(reach):
    for name, width in itertools.product(PIECEWISE, (3, 16, 60)):
        ray = rays_of(weights("gaussian_bias", width, count=EACH, seed=width), PIECEWISE[name][0])
        usual, other = PiecewiseLinear()(ray), PiecewiseLinear(reach=reach)(ray)
        assert torch.equal(usual.status, other.status)
        torch.testing.assert_close(other.step, usual.step, rtol=1e-12, atol=0)


# Rays that no gradient made: phi may rise first, cross many times, touch zero, rest on it.


def random_rays(name: str, width: int, *, whole: bool, count: int, seed: int) -> Ray:
    draw = torch.Generator().manual_seed(seed)
    if whole:
        u, v = (torch.randint(-3, 4, (count, width), generator=draw).double() for _ in range(2))
        a, c = torch.randint(-2, 3, (width,), generator=draw).double(), 0.0
    else:
        u, v = (torch.randn(count, width, generator=draw, dtype=torch.float64) for _ in range(2))
        a, c = torch.randn(width, generator=draw, dtype=torch.float64), 0.1
    return Ray.of(u, v, a, c, PIECEWISE[name][0], v.norm(dim=1), u.norm(dim=1))


@pytest.mark.parametrize("whole", [True, False], ids=["whole-numbers", "gaussian"])
@pytest.mark.parametrize("name", PIECEWISE)
def test_the_first_of_many_crossings_is_found_on_arbitrary_rays(name, whole):
    crossings = []
    for width in (1, 2, 4, 9, 25, 49):
        ray = random_rays(name, width, whole=whole, count=60, seed=width)
        flat = ray.gradient_norm == 0
        ray = ray.rows(~flat)
        found = PiecewiseLinear()(ray)
        assert_right(ray, found, name)
        if kernels() and serves(ray.sigma, ray.u.device):
            assert_right(ray, CertifiedNewton()(ray), name)
        for i in (found.status == FlipStatus.FLIPPED).nonzero()[:, 0].tolist():
            signs = [value > 0 for _, value, _ in exact_ray(ray, i, name).walk() if value != 0]
            crossings.append(sum(left != right for left, right in itertools.pairwise(signs)))
    if name not in ("identity", "leaky_relu"):  # these cross once or twice
        assert max(crossings) >= 2


small_numbers = st.integers(-3, 3).map(float) | st.floats(-4, 4, width=32)


@st.composite
def rays(draw):
    width = draw(st.integers(1, 7))
    row = st.lists(small_numbers, min_size=width, max_size=width)
    u, v, a = (torch.tensor([draw(row)], dtype=torch.float64) for _ in range(3))
    if draw(st.booleans()):  # the last neuron copies the first, perhaps cancelling it
        u[0, -1], v[0, -1], a[0, -1] = u[0, 0], v[0, 0], a[0, 0] * draw(st.sampled_from([1.0, -1.0]))
    return draw(st.sampled_from(list(PIECEWISE))), u, v, a[0], draw(st.sampled_from([0.0, 0.0, 0.5, -1.0]))


@settings(max_examples=800)
@given(rays())
def test_status_and_step_of_any_small_ray_are_those_of_rational_arithmetic(case):
    name, u, v, a, c = case
    ray = Ray.of(u, v, a, c, PIECEWISE[name][0], torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    assert_right(ray, PiecewiseLinear()(ray), name)
    if kernels() and serves(ray.sigma, ray.u.device):
        assert_right(ray, CertifiedNewton()(ray), name)


@st.composite
def networks(draw):
    width, dim = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    numbers = draw(st.sampled_from([st.integers(-2, 2).map(float), st.floats(-3, 3, width=32)]))

    def tensor(*shape):
        flat = draw(st.lists(numbers, min_size=math.prod(shape), max_size=math.prod(shape)))
        return torch.tensor(flat, dtype=torch.float64).reshape(shape)

    W = tensor(width, dim)
    if draw(st.booleans()):
        W[-1] = W[0] * draw(st.sampled_from([1.0, -1.0, 2.0]))
    bias = tensor(width) if draw(st.booleans()) else None
    c = draw(st.none() | st.sampled_from([0.0, 0.25, -1.0]))
    name = draw(st.sampled_from(list(PIECEWISE)))
    return TwoLayer(W, tensor(width), bias, c, PIECEWISE[name][0]), tensor(2, dim), name


@settings(max_examples=500)
@given(networks())
@example((
    TwoLayer(torch.ones(1, 1).double(), torch.ones(1).double(), activation="abs"),
    torch.ones(1, 1).double(),
    "abs",
))
def test_status_and_step_of_any_small_network_are_those_of_rational_arithmetic(case):
    network, x, name = case
    assert_right(gradient_ray(network, x), flip(network, x), name)


def test_status_of_whole_numbers_needs_no_rounding_rule():
    # W, a, b, x whole: sqrt(m) f and sqrt(m) g are whole, so the truth is known from the weights alone, ray and all
    draw = torch.Generator().manual_seed(1)
    checked = dict.fromkeys(FlipStatus, 0)
    for k in range(1500):
        width, dim = 1 + k % 12, 1 + k % 4
        W, a, b, x = (
            torch.randint(-2, 3, shape, generator=draw).double() for shape in ((width, dim), (width,), (width,), (dim,))
        )
        name = list(PIECEWISE)[k % 5]
        activation, twin = PIECEWISE[name]
        if name.startswith("leaky"):
            continue  # slopes that are no whole numbers
        u = W @ x + b
        value = activation(u) @ a
        G = (activation.derivative(u) * a) @ W
        v = value.sign() * (W @ G)
        exact = ExactRay(u.tolist(), v.tolist(), a.tolist(), 0.0, twin, activation.kinks, activation.slopes).flip()
        expected = "flat" if value != 0 and not G.any() else exact.status
        found = flip(TwoLayer(W, a, b, activation=activation), x[None])
        assert FlipStatus(int(found.status)).name.lower() == expected, (W, a, b, x, name)
        checked[FlipStatus(int(found.status))] += 1
        if expected == "flipped":  # x(s) = x - s g, g = G / sqrt(m)
            assert float(found.step) == pytest.approx(float(exact.step) * math.sqrt(width), rel=1e-12)
    assert all(checked[status] > 20 for status in list(FlipStatus)[:4])


@pytest.mark.parametrize("family", FAMILIES)
def test_the_plain_code_in_floats_agrees(family):
    rtol = 1e-6 if family == "far_scales" else 1e-9  # the plain code sums twelve orders of magnitude afresh
    for width in WIDTHS:
        ray = rays_of(weights(family, width, count=20, seed=width + 5000), PIECEWISE["relu"][0])
        ray = ray.rows(ray.gradient_norm > 0)
        if ray.c:
            ray = Ray.of(ray.u, ray.v, ray.a, 0.0, ray.sigma, ray.gradient_norm, ray.input_norm)
        found = PiecewiseLinear()(ray)
        for i, code in enumerate(found.status.tolist()):
            status, step = plain_sign_change(ray.u[i].tolist(), ray.v[i].tolist(), ray.a.tolist())
            assert FlipStatus(code).name.lower() == status
            assert float(found.step[i]) == step or float(found.step[i]) == pytest.approx(step, rel=rtol)
