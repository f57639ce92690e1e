"""Certificates: a bound that no rounding passes, against exact rational arithmetic; what is searched, kept, refused."""

import dataclasses
import math
from fractions import Fraction

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import gradflip.certificates._upper_bound as rounding
from cases import refused
from gradflip import Activation, Certificate, FileError, LazyBall, TwoLayer, certify, flip_budget
from gradflip.certificates._certificate import prove
from gradflip.certificates._upper_bound import certified_upper_bound, norm_upper
from rational import (
    FAMILIES,
    FORMS,
    LARGER,
    exactly,
    interval_peaks,
    neurons,
    reference_function,
    root,
    row,
    small,
    sphere,
)
from tensors import normal

U = Fraction(1, 2**53)


def signs(count: int, seed: int) -> torch.Tensor:
    return torch.where(normal(count, seed=seed) < 0, -1.0, 1.0).double()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bound_is_above_the_exact_maximum_over_the_larger_ball(family):
    naive_fails = 0
    for seed in range(60):
        network, x, radius = small(family, seed)
        y = torch.tensor([1.0 - 2 * (seed % 2)], dtype=torch.float64)
        exact = exactly(network, reference_function(network), Fraction(radius) * LARGER, x, float(y))
        bound = Fraction(float(certified_upper_bound(network, radius, x[None], y)))
        assert bound >= exact
        naive = Fraction(float(LazyBall(network, radius=radius * (1 + 1e-5)).max_value(x[None], y)))
        naive_fails += naive < exact
        scale_of_top = float(network.a.abs().sum())
        # a bound that is far off proves nothing
        ray = float(torch.cat([x, torch.ones(1)]).norm() if network.bias is not None else x.norm())
        rows = max(math.hypot(*map(float, w)) for w in neurons(network)) + radius
        scale = 2 * float(network.a.abs().sum()) * rows * ray / math.sqrt(len(network.a)) + abs(
            network.output_bias or 0
        )
        assert bound - exact <= Fraction(200 * 2**-53 * scale) + Fraction(2.0**-900 * max(1.0, scale_of_top))
    assert naive_fails > 5  # where float64 itself is above, nothing was tested


@pytest.mark.parametrize("sigma", ["relu", "leaky_relu(0.2)", "abs"])
@pytest.mark.parametrize(("m", "d"), [(1, 1), (400, 1), (1, 60), (9, 5)])
def test_the_bound_holds_for_the_worst_arithmetic_that_the_standard_allows(m, d, sigma, monkeypatch):
    """Dot products, ends of intervals, sigma and the sum err as much as their bounds allow, all of them downwards."""

    def worst(network, x, y, lengths, radii, *, widening=0.0):
        function, label = reference_function(network), Fraction(float(y[0]))
        ray = [*row(x[0]), Fraction(1)] if network.bias is not None else row(x[0])
        u, reach = [], []
        for j, w in enumerate(neurons(network)):
            exact = sum((p * q for p, q in zip(w, ray, strict=True)), Fraction(0))
            lower = 1 if sigma != "abs" or exact > 0 else -1  # the direction in which sigma falls
            u.append(exact - lower * (len(ray) + 12) * U * abs(exact))
            reach.append(Fraction(float(radii[j])) * Fraction(float(lengths[0])) + Fraction(widening))
        peaks = interval_peaks(network, function, u, reach, label)
        tops = [abs(v) * abs(a) for v, a in zip(u, row(network.a), strict=True)]
        peaks = [p - 8 * U * (abs(p) + top) for p, top in zip(peaks, tops, strict=True)]
        total = sum(peaks, Fraction(0)) - (m - 1) * U * sum(map(abs, peaks), Fraction(0))
        return torch.tensor([float(total)], dtype=torch.float64)

    monkeypatch.setattr(rounding, "sums_of_maxima", worst)
    for seed in range(12):
        x, y = normal(1, d, seed=seed).abs(), torch.tensor([1.0 if seed % 2 else -1.0]).double()
        stretch, a = normal(m, seed=seed + 1).abs(), normal(m, seed=seed + 2).abs()
        if seed % 3 == 0:
            stretch = -stretch
        # all rows along x and all terms of one sign: nothing cancels, and the bounds are attained
        bias = stretch if seed % 4 == 0 else None
        network = TwoLayer(torch.outer(stretch, x[0]), float(y) * a, bias, None, sigma)
        exact = exactly(network, reference_function(network), Fraction(1e-18) * LARGER, x[0], float(y))
        assert Fraction(float(certified_upper_bound(network, 1e-18, x, y))) >= exact


def test_ten_million_neurons_are_summed_soundly():
    m, radius = 10_000_000, 2.0**-10
    draw = torch.Generator().manual_seed(0)
    W = torch.randint(-8, 9, (m, 2), generator=draw).float() * 0.1  # 289 different rows, none of them dyadic
    a = torch.randint(0, 2, (m,), generator=draw).float() * 2 - 1
    x, y = torch.tensor([[0.3, 0.7]]).double(), torch.tensor([-1.0]).double()
    network = TwoLayer(W, a)
    total, length = Fraction(0), root(sum((q * q for q in row(x[0])), Fraction(0)))
    whole = (W * 10).round().long() + 8
    for code, count in enumerate(torch.bincount((whole[:, 0] * 17 + whole[:, 1]) * 2 + (a > 0)).tolist()):
        kind, sign = torch.tensor(divmod(code // 2, 17)), Fraction(float(y[0])) * (1 if code % 2 else -1)
        u = sum((p * q for p, q in zip(row((kind - 8).float() * 0.1), row(x[0]), strict=True)), Fraction(0))
        total += count * sign * max(u + sign * Fraction(radius) * LARGER * length, Fraction(0))
    exact = total / root(Fraction(m))
    bound = float(certified_upper_bound(network, radius, x, y)[0])
    assert Fraction(bound) >= exact
    assert bound - float(exact) < 1e-5


def test_the_certified_radius_is_larger_by_a_hundred_thousandth():
    start = TwoLayer.random(5, 9, seed=1, dtype=torch.float64)
    ball, wider = LazyBall(start, radius=1.0), LazyBall(start, radius=1 + 0.999e-5)
    x, y = normal(20, 5, seed=2), signs(20, 3)
    bound = certified_upper_bound(start, ball.radius, x, y)
    assert bool((bound >= wider.max_value(x, y)).all())
    assert bool((bound <= LazyBall(start, radius=1 + 1.001e-5).max_value(x, y)).all())


def test_a_norm_is_never_below_the_exact_one():
    for seed in range(200):
        x = normal(1, 1 + seed % 30, seed=seed) * 10.0 ** ((seed % 41 - 20) * 15)
        exact = root(sum((q * q for q in row(x[0])), Fraction(0)))
        up = Fraction(float(norm_upper(x)[0]))
        assert up >= exact
        assert up <= exact * (1 + 300 * U) + Fraction(1, 2**999)
    assert norm_upper(torch.zeros(1, 3).double()).tolist() == [0.0]
    assert norm_upper(torch.tensor([[1e308, 1e308, 1e308, 1e308]]).double()).tolist() == [math.inf]


@pytest.mark.parametrize("sigma", ["relu", "tanh"])
def test_what_overflows_is_not_certified(sigma):
    start = TwoLayer(torch.full((3, 2), 1e200, dtype=torch.float64), -torch.ones(3).double(), activation=sigma)
    found = certify(LazyBall(start), torch.full((2, 2), 1e150, dtype=torch.float64), torch.ones(2), 1.0, steps=2)
    assert found.certified.tolist() == [False, False]
    assert found.bound.tolist() == [math.inf, math.inf]


@pytest.mark.parametrize("sigma", ["tanh", "erf", "gelu", "softplus", "swish", "sin"])
def test_the_bound_of_a_smooth_network_is_above_its_maximum_in_mpmath(sigma):
    import mpmath as mp

    functions = {
        "tanh": mp.tanh, "erf": mp.erf, "gelu": lambda z: z * mp.ncdf(z), "softplus": lambda z: mp.log(1 + mp.exp(z)),
        "swish": lambda z: z / (1 + mp.exp(-z)), "sin": mp.sin,
    }  # fmt: skip
    radius = 1e-15
    naive_fails = 0
    with mp.workdps(40):
        for seed in range(40):
            size = (1.0, 10.0)[seed % 2]
            W, a, x = size * normal(12, 4, seed=seed), normal(12, seed=seed + 1), normal(1, 4, seed=seed + 2)
            network, y = TwoLayer(W, a, activation=sigma), torch.ones(1).double()
            function, reach = functions[sigma], mp.mpf(radius) * mp.mpf("1.00001") * mp.norm(x[0].tolist())
            total = mp.mpf(0)
            for w, top in zip(W.tolist(), a.tolist(), strict=True):
                u = mp.fsum(mp.mpf(p) * mp.mpf(q) for p, q in zip(w, x[0].tolist(), strict=True))
                total += max(top * function(u - reach), top * function(u + reach))
            exact = total / mp.sqrt(12)
            bound = mp.mpf(float(certified_upper_bound(network, radius, x, y)[0]))
            assert bound >= exact
            assert bound - exact < (1e-11 if sigma != "softplus" else 4e-8)
            naive_fails += mp.mpf(float(LazyBall(network, radius=radius).max_value(x, y)[0])) < exact
    assert naive_fails > 5


def test_the_bound_holds_for_the_exact_softplus_too():
    start = TwoLayer(torch.tensor([[20.5]]).double(), torch.ones(1).double(), activation="softplus")
    one = torch.ones(1, 1).double()
    assert float(start(one)) == 20.5  # torch leaves out log1p(exp(-20.5)) = 1.2e-9
    assert float(certified_upper_bound(start, 1e-15, one, one[0])) >= 20.5 + math.log1p(math.exp(-20.5))


# The search


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_certified_is_near_and_below_zero(form, dtype):
    start = TwoLayer.random(30, 400, seed=2, dtype=dtype, **form)
    ball = LazyBall(start, 0.5)
    x = sphere(40, 30, 5)
    y = torch.where(ball.network0.to(dtype=torch.float64)(x) < 0, -1.0, 1.0)
    found = certify(ball, x.to(dtype), y.to(dtype), 0.9, steps=15)
    assert 0.5 < found.share <= 1.0  # or the test shows nothing
    assert bool((found.size <= 0.9).all())
    assert bool((found.bound >= ball.max_value(found.perturbed, found.y)).all())
    assert bool((ball.max_value(found.perturbed, found.y)[found.certified] < 0).all())
    assert torch.equal(found.x, x.to(dtype).double())
    assert found.to_frame().columns == ["y", "epsilon", "size", "bound", "certified"]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_the_search_descends_along_the_gradient_of_the_maximum(form):
    """M and its gradient as the search has them, against the exact maximum and its differences."""
    from gradflip.certificates._search import MaxMargin

    start = TwoLayer.random(6, 50, seed=3, dtype=torch.float64, **form)
    ball = LazyBall(
        TwoLayer(start.W, 1.7 * start.a, start.bias, start.output_bias, start.activation, start.scaling), 2.0
    )
    margin, wider = MaxMargin(ball), LazyBall(ball.network0, radius=ball.radius * (1 + 1e-5))
    x, y = normal(8, 6, seed=4), signs(8, 5)
    value, g = (part.clone() for part in margin(x, y))
    torch.testing.assert_close(value, wider.max_value(x, y), rtol=1e-10, atol=1e-12)
    for i in range(6):
        step = torch.zeros(6).double()
        step[i] = 1e-7
        slope = (wider.max_value(x + step, y) - wider.max_value(x - step, y)) / 2e-7
        torch.testing.assert_close(g[:, i], slope, rtol=1e-5, atol=1e-6)


def test_the_search_beats_the_ray_and_restarts_do_not_lose():
    start = TwoLayer.random(50, 300, seed=0, dtype=torch.float64)
    ball, x = LazyBall(start, 2.0), sphere(200, 50, 1)
    y = torch.where(start(x) < 0, -1.0, 1.0)
    g = torch.nn.functional.normalize(start.gradient(x))
    budget = 0.45
    ray = float((ball.max_value(x - budget * y[:, None] * g, y) < 0).double().mean())
    shares = [certify(ball, x, y, budget, steps=steps, restarts=k).share for steps, k in ((20, 1), (20, 4))]
    assert 0.02 < ray < shares[0] - 0.1
    assert shares[1] >= shares[0]


def test_seeds_and_budgets_of_single_points():
    start = TwoLayer.random(20, 100, seed=0, dtype=torch.float64)
    ball, x = LazyBall(start, 0.5), sphere(9, 20, 1)
    y = torch.where(start(x) < 0, -1.0, 1.0)
    epsilon = torch.linspace(0.01, 1.5, 9).double()
    first, again = (certify(ball, x, y, epsilon, steps=5, restarts=2, seed=3) for _ in range(2))
    assert torch.equal(first.perturbed, again.perturbed)
    assert bool((first.size <= epsilon).all())
    assert not first.certified[0]
    assert first.certified[-1]


def test_inputs_may_have_any_norm():
    start = TwoLayer.random(20, 400, seed=0, dtype=torch.float64)
    ball, x = LazyBall(start, 0.5), sphere(10, 20, 1)
    y = torch.where(start(x) < 0, -1.0, 1.0)
    for size in (1e-6, 1.0, 1e6):
        assert certify(ball, size * x, y, size * 1.2, steps=10).share == 1.0
        assert bool((flip_budget(ball, size * x, y).epsilon < size * 1.2).all())
    zero = certify(ball, torch.zeros(1, 20), torch.ones(1), 1.0, steps=5)  # f(0) = 0 for all W
    assert zero.bound.shape == (1,)


def test_a_point_that_is_too_far_is_not_certified():
    start = TwoLayer.random(20, 400, seed=0, dtype=torch.float64)
    ball, x = LazyBall(start, 0.1), sphere(5, 20, 1)
    y = torch.where(start(x) < 0, -1.0, 1.0)
    found = certify(ball, x, y, 1.0, steps=5)
    assert found.share == 1.0
    for epsilon, share in ((found.size, 1.0), (found.size * (1 - 1e-12), 0.0)):
        assert prove(ball, found.x, found.y, epsilon, found.perturbed).share == share


# Flip budgets


def test_a_flip_budget_is_certified_at_its_own_size_and_not_far_below():
    start = TwoLayer.random(60, 1000, seed=1, dtype=torch.float32)
    ball, x = LazyBall(start, 1.0), sphere(60, 60, 2).float()
    y = torch.where(start(x) < 0, -1.0, 1.0)
    found = flip_budget(ball, x, y)
    assert bool((found.epsilon < math.inf).all())
    assert found.certificate.share == 1.0
    assert bool((found.certificate.bound < 0).all())
    assert certify(ball, x, y, 1.01 * found.epsilon, steps=50).share == 1.0
    assert certify(ball, x, y, 0.97 * found.epsilon, steps=50).share < 0.05
    scale = (0.5 + y * start(x)).double() / math.sqrt(30)
    ratio = found.epsilon / scale
    assert 0.8 < float(ratio.min()) <= float(ratio.max()) < 1.3
    for epsilon in (0.05, 0.2, 10.0):
        assert found.at(epsilon) == float((found.epsilon <= epsilon).double().mean())
    assert found.at(10.0) == 1.0


def test_a_point_that_all_networks_misclassify_has_budget_0_and_one_that_none_does_inf():
    start = TwoLayer.random(20, 400, seed=0, dtype=torch.float64)
    ball, x = LazyBall(start, 0.01), sphere(5, 20, 1)
    y = torch.where(start(x) < 0, 1.0, -1.0)
    found = flip_budget(ball, x, y)
    assert found.epsilon.tolist() == [0.0] * 5
    assert torch.equal(found.certificate.perturbed, x)
    never = LazyBall(TwoLayer(start.W.abs(), torch.ones(400).double(), activation="softplus"), 0.01)
    none = flip_budget(never, x, torch.ones(5))
    assert none.epsilon.tolist() == [math.inf] * 5
    assert none.certificate.certified.tolist() == [False] * 5


# Files


@pytest.fixture
def certificate() -> Certificate:
    start = TwoLayer.random(8, 60, seed=0, bias=True, output_bias=True, activation="leaky_relu(0.2)")
    x = sphere(6, 8, 1).float()
    return certify(LazyBall(start, 0.2), x, torch.where(start(x) < 0, -1.0, 1.0), 1.5, steps=5)


def test_a_certificate_is_saved_and_read_again(certificate, tmp_path):
    path = tmp_path / "certificate.safetensors"
    certificate.save(path)
    again = Certificate.load(path)
    for name in ("x", "y", "epsilon", "perturbed", "bound", "certified"):
        assert torch.equal(getattr(again, name), getattr(certificate, name))
    assert again.ball.radius == certificate.ball.radius
    assert torch.equal(again.ball.network0.W, certificate.ball.network0.W)
    assert again.ball.network0.activation is certificate.ball.network0.activation
    assert torch.equal(TwoLayer.load(path).W, certificate.ball.network0.W)
    assert certificate.share > 0
    found = certified_upper_bound(again.ball.network0, again.ball.radius, again.perturbed, again.y)
    assert torch.equal(found, certificate.bound)


@pytest.mark.parametrize(
    "name", ["W", "a", "radius", "x", "y", "epsilon", "perturbed", "bound", "certified", "output_bias"]
)
def test_an_altered_file_is_refused(name, certificate, tmp_path):
    path = tmp_path / "certificate.safetensors"
    certificate.save(path)
    with safe_open(path, framework="pt") as opened:
        about, tensors = opened.metadata(), {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    flat = tensors[name].reshape(-1)
    flat[0] = ~flat[0] if flat.dtype == torch.bool else flat[0] * (1 + 1e-6) + 1e-9
    save_file(tensors, path, metadata=about)
    with pytest.raises(FileError, match="was altered: its content has another SHA-256 digest than it states"):
        Certificate.load(path)


def test_other_files_are_refused(certificate, tmp_path):
    with pytest.raises(FileError, match="does not exist; give a file that Certificate.save wrote"):
        Certificate.load(tmp_path / "none.safetensors")
    other = tmp_path / "network.safetensors"
    certificate.ball.network0.save(other)
    with pytest.raises(FileError, match="is no certificate, its format is 'gradflip.TwoLayer/1'"):
        Certificate.load(other)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"nothing")
    with pytest.raises(FileError, match="is not a readable certificate"):
        Certificate.load(damaged)
    with pytest.raises(FileError, match="cannot be written"):
        certificate.save(tmp_path / "no" / "folder.safetensors")
    mine = Activation("mine", torch.tanh, lambda z: 1 - torch.tanh(z) ** 2, lipschitz=1.0, turning=())
    ball = LazyBall(TwoLayer.random(8, 5, activation=mine))
    with refused("only built-in activations can be saved, got 'mine'"):
        certify(ball, sphere(2, 8, 0), torch.ones(2), 0.1, steps=1).save(tmp_path / "mine.safetensors")


def test_parts_that_do_not_belong_together_are_refused(certificate):
    with refused(r"bound of a certificate must be torch.float64 of shape \(6,\), got torch.float64 of \(2,\)"):
        dataclasses.replace(certificate, bound=certificate.bound[:2])
    with refused("y of a certificate must hold only"):
        dataclasses.replace(certificate, y=2 * certificate.y)


# Errors

BALL = LazyBall(TwoLayer.random(5, 4, dtype=torch.float64), 1.0)
GOOD = {"ball": BALL, "x": normal(3, 5, seed=1), "y": torch.ones(3), "epsilon": 0.1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ball": BALL.network0}, r"ball must be a LazyBall, got TwoLayer; build it as LazyBall\(network0, C0\)"),
        ({"x": normal(3, 4, seed=1)}, r"x must have shape \(n, 5\) with n at least 1, got \(3, 4\)"),
        ({"x": GOOD["x"] * math.nan}, "x must be finite, got 15 NaN or infinite entries"),
        ({"y": torch.ones(2)}, "y must have one label per row of x, 3"),
        ({"y": torch.zeros(3)}, r"y must hold only -1 and \+1, got 0"),
        ({"epsilon": 0.0}, "epsilon must be positive and finite, got 0"),
        ({"epsilon": -1}, "epsilon must be positive and finite, got -1"),
        ({"epsilon": math.inf}, "epsilon must be positive and finite, got inf"),
        ({"epsilon": math.nan}, "epsilon must be positive and finite, got nan"),
        ({"epsilon": "0.1"}, "epsilon must be a number or a tensor of one per point, got '0.1'"),
        ({"epsilon": torch.ones(2)}, r"epsilon must be a number or one for each of the 3 points, got \(2,\)"),
        ({"epsilon": torch.tensor([1.0, 0.0, 1.0])}, "epsilon must be positive and finite, got 0"),
        ({"steps": 0}, "steps must be a positive integer, got 0"),
        ({"steps": 1.5}, "steps must be a positive integer, got 1.5"),
        ({"restarts": 0}, "restarts must be a positive integer, got 0"),
    ],
)
def test_a_request_that_is_none_is_refused(change, message):
    with refused(message):
        certify(**(GOOD | change))
    if set(change) <= {"ball", "x", "y", "steps"}:
        with refused(message):
            flip_budget(**({"ball": BALL, "x": GOOD["x"], "y": GOOD["y"]} | change))


@pytest.mark.parametrize("rtol", [0.0, 1.0, math.nan, "fine"])
def test_a_width_of_the_bracket_that_is_none_is_refused(rtol):
    with refused(f"rtol must be between 0 and 1, got {rtol!r}"):
        flip_budget(BALL, GOOD["x"], GOOD["y"], rtol=rtol)


def test_an_activation_of_unknown_slope_is_refused_by_name():
    mine = Activation("mine", torch.tanh, lambda z: 1 - torch.tanh(z) ** 2, turning=())
    ball = LazyBall(TwoLayer.random(5, 4, activation=mine))
    for function in (
        lambda: certify(**(GOOD | {"ball": ball}), steps=1),
        lambda: flip_budget(ball, GOOD["x"], GOOD["y"]),
    ):
        with refused("certificates need a bound on the slope of activation 'mine'; give Activation"):
            function()
