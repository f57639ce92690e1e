"""Joint certificates: no network of the ball is ever better than they say, and they say as much as they can."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import refused
from gradflip import LazyBall, TwoLayer, load_data, train_adversarially
from gradflip.certificates import certify_jointly, opposite_groups
from gradflip.certificates._joint import certified_errors
from gradflip.certificates._relaxation import JointBound, certified_joint_upper_bound, relax
from joint_problems import best_by_ascent, close_classes, make, networks_of, total

FORMS = [{}, {"bias": True, "output_bias": True}]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("groups", [None, 1, 2])
def test_every_network_of_the_ball_makes_the_errors_that_are_certain(form, groups):
    x, y = close_classes(40, 30)
    ball = make(C0=1.0, **form)
    numbers = None if groups is None else opposite_groups(x, y, groups)
    proof = certify_jointly(ball, x, y, 0.6, groups=numbers, steps=8)
    assert int(proof.errors.sum()) >= 8  # a test of nothing otherwise
    for network in networks_of(ball, proof.perturbed, y):
        assert ball.contains(network)
        margins = y * network(proof.perturbed)
        assert bool((margins >= proof.lowest).all())
        for group, (bound, errors) in enumerate(zip(proof.bound, proof.errors, strict=True)):
            own = proof.groups == group
            assert float((proof.weights * margins)[own].sum()) <= float(bound)
            assert int((margins[own] < 0).sum()) >= int(errors)


def test_a_network_trained_to_resist_just_these_points_makes_them_too():
    data = load_data("digits", size=10, normalize=True)
    x, y = data.x_train[:100].double(), data.y_train[:100].double()
    ball = LazyBall(TwoLayer.random(100, 400, seed=3, dtype=torch.float32), 4.0)
    proof = certify_jointly(ball, x, y, 0.19, groups=opposite_groups(x, y))
    assert proof.robust_error > 0.1
    assert bool(((proof.perturbed - x).norm(dim=1) <= 0.19).all())
    fits = [
        train_adversarially(
            ball.network0, examples.float(), y.float(), epsilon, ball, lr=0.5, momentum=0.9, attack_steps=5,
            max_epochs=15,
        )
        for examples, epsilon in ((x, 0.19), (proof.perturbed, 1e-6))
    ]  # fmt: skip
    for fit in fits:
        wrong = y * fit.network.to(dtype=torch.float64)(proof.perturbed) < 0
        assert float(wrong.double().mean()) >= proof.robust_error
    assert fits[1].history["robust_train_accuracy"].max() > 0.25  # it did learn something


@pytest.mark.parametrize("form", FORMS)
def test_the_bound_is_near_what_ascent_over_the_ball_reaches(form):
    x, y = close_classes(12, 30)
    ball = make(width=400, C0=3.0, **form)
    weights = torch.rand(12, generator=torch.Generator().manual_seed(0)).double()
    B = float(certified_joint_upper_bound(ball.network0, ball.radius, x[None], y[None], weights[None])[0])
    centre, reached = total(ball.network0, x, y, weights), total(best_by_ascent(ball, x, y, weights), x, y, weights)
    assert reached <= B
    assert reached - centre > 0.8 * (B - centre)  # lines instead of kinks cost a fifth at most


def test_of_one_point_the_bound_is_the_exact_maximum():
    x, y = close_classes(20, 30)
    for form in FORMS:
        ball = make(**form)
        B = certified_joint_upper_bound(
            ball.network0, ball.radius, x[:, None], y[:, None], torch.ones(20, 1, dtype=torch.float64)
        )
        exact = ball.max_value(x, y)
        assert bool((B >= exact).all())
        torch.testing.assert_close(B, exact, rtol=1e-4, atol=1e-4)  # the ball certified is larger by 1e-5


@given(
    st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.lists(st.floats(-1, 1), min_size=3, max_size=3),
    st.floats(1e-3, 4), st.integers(0, 6),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_the_lines_are_above_or_below_relu_wherever_the_neuron_can_move(centres, coefficients, reach, tangents):
    x, _ = close_classes(3, 4)
    u, c = (torch.tensor(values, dtype=torch.float64)[None, :, None] for values in (centres, coefficients))
    lines = relax(u, c, torch.full_like(u, reach), x[None], torch.tensor([reach]).double(), tangents=tangents)
    for share in torch.linspace(-1, 1, 41, dtype=torch.float64):
        z = u + share * reach
        excess = lines.slopes * z + lines.intercepts - z.relu()
        assert bool((excess * c.sign() >= -1e-12).all())
    assert bool(((lines.slopes >= 0) & (lines.slopes <= 1)).all())


def test_the_best_tangents_are_better_than_any_kept():
    x, y = close_classes(8, 30)
    ball = make(width=300, C0=4.0)
    u = (x @ ball.network0.W.mT)[None]
    c = (y[:, None] * ball.network0.a / 8)[None]
    reach, reaches = torch.full_like(u, ball.radius), torch.full((300,), ball.radius).double()

    def worth(tangents):
        lines = relax(u, c, reach, x[None], reaches, tangents=tangents)
        return float((c * (lines.slopes * u + lines.intercepts)).sum() + ball.radius * lines.norms.sum())

    found = [worth(tangents) for tangents in (0, 1, 4, 16)]
    assert found[0] > found[1] > found[2] >= found[3] - 1e-9
    assert found[2] - found[3] < 0.2 * (found[0] - found[3])


def exact_bound(ball, x, y, weights):
    """The bound with chords and tangents at u > 0, in rational arithmetic but for the last root; for tiny networks."""
    network = ball.network0
    r = Fraction(ball.radius) * Fraction(100001, 100000)
    value = Fraction(0)
    for w, a in zip(network.W.tolist(), network.a.tolist(), strict=True):
        rows = []
        for xi, yi, li in zip(x.tolist(), y.tolist(), weights.tolist(), strict=True):
            u = sum(Fraction(p) * Fraction(q) for p, q in zip(w, xi, strict=True))
            size = sum(Fraction(q) ** 2 for q in xi)
            length = Fraction(math.isqrt(int(size * 10**60)) + 1, 10**30)
            rows.append((Fraction(li) * Fraction(yi) * Fraction(a), u, r * length, xi))
        inner, pull = Fraction(0), [Fraction(0)] * len(w)
        for k, u, reach, xi in rows:
            if abs(u) > reach:
                s, h = Fraction(int(u > 0)), Fraction(0)
            elif k > 0:
                s = (u + reach) / (2 * reach)
                h = (u + reach) - s * (u + reach)
            else:
                s, h = Fraction(int(u > 0)), Fraction(0)
            inner += k * (s * u + h)
            pull = [p + k * s * Fraction(q) for p, q in zip(pull, xi, strict=True)]
        norm2 = sum(p * p for p in pull)
        value += inner + r * Fraction(math.isqrt(int(norm2 * 10**60)) + 1, 10**30)
    return float(value) / math.sqrt(network.width)


@pytest.mark.parametrize("scale", [1.0, 1e6, 1e-6])
def test_the_certain_bound_is_never_below_the_best_of_the_lines(scale):
    """With any tangents the bound is one, and rounding is added: it is not below the true maximum at tiny sizes."""
    for seed in range(20):
        draw = torch.Generator().manual_seed(seed)
        W = scale * torch.randn(3, 2, generator=draw, dtype=torch.float64)
        network = TwoLayer(W, torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64))
        ball = LazyBall(network, radius=0.7 * scale)
        x, y = torch.randn(3, 2, generator=draw, dtype=torch.float64), torch.tensor([1.0, -1.0, 1.0]).double()
        weights = torch.rand(3, generator=draw).double()
        B = float(certified_joint_upper_bound(network, ball.radius, x[None], y[None], weights[None])[0])
        angles = torch.linspace(0, 2 * math.pi, 721, dtype=torch.float64)
        best = 0.0
        for j in range(3):  # neurons are independent: a grid over each disc is the maximum up to its mesh
            circle = torch.stack([angles.cos(), angles.sin()], dim=1)
            disc = torch.cat([share * ball.radius * circle for share in (0.0, 0.25, 0.5, 0.75, 1.0)])
            u = (W[j] + disc) @ x.mT
            best += float((network.a[j] * u.relu() @ (weights * y)).max())
        assert B >= best / math.sqrt(3) - 1e-15 * scale
        assert B <= exact_bound(ball, x, y, weights) + 1e-9 * scale  # the best tangents are no worse than these


def exactly(network, x, y, weights):
    """sum_i lambda_i y_i f(x_i; W_0) times sqrt m, as a rational number."""
    total = Fraction(0)
    for w, a in zip(network.W.tolist(), network.a.tolist(), strict=True):
        for xi, yi, li in zip(x.tolist(), y.tolist(), weights.tolist(), strict=True):
            u = sum(Fraction(p) * Fraction(q) for p, q in zip(w, xi, strict=True))
            total += Fraction(li) * Fraction(yi) * Fraction(a) * max(u, Fraction(0))
    return total


def test_cancelling_weights_are_covered_by_rounding():
    """Neurons of 1e8 that cancel, in a ball of no size: what float64 loses is more than what is left."""
    naive_below = 0
    for seed in range(60):
        draw = torch.Generator().manual_seed(seed)
        w = 1e8 * torch.rand(1, 6, generator=draw, dtype=torch.float64)
        W = torch.cat([w, w + 1e-7 * torch.randn(1, 6, generator=draw, dtype=torch.float64)])
        network = TwoLayer(W, torch.tensor([1.0, -1.0], dtype=torch.float64))
        x = torch.rand(4, 6, generator=draw, dtype=torch.float64)
        y, weights = torch.tensor([1.0, -1.0, 1.0, -1.0]).double(), torch.rand(4, generator=draw).double()
        truth = exactly(network, x, y, weights)
        naive_below += Fraction(total(network, x, y, weights)) ** 2 * 2 < truth**2 and truth > 0
        B = float(certified_joint_upper_bound(network, 1e-25, x[None], y[None], weights[None])[0])
        assert B > 0
        assert truth <= 0 or 2 * Fraction(B) ** 2 >= truth**2
        assert B < 1e-3
    assert naive_below > 5  # without the terms of rounding the bound would be too low so often


@pytest.mark.parametrize("groups", [1, 12])
def test_the_gradient_is_that_of_differences(groups):
    x, y = close_classes(2 * groups, 10)
    ball = make(dim=10, width=50, C0=2.0, bias=True, output_bias=True)
    joint = JointBound(ball)
    x, y = x[None], y[None]
    weights = torch.rand(1, 2 * groups, generator=torch.Generator().manual_seed(0)).double() + 0.1
    B, g, g_weights = joint(x, y, weights)
    step = 1e-6
    for i, k in itertools.product(range(2), range(3)):
        shift = torch.zeros_like(x)
        shift[0, i, k] = step
        slope = (joint(x + shift, y, weights)[0] - joint(x - shift, y, weights)[0]) / (2 * step)
        assert float(slope) == pytest.approx(float(g[0, i, k]), rel=0.05, abs=0.02)  # tangents may switch
        shift = torch.zeros_like(weights)
        shift[0, i] = step
        slope = (joint(x, y, weights + shift)[0] - joint(x, y, weights - shift)[0]) / (2 * step)
        assert float(slope) == pytest.approx(float(g_weights[0, i]), rel=0.05, abs=0.02)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-5, 2)), min_size=1, max_size=7), st.floats(-6, 1))
def test_certain_errors_are_the_fewest_points_that_can_make_up_the_bound(points, bound):
    weights, lowest = (torch.tensor([values], dtype=torch.float64) for values in zip(*points, strict=True))
    deep = [w * -low for w, low in points if low < 0]
    fewest = next(
        (k for k in range(len(deep) + 1) if sum(sorted(deep, reverse=True)[:k]) >= -bound * (1 - 1e-9)), len(points)
    )
    found = int(certified_errors(torch.tensor([bound], dtype=torch.float64), weights, lowest)[0])
    assert found == (fewest if bound < 0 else 0)


def test_a_point_that_is_too_far_away_is_no_error():
    bound, weights = torch.tensor([-1.0]).double(), torch.tensor([[1.0, 1.0, 1.0]]).double()
    assert certified_errors(bound, weights, torch.tensor([[-0.6, -0.6, -0.6]]).double()).item() == 2
    assert certified_errors(bound, weights, torch.tensor([[-0.6, -math.inf, -0.6]]).double()).item() == 0


def test_groups_have_as_many_of_each_class_and_the_rest_are_alone():
    x, _ = close_classes(13, 6)
    y = torch.tensor([1.0, -1, 1, 1, -1, 1, 1, -1, 1, 1, -1, 1, 1])
    pairs = opposite_groups(x, y)
    for group in range(4):
        assert sorted(y[pairs == group].tolist()) == [-1, 1]
    assert torch.bincount(pairs).tolist() == [2] * 4 + [1] * 5
    assert torch.bincount(opposite_groups(x, y, 2)).tolist() == [4, 4] + [1] * 5
    cosine = x[y > 0] @ x[y < 0].mT
    best = max(sum(float(cosine[i, k]) for k, i in enumerate(chosen)) for chosen in itertools.permutations(range(9), 4))
    matched = [x[pairs == group] for group in range(4)]
    assert sum(float(a @ b) for a, b in matched) == pytest.approx(best)


def test_weights_at_will_prove_more_than_equal_ones():
    x, y = close_classes(40, 30, spread=0.6)
    ball = make(C0=2.0)
    equal, free = (certify_jointly(ball, x, y, 0.4, optimize_weights=way) for way in (False, True))
    assert free.robust_error > equal.robust_error
    assert float(equal.weights.max() - equal.weights.min()) < 1e-12


def test_without_steps_the_points_stay_on_their_rays_and_each_class_has_half_of_the_weights():
    x, y = close_classes(13, 30)
    ball = make()
    found = certify_jointly(ball, x, y, 0.4, steps=0, optimize_weights=False)
    g = ball.network0.gradient(x)
    rays = x - 0.4 * y[:, None] * g / g.norm(dim=1, keepdim=True)
    torch.testing.assert_close(found.perturbed, rays, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(found.weights, torch.where(y > 0, 0.5 / 7, 0.5 / 6).double())


def test_the_same_arguments_give_the_same_proof_and_change_nothing():
    x, y = close_classes(10, 30)
    before = x.clone()
    first, again = (certify_jointly(make(dtype=torch.float32), x, y, 0.3, steps=3) for _ in range(2))
    assert torch.equal(first.perturbed, again.perturbed)
    assert torch.equal(first.bound, again.bound)
    assert torch.equal(x, before)
    assert first.to_frame().columns == ["points", "bound", "errors"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epsilon": 0.0}, "epsilon must be a positive finite number, got 0.0."),
        ({"epsilon": math.nan}, "epsilon must be a positive finite number, got nan."),
        ({"groups": torch.zeros(3, dtype=torch.int64)}, "groups must have one number 0, 1, ... per point, 10"),
        ({"groups": torch.zeros(10)}, "groups must have one number 0, 1, ... per point, 10"),
        ({"y": torch.zeros(10)}, r"y must hold only -1 and \+1, got 0"),
        ({"x": torch.zeros(10, 4)}, r"x must have shape \(n, 30\)"),
        ({"ball": make(activation="tanh")}, "joint certificates need activation 'relu', got 'tanh'"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(changes, message):
    x, y = close_classes(10, 30)
    arguments = {"ball": make(), "x": x, "y": y, "epsilon": 0.3, "groups": None} | changes
    with refused(message):
        certify_jointly(**arguments)
