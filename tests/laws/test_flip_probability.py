"""The exact finite law of a flip, explicit networks and the limit, at m = d = 2000."""

import math

import pytest
import torch

from gradflip.gaussian import draw_two_layer
from gradflip.networks import activation
from gradflip.theory import limits

SIZE, EXACT, DENSE = 2000, 20_000, 2_000
NAMES = ("relu", "tanh", "erf", "gelu", "softplus", "abs", "sin", "leaky_relu")
UNITS = (0.5, 1.0, 2.0, 4.0)
LEVEL = 1e-3 / (len(NAMES) * len(UNITS))


def steps(name: str) -> list[float]:
    known = limits(name)
    return [unit * known.nu / known.tau**2 for unit in UNITS]


def exact_counts(name: str, size: int, draws: int) -> torch.Tensor:
    """Flips at each step of `draws` networks, by the closed form."""
    generator, counts = torch.Generator().manual_seed(11), torch.zeros(len(UNITS))
    block = max(1, 2_000_000 // size)
    for start in range(0, draws, block):
        some = min(block, draws - start)
        drawn = draw_two_layer(size, size, activation=name, draws=some, generator=generator)
        counts += torch.stack([(drawn.value * drawn.at(s) < 0).sum() for s in steps(name)])
    return counts


def dense_counts(names: tuple[str, ...], size: int, draws: int) -> dict[str, torch.Tensor]:
    """The same by explicit networks: one matrix for all activations, products in float32, sums in float64."""
    generator = torch.Generator().manual_seed(12)
    sigmas = [activation(name) for name in names]
    counts = {name: torch.zeros(len(UNITS)) for name in names}
    for _ in range(draws):
        W = torch.randn(size, size, generator=generator).div_(math.sqrt(size))
        a = torch.randint(2, (size,), generator=generator).mul_(2).sub_(1).float()
        u = W[:, 0] * math.sqrt(size)  # x = sqrt(d) e_1
        v = (torch.stack([a * sigma.derivative(u) for sigma in sigmas]) @ W / math.sqrt(size)) @ W.T
        for name, sigma, own in zip(names, sigmas, v.double(), strict=True):
            f = sigma(u.double()) @ a.double()
            moved = torch.stack([u.double() - s * f.sign() * own for s in steps(name)])
            counts[name] += sigma(moved) @ a.double() * f < 0
    return counts


def proportion_z(k1: torch.Tensor, n1: int, k2: torch.Tensor, n2: int) -> torch.Tensor:
    """z of the two-sample test of equal proportions."""
    pooled = (k1 + k2) / (n1 + n2)
    return (k1 / n1 - k2 / n2) / (pooled * (1 - pooled) * (1 / n1 + 1 / n2)).sqrt().clamp(min=1e-12)


def agree(k1: torch.Tensor, n1: int, k2: torch.Tensor, n2: int) -> bool:
    p = torch.special.erfc(proportion_z(k1, n1, k2, n2).abs() / math.sqrt(2))
    return bool((p > LEVEL).all())


def test_the_exact_law_of_a_flip_is_that_of_explicit_networks_at_small_size():
    dense = dense_counts(("relu", "gelu"), 30, 2_000)
    for name in ("relu", "gelu"):
        exact = exact_counts(name, 30, 20_000)
        assert agree(exact, 20_000, dense[name], 2_000)
        known = torch.tensor([limits(name).flip_probability(s) for s in steps(name)])
        assert not agree(exact, 20_000, 20_000 * known, 10**9)  # at d = 30 the limit is another law


@pytest.mark.laws
def test_the_exact_law_is_that_of_explicit_networks_and_near_the_limit():
    dense = dense_counts(NAMES, SIZE, DENSE)
    for name in NAMES:
        exact = exact_counts(name, SIZE, EXACT)
        known = torch.tensor([float(limits(name).flip_probability(s)) for s in steps(name)])
        print(name, "exact", (exact / EXACT).tolist(), "dense", (dense[name] / DENSE).tolist(), "limit", known.tolist())
        assert agree(exact, EXACT, dense[name], DENSE)
        assert float((exact / EXACT - known).abs().max()) <= 0.02, name
