import pytest
import torch

from gradflip.attacks import rounded_budget


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_perturbed_inputs_stay_within_the_budget_after_rounding(dtype):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2000, 30, generator=generator, dtype=torch.float64).to(dtype)
    epsilon = 1e-3
    radius = rounded_budget(x, epsilon)
    direction = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    p = (radius.to(torch.float64)[:, None] * direction / direction.norm(dim=1, keepdim=True)).to(dtype)
    moved = ((x + p).to(torch.float64) - x.to(torch.float64)).norm(dim=1)
    assert float(moved.max()) <= epsilon
    assert float(radius.min()) > 0.99 * epsilon


def test_a_budget_below_rounding_is_zero():
    assert rounded_budget(torch.full((1, 4), 1e6), 1e-3).tolist() == [0.0]


def test_a_column_of_budgets_gives_radii_per_run_and_input():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    both = rounded_budget(x, torch.tensor([[0.1], [0.3]], dtype=torch.float64))
    assert torch.equal(both, torch.stack([rounded_budget(x, 0.1), rounded_budget(x, 0.3)]))
