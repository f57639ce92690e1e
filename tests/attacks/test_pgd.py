"""Projected gradient descent: inside its ball, the same in closed form and by autograd, and seldom fooled."""

import math

import pytest
import torch
from torch import nn

from cases import refused
from disc import smallest_margin_in_the_disc
from gradflip import LazyBall, TwoLayer, flip, pgd, train


def sphere(n: int, dim: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    x = torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.nn.functional.normalize(x).to(dtype)


def labels(network: TwoLayer, x: torch.Tensor) -> torch.Tensor:
    """The network's own predictions, so that every input is correct."""
    return torch.where(network(x) < 0, -1.0, 1.0).to(x.dtype)


def plainly(network, x, y, epsilon, steps, length, clip=None) -> tuple[torch.Tensor, torch.Tensor]:
    """One input at a time, by autograd, in the words of the algorithm: the smallest margin and where."""
    found, margins = [], []
    for row, label in zip(x, y, strict=True):
        p, best, best_p = torch.zeros_like(row), math.inf, torch.zeros_like(row)
        for k in range(steps + 1):
            at = (row + p).requires_grad_()
            value = network(at[None])[0]
            margin = float((label * value).detach())
            if margin < best:
                best, best_p = margin, p
            if best <= 0 or k == steps:
                break
            (g,) = torch.autograd.grad(value, at)
            if float(g.norm()) > 0:
                p = p - length * label * g / g.norm()
            if clip:
                p = (row + p).clamp(*clip) - row
            if float(p.norm()) > epsilon:
                p = p * (epsilon / p.norm())
        found.append(row + best_p)
        margins.append(best)
    return torch.stack(found), torch.tensor(margins, dtype=torch.float64)


def differentiable(network: TwoLayer):
    def f(x):
        u = x @ network.W.mT + (0.0 if network.bias is None else network.bias)
        return network.activation(u) @ network.a / math.sqrt(network.width) + (network.output_bias or 0.0)

    return f


@pytest.mark.parametrize("clip", [None, (-0.3, 0.3)])
@pytest.mark.parametrize("form", [{}, {"bias": True, "output_bias": True}])
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "abs", "tanh"])
def test_closed_form_and_autograd_do_what_the_algorithm_says(name, form, clip):
    network = TwoLayer.random(9, 40, activation=name, dtype=torch.float64, seed=1, **form)
    x = sphere(25, 9)
    x = x.clamp(*clip) if clip else x
    y = labels(network, x)
    expected_x, expected = plainly(differentiable(network), x, y, 0.2, 12, 2.5 * 0.2 / 12, clip)
    for attacked in (network, differentiable(network)):
        found = pgd(attacked, x, y, 0.2, steps=12, clip=clip)
        torch.testing.assert_close(found.margin, expected, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(found.x, expected_x, rtol=1e-9, atol=1e-12)
        assert torch.equal(found.success, expected <= 0)
    assert 0 < int((expected <= 0).sum()) < 25


def test_a_module_is_attacked_like_the_network_that_it_is():
    module = nn.Sequential(nn.Linear(9, 40), nn.Tanh(), nn.Linear(40, 1)).double()
    network = TwoLayer.from_module(module)
    x = sphere(20, 9)
    y = labels(network, x)
    closed, auto = (pgd(attacked, x, y, 0.2, steps=15, restarts=2) for attacked in (network, module))
    torch.testing.assert_close(closed.x, auto.x, rtol=1e-8, atol=1e-10)
    assert all(parameter.grad is None for parameter in module.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("clip", [None, (0.0, 1.0)])
@pytest.mark.parametrize("epsilon", [1e-3, 0.3, 5.0])
def test_no_input_ever_leaves_its_ball_or_its_box(epsilon, clip, dtype):
    network = TwoLayer.random(30, 200, dtype=dtype, seed=2)
    x = sphere(60, 30, dtype=dtype).abs() if clip else sphere(60, 30, dtype=dtype)
    found = pgd(network, x, labels(network, x), epsilon, steps=20, restarts=3, clip=clip)
    moved = (found.x.double() - x.double()).norm(dim=1)
    assert float(moved.max()) <= epsilon * (1 + 1e-6)
    assert float(moved.max()) > 0
    if clip:
        assert float(found.x.min()) >= 0 and float(found.x.max()) <= 1


def test_success_is_decided_in_float64_and_inputs_already_wrong_stay_where_they_are():
    network = TwoLayer.random(20, 300, dtype=torch.float32, seed=3)
    x = sphere(40, 20, dtype=torch.float32)
    y = labels(network, x)
    y[::4] *= -1
    found = pgd(network, x, y, 0.2, steps=30)
    exact = network.to(dtype=torch.float64)(found.x.double()) * y.double()
    assert torch.equal(found.success, exact <= 0)
    torch.testing.assert_close(found.margin, exact, rtol=1e-12, atol=0)
    assert bool(found.success[::4].all())
    assert torch.equal(found.x[::4], x[::4])
    assert found.robust_accuracy == 1 - float(found.success.double().mean())


def test_restarts_only_help_and_more_budget_too():
    network = TwoLayer.random(2, 9, dtype=torch.float64, seed=4)
    x = sphere(2000, 2)
    y = labels(network, x)
    rates = [pgd(network, x, y, 0.6, steps=20, restarts=k).robust_accuracy for k in (1, 3, 6)]
    assert rates[0] >= rates[1] >= rates[2]
    assert rates[0] > rates[2]
    budgets = [pgd(network, x, y, epsilon, steps=50, restarts=3).robust_accuracy for epsilon in (0.05, 0.2, 0.8)]
    assert budgets[0] > budgets[1] > budgets[2]


def test_pgd_flips_what_the_exact_step_along_the_gradient_flips():
    x = sphere(400, 30, dtype=torch.float32)
    y = torch.where(x[:, 0] < 0, -1.0, 1.0)
    network0 = TwoLayer.random(30, 300, dtype=torch.float32, seed=5)
    network = train(network0, x, y, ball=LazyBall(network0, 10.0), max_epochs=60).network
    right = network(x) * y > 0
    ray = flip(network, x[right])
    found = pgd(network, x[right], y[right], 0.3, steps=100)
    missed = (ray.perturbation <= 0.3 * 0.999) & ~found.success
    assert int((ray.perturbation <= 0.3).sum()) > 20
    assert int(missed.sum()) == 0
    assert int(found.success.sum()) >= int((ray.perturbation <= 0.3).sum())


def test_where_the_disc_holds_a_flip_pgd_finds_it_nearly_always():
    cases = missed = flat = found_without = 0
    for seed in range(125):
        width = 1 + seed % 12
        network = TwoLayer.random(2, width, bias=seed % 2 == 1, dtype=torch.float64, seed=seed)
        x = sphere(200, 2, seed)
        value = network(x)
        x, y = x[value != 0], torch.where(value < 0, -1.0, 1.0).double()[value != 0]
        found = pgd(network, x, y, 0.9, steps=100, restarts=5)
        exact = smallest_margin_in_the_disc(network, x, y, 0.9)
        assert bool((found.margin >= exact - 1e-9).all())  # nothing is below the exact minimum
        flippable = exact < -1e-9
        lost = flippable & ~found.success
        cases, missed = cases + int(flippable.sum()), missed + int(lost.sum())
        flat += int((network.gradient(x[lost]).norm(dim=1) == 0).sum()) if bool(lost.any()) else 0
        found_without += int((found.success & (exact > 1e-9)).sum())
    assert found_without == 0
    assert cases >= 10_000
    print(f"{cases} discs hold a flip, {missed} missed, at {flat} of these the gradient vanishes at the input")
    assert missed <= 0.05 * cases


def test_the_exact_search_of_the_disc_is_never_above_a_fine_grid():
    network = TwoLayer.random(2, 8, bias=True, dtype=torch.float64, seed=6)
    x = sphere(10, 2)
    y = labels(network, x)
    exact = smallest_margin_in_the_disc(network, x, y, 0.4)
    radius, angle = torch.meshgrid(torch.linspace(0, 0.4, 60), torch.linspace(0, 2 * math.pi, 720), indexing="ij")
    grid = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=-1).reshape(-1, 2).double()
    on_grid = torch.stack([(label * network(row + grid)).min() for row, label in zip(x, y, strict=True)])
    assert bool((exact <= on_grid + 1e-12).all())
    assert float((on_grid - exact).max()) < 0.02


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": 0.0}, "epsilon must be positive and finite, got 0.0"),
        ({"steps": 0}, "steps must be a positive integer, got 0"),
        ({"restarts": -1}, "restarts must be a positive integer, got -1"),
        ({"step_size": math.nan}, "step_size must be positive and finite, got nan"),
        ({"clip": (1.0, 0.0)}, r"clip must be a box \(low, high\) with low below high, got \(1.0, 0.0\)"),
        ({"clip": (0.0, 0.1)}, r"x must lie in the box clip=\(0.0, 0.1\); leave clip out or scale the inputs"),
        ({"x": torch.ones(3, 4)}, r"x must have shape \(n, 5\) with n at least 1, got \(3, 4\)"),
        ({"x": torch.full((3, 5), math.inf)}, "x must be finite, got 15 NaN or infinite entries"),
        ({"y": torch.ones(2)}, r"y must have one label per row of x, 3, got shape \(2,\)"),
        ({"y": torch.tensor([1.0, 0.0, -1.0])}, r"y must hold only -1 and \+1, got 0"),
        ({"network": 3}, "network must be a TwoLayer, a module or a function, got int"),
        (
            {"network": nn.Linear(5, 2)},
            r"network must give one number per input, .* got \(3, 2\); of a two-class network",
        ),
    ],
)
def test_a_wrong_argument_is_named(change, message):
    usual = {"network": TwoLayer.random(5, 8, seed=0), "x": torch.ones(3, 5), "y": torch.ones(3), "epsilon": 0.1}
    given = usual | change
    rest = {name: given[name] for name in given if name not in usual}
    with refused(message):
        pgd(given["network"], given["x"], given["y"], given["epsilon"], **rest)
