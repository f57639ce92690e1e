"""The limits of random networks: closed forms, thirty digits, and networks that are simply drawn."""

import functools
import math

import mpmath
import pytest
import scipy.special
import torch

from cases import hard_tanh, refused
from gradflip import Activation
from gradflip.networks import activation
from gradflip.theory import Limits, gaussian_mean, limits


def _clipped(q):
    """E clip(sqrt(q) Z, -1, 1)^2, by parts."""
    k = 1 / math.sqrt(q)
    density = math.exp(-k * k / 2) / math.sqrt(2 * math.pi)
    return q * (math.erf(k / math.sqrt(2)) - 2 * k * density) + math.erfc(k / math.sqrt(2))


# q -> E sigma(sqrt(q) Z)^2 and E sigma'(sqrt(q) Z)^2
CLOSED = {
    "relu": (lambda q: q / 2, lambda q: 1 / 2),
    "leaky_relu": (lambda q: q * (1 + 0.01**2) / 2, lambda q: (1 + 0.01**2) / 2),
    "leaky_relu(-0.5)": (lambda q: q * 1.25 / 2, lambda q: 1.25 / 2),
    "abs": (lambda q: q, lambda q: 1),
    "identity": (lambda q: q, lambda q: 1),
    # (2 / pi) asin(2 q / (1 + 2 q)), written so that it keeps its digits at large q
    "erf": (
        lambda q: 2 / math.pi * math.atan(2 * q / math.sqrt(1 + 4 * q)),
        lambda q: 4 / math.pi / math.sqrt(1 + 4 * q),
    ),
    "sin": (lambda q: -math.expm1(-2 * q) / 2, lambda q: (1 + math.exp(-2 * q)) / 2),
    "hard_tanh": (_clipped, lambda q: math.erf(1 / math.sqrt(2 * q))),
}

PRECISE = {
    "gelu": (lambda z: z * mpmath.ncdf(z), lambda z: mpmath.ncdf(z) + z * mpmath.npdf(z)),
    "tanh": (mpmath.tanh, lambda z: mpmath.sech(z) ** 2),
    "softplus": (lambda z: mpmath.log1p(mpmath.exp(z)), lambda z: 1 / (1 + mpmath.exp(-z))),
    "swish": (
        lambda z: z / (1 + mpmath.exp(-z)),
        lambda z: (1 + mpmath.exp(-z) * (1 + z)) / (1 + mpmath.exp(-z)) ** 2,
    ),
    "sin": (mpmath.sin, mpmath.cos),
}


def _recursion(squares, depth, c):
    """nu^2, tau^2 and the variances, given the two means of squares as functions of q."""
    second, slope = squares
    variances, tau2 = [c], 1
    for _ in range(depth):
        tau2 *= c * slope(variances[-1])
        variances.append(c * second(variances[-1]))
    return variances.pop() / c, tau2, variances


@functools.cache
def _thirty_digits(name, depth, c):
    def mean_square(function):
        points = list(range(-14, 15))  # beyond them, 1e-44 of the mass; the poles of tanh are near these pieces' length
        return lambda q: mpmath.quad(
            lambda z: function(mpmath.sqrt(q) * z) ** 2 * mpmath.npdf(z), points, method="gauss-legendre"
        )

    with mpmath.workdps(30):
        return _recursion([mean_square(function) for function in PRECISE[name]], depth, mpmath.mpf(c))


def _assert_limits(found, expected, rel):
    nu2, tau2, variances = expected
    assert found.nu**2 == pytest.approx(float(nu2), rel=rel, abs=0)
    assert found.tau**2 == pytest.approx(float(tau2), rel=rel, abs=0)
    assert found.variances == pytest.approx([float(q) for q in variances], rel=rel, abs=0)


@pytest.mark.parametrize("c", [0.3, 1, 2])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("name", CLOSED)
def test_limits_are_those_of_the_closed_forms(name, depth, c):
    sigma = hard_tanh() if name == "hard_tanh" else name
    _assert_limits(limits(sigma, depth, c), _recursion(CLOSED[name], depth, c), rel=1e-13)


@pytest.mark.parametrize("c", [1, 2])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("name", PRECISE)
def test_limits_are_those_of_thirty_digits(name, depth, c):
    _assert_limits(limits(name, depth, c), _thirty_digits(name, depth, c), rel=1e-13)


@pytest.mark.parametrize("name", ["erf", "sin", "hard_tanh", "relu"])
def test_large_variances_lose_no_digits(name):
    sigma = hard_tanh() if name == "hard_tanh" else name  # sin takes 10^6 panels a layer, erf' is 10^-3 wide
    _assert_limits(limits(sigma, 2, 1e6), _recursion(CLOSED[name], 2, 1e6), rel=1e-11)


def test_piecewise_linear_activations_have_limits_at_any_variance():
    found = limits("relu", 3, 1e60)
    assert found.nu == pytest.approx(math.sqrt(1e180 / 8), rel=1e-13)
    assert found.tau == pytest.approx(math.sqrt(1e180 / 8), rel=1e-13)
    assert limits("relu", 3, 1e-60).nu == pytest.approx(math.sqrt(1e-180 / 8), rel=1e-13)


def test_the_default_is_the_two_layer_relu_network_of_the_paper():
    found = limits()
    assert (found.nu, found.tau) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)), rel=1e-14)
    assert found.variances == (1.0,)
    assert found.relative_quantile(0.5) == pytest.approx(0.674489750196082, rel=1e-13)  # the median of |Z|


def test_an_activation_and_its_name_have_the_same_limits():
    assert limits(activation("tanh"), 2) == limits("tanh", 2)
    assert limits("leaky_relu(0.2)").nu ** 2 == pytest.approx(1.04 / 2, rel=1e-13)


# E 1/(Z^2 + b^2) = sqrt(pi/2) exp(b^2/2) erfc(b/sqrt 2) / b: poles at distance b
@pytest.mark.parametrize("scale", [0.1, 1.0, 7.3, 1000.0])
@pytest.mark.parametrize("pole", [0.5, 1.5])
def test_poles_near_the_axis_cost_no_digits(pole, scale):
    b = pole / scale
    expected = math.sqrt(math.pi / 2) / b * scipy.special.erfcx(b / math.sqrt(2)) / scale**2
    assert gaussian_mean(lambda z: 1 / (z * z + pole**2), scale=scale) == pytest.approx(expected, rel=1e-13, abs=0)


@pytest.mark.parametrize("scale", [0.05, 1.7, 31.0])
@pytest.mark.parametrize("kink", [-2.2, 0.3])
def test_kinks_and_jumps_cost_no_digits(kink, scale):
    k = kink / scale
    above, density = math.erfc(k / math.sqrt(2)) / 2, math.exp(-k * k / 2) / math.sqrt(2 * math.pi)
    jump = gaussian_mean(lambda z: (z > kink).to(z.dtype), kinks=[kink], scale=scale)
    assert jump == pytest.approx(above, rel=1e-13, abs=1e-30)  # at -44 standard deviations nothing is left
    hinge = gaussian_mean(lambda z: (z - kink).relu(), kinks=[kink], scale=scale)
    assert hinge == pytest.approx(scale * (density - k * above), rel=1e-13, abs=1e-16)


def test_several_kinks_in_any_order_are_all_split_at():
    mean = gaussian_mean(lambda z: (z - 0.7).abs() + (z + 1.3).abs(), kinks=[0.7, -1.3, 0.7, 1e9])
    expected = sum(k * math.erf(k / math.sqrt(2)) + math.sqrt(2 / math.pi) * math.exp(-k * k / 2) for k in (0.7, 1.3))
    assert mean == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("power", [0, 2, 10, 20, 40])
def test_the_tail_left_out_is_not_missed(power):
    expected = float(scipy.special.factorial2(power - 1)) if power else 1.0
    assert gaussian_mean(lambda z: z**power) == pytest.approx(expected, rel=1e-13)


def _draw(name, depth, c, *, size, steps, seed):
    """Networks from the definition, one by one: |f(x)|; |h_L|^2/m, |g|^2, each |u_l|^2/m; sign(f(x)) f(x(s))."""
    source = torch.Generator().manual_seed(seed)
    sigma = activation(name)
    while True:
        W = [torch.randn(size, size, generator=source, dtype=torch.float64) * math.sqrt(c / size) for _ in range(depth)]
        a = torch.randint(2, (size,), generator=source).to(torch.float64) * 2 - 1
        x = torch.randn(size, generator=source, dtype=torch.float64)
        x = (x * math.sqrt(size) / x.norm()).requires_grad_()
        squares = []

        def f(h, W=W, a=a, squares=squares):
            for matrix in W:
                u = matrix @ h
                squares.append(float(u.detach().square().mean()))
                h = sigma(u)
            return a @ h / math.sqrt(size), float(h.detach().square().mean())

        value, second = f(x)
        (g,) = torch.autograd.grad(value, x)
        row = [second, float(g @ g), *squares]
        value, x = value.detach(), x.detach()
        after = [float(value.sign() * f(x - s * value.sign() * g)[0]) for s in steps]
        yield float(value.abs()), row, after


# the bias is of order 1/size, the spread 1/sqrt(size): 0.2 standard errors times a constant of order 1
@pytest.mark.parametrize(
    ("name", "depth", "c"), [("relu", 1, 1.0), ("tanh", 3, 2.0), ("relu", 3, 1.0), ("sin", 2, 0.5)]
)
def test_networks_that_are_drawn_have_these_norms_and_fall_at_this_rate(name, depth, c):
    found, count, s = limits(name, depth, c), 24, 0.5
    networks = _draw(name, depth, c, size=600, steps=[s], seed=2022)
    rows = []
    for _ in range(count):
        before, row, (after,) = next(networks)
        rows.append([*row, (before - after) / s])
    rows = torch.tensor(rows, dtype=torch.float64)
    expected = torch.tensor([found.nu**2, found.tau**2, *found.variances, found.tau**2], dtype=torch.float64)
    error = rows.std(dim=0) / math.sqrt(count)
    assert (error < 0.1 * expected).all()  # so that z says something
    z = (rows.mean(dim=0) - expected) / error
    assert z.abs().max() < 5, z  # 21 numbers in all, Student's t with 23 degrees: false alarm below 1e-3


@pytest.mark.parametrize(("name", "depth", "c"), [("relu", 1, 1.0), ("tanh", 3, 2.0), ("gelu", 2, 2.0)])
def test_networks_that_are_drawn_flip_this_often(name, depth, c):
    found, count = limits(name, depth, c), 300
    levels = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    networks = _draw(name, depth, c, size=256, steps=found.step_quantile(levels).tolist(), seed=2022)
    flipped = torch.tensor([[after < 0 for after in next(networks)[2]] for _ in range(count)], dtype=torch.float64)
    z = (flipped.mean(dim=0) - levels) / (levels * (1 - levels) / count).sqrt()
    assert z.abs().max() < 5, z  # 9 numbers in all; the finite size alone shifts those at 3/4 by about -1


def test_the_flip_probability_is_that_of_a_half_normal_step():
    found = Limits(nu=0.3, tau=1.7, variances=(1.0,))
    s = torch.linspace(0, 0.8, 401, dtype=torch.float64)
    chance = found.flip_probability(s)
    assert chance.shape == s.shape and chance.dtype == torch.float64
    assert chance[0] == 0 and found.flip_probability(0.0) == 0
    assert (chance.diff() > 0).all()
    expected = scipy.special.erf(s.numpy() * 1.7**2 / 0.3 / math.sqrt(2))
    torch.testing.assert_close(chance, torch.from_numpy(expected), rtol=1e-14, atol=0)
    assert found.flip_probability(math.inf) == 1
    assert isinstance(found.flip_probability(0.1), float)
    assert found.flip_probability(float(s[50])) == float(chance[50])
    assert found.flip_probability(s.float()).dtype == torch.float64


def test_the_quantiles_are_the_inverse_of_the_flip_probability():
    found = Limits(nu=0.3, tau=1.7, variances=(1.0,))
    p = torch.tensor([1e-12, 0.01, 0.25, 0.5, 0.75, 0.99, 1 - 1e-12], dtype=torch.float64)
    torch.testing.assert_close(found.flip_probability(found.step_quantile(p)), p, rtol=1e-14, atol=0)
    # Z^2 is chi squared with one degree of freedom
    half_normal = torch.from_numpy(scipy.special.gammaincinv(0.5, p.numpy()) * 2).sqrt()
    torch.testing.assert_close(found.relative_quantile(p), 0.3 / 1.7 * half_normal, rtol=1e-12, atol=0)
    torch.testing.assert_close(found.step_quantile(p) * 1.7, found.relative_quantile(p), rtol=1e-14, atol=0)
    for quantile in (found.step_quantile, found.relative_quantile):
        assert isinstance(quantile(0.25), float)
        assert quantile(0.25) == float(quantile(p)[2])
        assert quantile(p.float()[1:-1]).dtype == torch.float64


def _custom(function, derivative):
    return Activation("custom", function, derivative)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rleu",), r"unknown activation 'rleu'; did you mean 'relu'\?"),
        (("relu", 0), r"depth must be a positive integer, got 0; a two-layer network has depth 1\."),
        (("relu", -3), r"depth must be a positive integer, got -3; "),
        (("relu", True), r"depth must be a positive integer, got True; "),
        (("relu", 2.0), r"depth must be a positive integer, got 2\.0; "),
        (("relu", 1, 0.0), r"weight_variance must be positive and finite, got 0\.0; 1 is usual, and 2 keeps the var"),
        (("relu", 1, -1.0), r"weight_variance must be positive and finite, got -1\.0; "),
        (("relu", 1, math.nan), r"weight_variance must be positive and finite, got nan; "),
        (("relu", 1, math.inf), r"weight_variance must be positive and finite, got inf; "),
        (
            (_custom(torch.zeros_like, torch.zeros_like),),
            r"activation 'custom' must have positive and finite limits, got nu\^2 after layer 1 = 0\.0 with depth=1 "
            r"and weight_variance=1\.0; take an activation that is not constant, or a variance nearer 1\.",
        ),
        ((_custom(torch.ones_like, torch.zeros_like), 2), r"got tau\^2 after layer 1 = 0\.0 with depth=2"),
        ((_custom(lambda z: z / 0, torch.ones_like),), r"got nu\^2 after layer 1 = (inf|nan) "),
        ((_custom(torch.ones_like, lambda z: z * math.inf),), r"got tau\^2 after layer 1 = (inf|nan) "),
        (("relu", 3, 1e-200), r"got the variance q_2 = 0\.0 with depth=3 and weight_variance=1e-200"),
        (("relu", 3, 1e200), r"got the variance q_2 = inf with depth=3 and weight_variance=1e\+200"),
        (
            (_custom(lambda z: 1 + z.tanh(), lambda z: 1 / z.cosh() ** 2), 2, 1e-200),
            r"got tau\^2 after layer 2 = 0\.0 ",
        ),
        (
            ("tanh", 1, 1.1e10),
            r"weight_variance must keep the pre-activation variances of 'tanh' at most 1e\+10, got one of 1\.1e\+10; "
            r"take one nearer 1, or fewer layers\.",
        ),
    ],
)
def test_a_limit_that_cannot_be_is_an_error_that_says_why(arguments, message):
    with refused(message):
        limits(*arguments)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, 1.1e5])
def test_a_mean_needs_a_scale_whose_panels_can_be_summed(scale):
    with refused(rf"scale must be positive and at most 100000, got {scale}; rescale the function\."):
        gaussian_mean(torch.tanh, scale=scale)


@pytest.mark.parametrize("bad", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_a_level_lies_between_0_and_1(bad):
    for quantile in (limits().step_quantile, limits().relative_quantile):
        for p in (bad, torch.tensor([0.5, bad], dtype=torch.float64)):
            with refused(rf"p must be above 0 and below 1, got {bad}\."):
                quantile(p)


@pytest.mark.parametrize("bad", [-0.1, math.nan])
def test_a_step_is_at_least_0(bad):
    for s in (bad, torch.tensor([[1.0, bad]], dtype=torch.float64)):
        with refused(rf"s must be at least 0, got {bad}\."):
            limits().flip_probability(s)
