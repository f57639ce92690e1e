"""What must hold along the ray, whatever found the flip: signs, scales, batches, statuses."""

import math
import pickle
import re
import subprocess
import sys

import pytest
import torch

import gradflip.rays._blocks as auto
from cases import FAMILIES, PIECEWISE, SMOOTH, hard_tanh, rays_of, refused, weights
from gradflip import (
    Bracketed,
    Certainty,
    Flip,
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
from gradflip.rays._numba import kernels
from reference import value_for_autograd
from tensors import normal


def trained_network(**form) -> tuple[TwoLayer, torch.Tensor]:
    """A network trained to the surface of its ball, and inputs it was trained on."""
    x = torch.nn.functional.normalize(normal(60, 6, seed=1))
    y = torch.where(x[:, 0] < 0, -1.0, 1.0).double()
    network0 = TwoLayer.random(6, 200, dtype=torch.float64, seed=2, **form)
    fit = train(network0, x, y, ball=LazyBall(network0, 4.0), lr=1.0, batch_size=10, max_epochs=300)
    assert fit.left_at is not None
    return fit.network, x


def breakpoints_and_middles(ray: Ray, found: Flip, i: int) -> torch.Tensor:
    """Every breakpoint of ray i before its step (or of the whole ray), points beside them, and the middles between."""
    kinks = [(ray.u[i] - kink) / ray.v[i] for kink in ray.sigma.kinks]
    ends = torch.cat([*kinks, torch.zeros(1)])
    end = float(found.step[i])
    ends = ends[(ends >= 0) & ends.isfinite()].sort().values
    last = end if math.isfinite(end) else 10 * float(ends[-1]) + 1
    ends = torch.cat([ends, ends * (1 + 1e-9), torch.tensor([last]).double()])
    ends = ends[ends <= last].sort().values
    middles = 0.5 * (ends[1:] + ends[:-1])
    return torch.cat([ends, middles, last * (1 - torch.logspace(-9, -0.01, 50).double())]).sort().values


def at_steps(ray: Ray, i: int, steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    one = ray.rows(torch.full((len(steps),), i))
    return one.phi(steps), one.rounding(steps)


def assert_signs(ray: Ray, found: Flip) -> None:
    """phi >= 0 before each step, < 0 after it inside its piece; nowhere < 0 where there is none."""
    for i in range(len(found)):
        if found.status[i] in (FlipStatus.BOUNDARY, FlipStatus.FLAT):
            continue
        phi, rounding = at_steps(ray, i, breakpoints_and_middles(ray, found, i))
        assert bool((phi >= -rounding).all()), f"phi is {float(phi.min())} before the step"
        if found.status[i] == FlipStatus.FLIPPED:
            step, lower, upper = float(found.step[i]), float(found.lower[i]), float(found.upper[i])
            assert lower <= step <= upper
            after = torch.tensor([0.5, 1.0]).double() * (upper - step if math.isfinite(upper) else step) + step
            phi, rounding = at_steps(ray, i, after)
            narrow = upper - step <= 1e-9 * step  # too short a piece to show the sign through the rounding
            assert bool((phi < 0).all()) or (narrow and bool((phi <= rounding).all())), (phi, rounding, step, upper)


@pytest.mark.parametrize("name", PIECEWISE)
@pytest.mark.parametrize("family", FAMILIES)
def test_phi_is_not_negative_before_the_step_and_negative_after_it(family, name):
    for width in (1, 2, 7, 40):
        ray = rays_of(weights(family, width, count=5, seed=width + 77), PIECEWISE[name][0])
        assert_signs(ray, PiecewiseLinear()(ray))


@pytest.mark.parametrize(
    "form", [{}, {"bias": True, "output_bias": True}, {"activation": "abs"}], ids=["plain", "bias", "abs"]
)
def test_phi_is_not_negative_before_the_step_of_a_trained_network_and_negative_after_it(form):
    network, x = trained_network(**form)
    found = flip(network, x)
    assert (found.status == FlipStatus.FLIPPED).sum() > 30
    assert_signs(gradient_ray(network, x), found)


def test_the_sign_of_the_network_itself_turns_at_the_step():
    network, x = trained_network(bias=True, output_bias=True)
    found = flip(network, x)
    turned = found.status == FlipStatus.FLIPPED
    gradient, sign = network.gradient(x), network(x).sign()
    for factor, still in ((1 - 1e-9, True), (1 + 1e-9, False)):
        moved = x - (factor * found.step * sign).where(turned, 0.0)[:, None] * gradient
        assert torch.equal(network(moved).sign() == sign, torch.full_like(turned, still) | ~turned)


@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_the_piece_given_holds_the_step_and_no_breakpoint(activation):
    network, x = trained_network(activation=activation)
    ray, found = gradient_ray(network, x), flip(network, x, finder=PiecewiseLinear())
    breaks = ray.u / ray.v
    for some in (found, flip(network, x)):
        inside = (breaks > some.lower[:, None]) & (breaks < some.upper[:, None])
        assert not inside[some.status == FlipStatus.FLIPPED].any()
        assert bool((some.lower <= some.step).all() & (some.step <= some.upper).all())
    if activation == "relu":
        return  # phi falls all the way: an interval on its last piece is enough
    ends = torch.cat([breaks.where(breaks > 0, torch.inf), torch.full((len(x), 1), torch.inf)], dim=1)
    assert bool(((ends == found.upper[:, None]) | (found.status[:, None] != FlipStatus.FLIPPED)).any(dim=1).all())


def test_the_last_piece_is_unbounded_and_its_slope_decides():
    identity = TwoLayer(torch.eye(2).double(), torch.ones(2).double(), activation="identity")
    found = flip(identity, torch.tensor([[1.0, 2.0]]).double())
    assert found.status.tolist() == [FlipStatus.FLIPPED]
    assert (float(found.lower), float(found.upper)) == (0.0, math.inf)
    # phi rises for good beyond its only breakpoint, at height 1, or falls for good
    for a, status in ((1.0, FlipStatus.NEVER), (-1.0, FlipStatus.FLIPPED)):
        ray = hand_made([1.0, 2.0], [1.0, -1.0], [1.0, a], c=4.0)
        assert PiecewiseLinear()(ray).status.tolist() == [status]


def hand_made(u, v, a, c=0.0, sigma="relu") -> Ray:
    one = torch.ones(1, dtype=torch.float64)
    u, v = (torch.tensor([row], dtype=torch.float64) for row in (u, v))
    return Ray.of(u, v, torch.tensor(a, dtype=torch.float64), c, PIECEWISE[sigma][0], one, one)


def test_touching_zero_without_crossing_is_no_flip():
    # phi = |1 - s| : to 0 at 1 and up again; with -relu(s - 2) twice over, down again, through 0 at 3
    touch = hand_made([1.0, -1.0], [1.0, -1.0], [1.0, 1.0])
    assert PiecewiseLinear()(touch).status.tolist() == [FlipStatus.NEVER]
    later = hand_made([1.0, -1.0, -2.0], [1.0, -1.0, -1.0], [1.0, 1.0, -3.0])
    found = PiecewiseLinear()(later)
    assert found.status.tolist() == [FlipStatus.FLIPPED]
    assert float(found.step) == pytest.approx(2.5, rel=1e-14)
    assert (float(found.lower), float(found.upper)) == (2.0, math.inf)


def test_a_stretch_at_zero_is_no_flip_until_phi_becomes_negative():
    # phi = relu(1 - s) - relu(s - 3): exactly 0 from 1 to 3, negative after 3
    resting = hand_made([1.0, -3.0], [1.0, -1.0], [1.0, -1.0])
    found = PiecewiseLinear()(resting)
    assert found.status.tolist() == [FlipStatus.FLIPPED]
    assert float(found.step) == 3.0
    dead = hand_made([0.1, 0.2, 0.3], [0.1, 0.7, 0.9], [1.0, 1.0, 1.0])
    assert PiecewiseLinear()(dead).status.tolist() == [FlipStatus.NEVER]


@pytest.mark.parametrize(("v", "step"), [(-1.0, 1.0), (1.0, 2.0), (0.0, 2.0)])
def test_a_neuron_on_its_kink_goes_the_way_the_ray_takes_it(v, step):
    # sqrt(2) phi = relu(3 - s) - relu(-s v) - 1: the second neuron starts on the kink
    found = PiecewiseLinear()(hand_made([3.0, 0.0], [1.0, v], [1.0, -1.0], c=-(2**-0.5)))
    assert float(found.step) == pytest.approx(step, rel=1e-14)


def test_a_crossing_within_rounding_of_a_breakpoint_is_in_the_piece_before_it():
    # 2 phi = 1 - s up to a breakpoint at 1 + 2^-35, where it is not yet below 0 beyond rounding, then falls on slowly
    slow, late = 2.0**-10, 2.0**-35
    end = (1 + late) * (1 - slow)
    ray = hand_made([64 + (1 - end), 64.0, end, 0.0], [0.0, 0.0, 1 - slow, -slow], [1.0, -1.0, 1.0, -1.0])
    assert float(ray.phi(torch.tensor([1 + late]).double())) > -float(ray.rounding(torch.tensor([1 + late]).double()))
    found = PiecewiseLinear()(ray)
    assert float(found.step) == pytest.approx(1.0, rel=1e-13)
    assert (float(found.lower), float(found.upper)) == (0.0, pytest.approx(1 + late, rel=1e-15))


def test_breakpoints_of_tiny_numbers_are_seen():
    # products of these underflow
    found = PiecewiseLinear()(hand_made([1e-200, -1e-200, -2e-200], [1e-200, -1e-200, -1e-200], [1.0, 1.0, -3.0]))
    assert float(found.step) == pytest.approx(2.5, rel=1e-14)


def test_a_flip_right_at_the_start_of_the_ray_is_no_boundary():
    # a kink so near that phi falls from 1 to below 0 over 1e-9
    found = PiecewiseLinear()(hand_made([1.0, -1e-12], [0.0, -1e9], [1.0, -1.0]))
    assert found.status.tolist() == [FlipStatus.FLIPPED]
    assert float(found.step) == pytest.approx(1e-9, rel=1e-3)


def test_statuses_come_in_the_order_boundary_flat_flipped_never():
    W = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).double()
    network = TwoLayer(W, torch.tensor([1.0, -1.0]).double())
    x = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [2.0, 1.0], [1.0, 0.0]]).double()
    found = flip(network, x)
    # f = 0 and g = 0; f = 0 alone; a flip (relu(2 - s) - relu(1 + s)); none (relu(1 - s) alone, then 0)
    assert found.status.tolist() == [FlipStatus.BOUNDARY, FlipStatus.BOUNDARY, FlipStatus.FLIPPED, FlipStatus.NEVER]
    assert found.step.tolist() == [0.0, 0.0, pytest.approx(0.5 * 2**0.5), math.inf]
    constant = TwoLayer(W, torch.tensor([1.0, -1.0]).double(), output_bias=0.5)
    assert flip(constant, x[:1]).status.tolist() == [FlipStatus.FLAT]
    for name in SMOOTH:  # cancelling neurons: f = c and g = 0 but for rounding
        rows = normal(1, 3, seed=3)
        cancelling = TwoLayer(rows.repeat(6, 1), torch.tensor([1.0, -1.0] * 3).double(), None, 0.5, name)
        assert flip(cancelling, normal(2, 3, seed=4)).status.tolist() == [FlipStatus.FLAT] * 2
        cancelling = TwoLayer(rows.repeat(6, 1), torch.tensor([1.0, -1.0] * 3).double(), None, None, name)
        assert flip(cancelling, normal(2, 3, seed=4)).status.tolist() == [FlipStatus.BOUNDARY] * 2


def test_boundary_and_flat_have_the_steps_of_the_convention():
    found = flip(
        TwoLayer(torch.ones(1, 2).double(), torch.ones(1).double(), output_bias=0.5), -torch.ones(1, 2).double()
    )
    assert (found.status.tolist(), found.step.tolist(), found.relative.tolist()) == (
        [FlipStatus.FLAT],
        [math.inf],
        [math.inf],
    )
    found = flip(TwoLayer(torch.ones(1, 2).double(), torch.ones(1).double()), torch.zeros(1, 2).double())
    assert found.status.tolist() == [FlipStatus.BOUNDARY]
    for column in (found.step, found.perturbation, found.relative, found.value):
        assert column.tolist() == [0.0]


# Scales


def networks_of_all_forms() -> list[tuple[TwoLayer, torch.Tensor]]:
    forms = [{}, {"bias": True}, {"bias": True, "output_bias": True}]
    made = []
    for name in ("relu", "leaky_relu", "abs", "identity"):
        for form in forms:
            network = TwoLayer.random(5, 64, activation=name, dtype=torch.float64, seed=len(made), **form)
            made.append((network, normal(40, 5, seed=len(made))))
    made.append((TwoLayer.random(5, 64, activation=hard_tanh(), dtype=torch.float64, seed=9), normal(40, 5, seed=9)))
    return made


SCALES = [10.0**k for k in range(-6, 7)]


@pytest.mark.parametrize("scale", SCALES)
def test_rescaling_the_output_changes_no_relative_perturbation(scale):
    for network, x in networks_of_all_forms():
        c = None if network.output_bias is None else scale * network.output_bias
        other = TwoLayer(network.W, scale * network.a, network.bias, c, network.activation)
        assert_same_relative(flip(other, x), flip(network, x))


@pytest.mark.parametrize("scale", SCALES)
def test_rescaling_the_input_changes_no_relative_perturbation(scale):
    for network, x in networks_of_all_forms():
        other = TwoLayer(network.W / scale, network.a, network.bias, network.output_bias, network.activation)
        assert_same_relative(flip(other, scale * x), flip(network, x))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "abs", "identity"])
def test_a_homogeneous_network_has_one_relative_perturbation_along_a_line_through_0(name, scale):
    network, x = TwoLayer.random(5, 64, activation=name, dtype=torch.float64, seed=1), normal(40, 5, seed=2)
    usual = flip(network, x)
    assert_same_relative(flip(network, scale * x), usual)
    assert_same_relative(flip(TwoLayer(scale * network.W, network.a, activation=name), x), usual)


def assert_same_relative(found: Flip, usual: Flip) -> None:
    assert torch.equal(found.status, usual.status)
    torch.testing.assert_close(found.relative, usual.relative, rtol=1e-9, atol=0)


def test_both_scalings_give_one_relative_perturbation():
    network, x = TwoLayer.random(7, 64, bias=True, dtype=torch.float64), normal(40, 7, seed=2)
    assert_same_relative(flip(network.rescale("sqrt-d"), 7**0.5 * x), flip(network, x))


# Batches


@pytest.mark.parametrize("name", [*PIECEWISE, *SMOOTH])
def test_results_depend_on_no_other_row(name):
    form = PIECEWISE[name][0] if name in PIECEWISE else name
    network, x = TwoLayer.random(6, 50, activation=form, bias=True, dtype=torch.float64, seed=5), normal(33, 6, seed=6)
    x[7] = 0.0
    together = flip(network, x)
    order = torch.randperm(33, generator=torch.Generator().manual_seed(1))
    shuffled, alone = flip(network, x[order]), Flip.join([flip(network, row[None]) for row in x])
    for other, usual in ((shuffled.step, together.step[order]), (alone.step, together.step)):
        torch.testing.assert_close(other, usual, rtol=1e-12, atol=0)
    assert torch.equal(shuffled.status, together.status[order])
    assert torch.equal(alone.status, together.status)
    assert torch.equal(alone.certainty, together.certainty)


def test_a_loose_bracket_depends_on_no_other_row():
    network, x = TwoLayer.random(6, 50, activation="tanh", dtype=torch.float64, seed=5), normal(33, 6, seed=6)
    loose = Bracketed(rtol=1e-3)
    together, alone = flip(network, x, finder=loose), Flip.join([flip(network, row[None], finder=loose) for row in x])
    torch.testing.assert_close(alone.step, together.step, rtol=1e-12, atol=0)
    torch.testing.assert_close(alone.lower, together.lower, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_blocks_change_no_result(name, monkeypatch):
    network, x = TwoLayer.random(6, 50, activation=name, dtype=torch.float64, seed=5), normal(33, 6, seed=6)
    whole = flip(network, x)
    finder, sizes = PiecewiseLinear() if name == "relu" else Bracketed(), []
    monkeypatch.setattr(auto, "_BLOCK_ROWS", 14)  # half of it for a finder that may hold many copies
    monkeypatch.setattr(auto, "_BLOCK", 0)
    blocked = flip(network, x, finder=lambda ray: sizes.append(len(ray.u)) or finder(ray))
    assert sizes == [7, 7, 7, 7, 5]
    assert torch.equal(whole.status, blocked.status)
    torch.testing.assert_close(blocked.step, whole.step, rtol=1e-12, atol=0)


# The ray


@pytest.mark.parametrize("name", [*PIECEWISE, *SMOOTH])
def test_the_ray_is_the_restriction_of_the_network(name):
    form = PIECEWISE[name][0] if name in PIECEWISE else name
    network = TwoLayer.random(4, 30, activation=form, bias=True, output_bias=True, dtype=torch.float64, seed=3)
    x = normal(20, 4, seed=4).requires_grad_()
    value = value_for_autograd(network, x)
    (g,) = torch.autograd.grad(value.sum(), x)
    value, x = value.detach(), x.detach()
    ray = gradient_ray(network, x)
    torch.testing.assert_close(ray.value, value)
    torch.testing.assert_close(ray.gradient_norm, g.norm(dim=1))
    torch.testing.assert_close(ray.input_norm, x.norm(dim=1))
    torch.testing.assert_close(ray.u, x @ network.W.T + network.bias)
    torch.testing.assert_close(ray.v, value.sign()[:, None] * (g @ network.W.T))
    for s in (0.0, 0.1, 3.0):
        steps = torch.full((20,), s).double().requires_grad_()
        moved = x - steps[:, None] * value.sign()[:, None] * g
        phi = value.sign() * value_for_autograd(network, moved)
        torch.testing.assert_close(ray.phi(steps.detach()), phi.detach())
        if s:
            torch.testing.assert_close(ray.slope(steps.detach()), torch.autograd.grad(phi.sum(), steps)[0])


def test_the_rows_of_a_ray_are_the_rays_of_the_rows():
    network, x = TwoLayer.random(4, 30, dtype=torch.float64, seed=3), normal(9, 4, seed=4)
    ray, chosen = gradient_ray(network, x), torch.tensor([5, 0])
    for index in (chosen, slice(2, 4), torch.arange(9) > 6):
        part, alone = ray.rows(index), gradient_ray(network, x[index])
        torch.testing.assert_close(part.v, alone.v)
        torch.testing.assert_close(part.gradient_norm, alone.gradient_norm)


def test_the_value_of_the_flip_keeps_its_sign():
    network, x = TwoLayer.random(6, 50, dtype=torch.float64, seed=5), normal(33, 6, seed=6)
    torch.testing.assert_close(flip(network, x).value, network(x))
    assert flip(network, x).value.min() < 0 < flip(network, x).value.max()


# The result


def some_flip() -> Flip:
    return flip(
        TwoLayer.random(6, 4, dtype=torch.float64, seed=6),
        torch.cat([normal(50, 6, seed=8), torch.zeros(3, 6).double()]),
    )


def test_the_share_at_a_budget_is_a_direct_count():
    found = some_flip()
    assert bool((found.status == FlipStatus.NEVER).any())
    assert bool((found.status == FlipStatus.BOUNDARY).any())
    budgets = torch.cat([torch.linspace(0, 5, 41).double(), found.perturbation[:5], torch.tensor([math.inf])])
    shares = found.at(budgets)
    for budget, share in zip(budgets.tolist(), shares.tolist(), strict=True):
        flipped = sum(p <= budget and math.isfinite(p) for p in found.perturbation.tolist())
        assert share == 1 - flipped / len(found)
    assert found.at(0.3).shape == ()
    assert found.at(torch.full((2, 3), 0.3)).shape == (2, 3)
    assert float(found.at(math.inf)) == pytest.approx(
        float((found.status == FlipStatus.NEVER).double().mean()), abs=1e-15
    )
    assert float(found.at(0.0)) == pytest.approx(
        float((found.status != FlipStatus.BOUNDARY).double().mean()), abs=1e-15
    )


def test_a_frame_has_one_row_per_input_with_names_for_codes():
    found = some_flip()
    frame = found.to_frame()
    assert frame.columns == ["step", "perturbation", "relative", "gradient_norm", "value", "status", "certainty"]
    assert frame["status"].to_list() == [FlipStatus(code).name.lower() for code in found.status.tolist()]
    assert set(frame["certainty"].to_list()) == {"exact"}
    for name in ("step", "perturbation", "relative", "gradient_norm", "value"):
        assert frame[name].to_list() == getattr(found, name).tolist()


def test_perturbation_and_relative_are_the_step_in_units_of_the_input():
    network, x = TwoLayer.random(6, 4, dtype=torch.float64, seed=6), normal(50, 6, seed=8)
    found = flip(network, x)
    turned = found.status == FlipStatus.FLIPPED
    assert 0 < int(turned.sum()) < 50
    moved = found.step[turned, None] * network.gradient(x[turned])
    torch.testing.assert_close(found.perturbation[turned], moved.norm(dim=1))
    torch.testing.assert_close(found.relative[turned], moved.norm(dim=1) / x[turned].norm(dim=1))
    never = found.status == FlipStatus.NEVER
    assert bool(never.any())
    assert found.perturbation[never].isinf().all()
    assert found.relative[never].isinf().all()


def test_the_input_0_has_no_finite_relative_perturbation():
    network = TwoLayer.random(3, 20, bias=True, activation="identity", dtype=torch.float64, seed=1)
    found = flip(network, torch.zeros(1, 3).double())
    assert found.status.tolist() == [FlipStatus.FLIPPED]
    assert (math.isfinite(found.perturbation), math.isinf(found.relative)) == (True, True)


def test_joined_flips_are_all_of_them_in_order():
    network, x = TwoLayer.random(6, 20, dtype=torch.float64, seed=7), normal(10, 6, seed=8)
    parts = [flip(network, x[:4]), flip(network, x[4:5]), flip(network, x[5:])]
    joined = Flip.join(parts)
    assert len(joined) == 10
    assert joined.step.tolist() == [step for part in parts for step in part.step.tolist()]
    assert joined.status.dtype == torch.int8
    assert joined.passes.sum() == sum(int(part.passes.sum()) for part in parts)


def test_a_flip_travels_between_processes():
    found = some_flip()
    assert torch.equal(pickle.loads(pickle.dumps(found)).step, found.step)


# Errors


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(3, 4), r"x must have shape \(n, 6\), one input a row, got \(3, 4\)\."),
        (torch.zeros(6), r"x must have shape \(n, 6\), one input a row, got \(6,\)\."),
        (torch.zeros(0, 6), r"x must hold at least one input, got none\."),
        (torch.full((2, 6), math.nan), r"x must be finite, got 12 entries that are NaN or infinite\."),
        (torch.tensor([[math.inf] + [0.0] * 5]), r"x must be finite, got 1 entries"),
    ],
)
def test_inputs_that_do_not_fit_are_errors(x, message):
    with refused(message):
        flip(TwoLayer.random(6, 20), x)


def test_a_network_that_overflows_is_an_error():
    network = TwoLayer(torch.full((2, 2), 1e300, dtype=torch.float64), torch.ones(2).double())
    with pytest.raises(UsageError, match="overflows float64 on these inputs; rescale its weights"):
        flip(network, torch.full((1, 2), 1e300, dtype=torch.float64))


@pytest.mark.parametrize("name", SMOOTH)
def test_the_exact_finder_refuses_a_smooth_activation(name):
    with pytest.raises(
        UsageError, match=f"PiecewiseLinear needs a piecewise-linear activation, got '{name}'; use Bracketed"
    ):
        flip(TwoLayer.random(6, 20, activation=name), torch.ones(1, 6), finder=PiecewiseLinear())


def test_the_finder_is_the_exact_one_where_it_applies():
    x = normal(5, 6, seed=1)
    exact = "certified newton" if kernels() else "piecewise-linear"
    for sigma, method in (("relu", exact), ("leaky_relu", exact), ("abs", "piecewise-linear"), ("tanh", "bracketed")):
        assert flip(TwoLayer.random(6, 20, activation=sigma), x).finder.startswith(method)
    bracketed = flip(TwoLayer.random(6, 20), x, finder=Bracketed())
    assert Certainty.EXACT not in bracketed.certainty[bracketed.status >= FlipStatus.FLIPPED]


@pytest.mark.parametrize("epsilon", [-0.1, float("nan"), torch.tensor([0.5, -2.0])])
def test_a_budget_that_is_no_budget_is_refused(epsilon):
    found = flip(TwoLayer.random(3, 5), torch.ones(1, 3))
    with pytest.raises(UsageError, match="epsilon must be at least 0, got"):
        found.at(epsilon)


# Memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sets a limit on memory as Linux does")
def test_a_block_that_does_not_fit_in_memory_names_one_that_does():
    program = """
import resource, torch, gradflip
from pathlib import Path
torch.set_num_threads(1)
network, x = gradflip.TwoLayer.random(4, 1_000_000, dtype=torch.float32, seed=1), torch.rand(40, 4)
for dtype in (torch.float32, torch.float64):
    gradflip.flip(network.to(dtype=dtype), x[:2], block=2)  # loads what is compiled
now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + 250_000_000, resource.RLIM_INFINITY))
try:
    gradflip.flip(network, x)
except gradflip.UsageError as error:
    said = str(error)
print(said)
print(len(gradflip.flip(network, x, block=int(said.rsplit("=", 1)[1].rstrip(".")))))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    said, count = ran.stdout.splitlines()
    assert re.fullmatch(r"flip ran out of memory: a block of 33 inputs takes about 1\.06 GB; try block=\d+\.", said)
    assert count == "40"


@pytest.mark.parametrize("block", [1, 3, 1000])
def test_the_size_of_a_block_changes_no_result(block):
    network, x = TwoLayer.random(6, 50, dtype=torch.float64, seed=5), normal(33, 6, seed=6)
    torch.testing.assert_close(flip(network, x, block=block).step, flip(network, x).step, rtol=1e-12, atol=0)


@pytest.mark.parametrize("block", [0, -1, 2.5, True])
def test_a_block_that_is_no_block_is_refused(block):
    with refused(f"block must be a positive integer, got {block!r}"):
        flip(TwoLayer.random(3, 5), torch.ones(1, 3), block=block)
