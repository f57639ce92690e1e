"""Joint samples of what a gradient attack sees of a random network, and tests that tell two laws apart."""

import math
import zlib

import torch
from scipy import stats

from gradflip.gaussian import RandomNetwork, draw_two_layer

DRAWS, CHUNK, PROJECTIONS = 20_000, 4_000, 20
STEPS = (0.5, 1.5)
COLUMNS = ("f(x)", "|g|", "f(x(s1))", "f(x(s2))", "g . g(x(s1))", "f after a second step", "f(x')", "g . g(x')")


def inputs(dim: int) -> torch.Tensor:
    """Two inputs with |x| = sqrt(d), 60 degrees apart where there is room."""
    x = torch.zeros(2, dim, dtype=torch.float64)
    x[0, 0] = math.sqrt(dim)
    x[1, 0], x[1, -1] = 0.5 * math.sqrt(dim), math.sqrt(0.75 * dim)
    return x


def joint_sample(widths: list[int], activation: str, *, implicit: bool, seed: int) -> torch.Tensor:
    """`(DRAWS, 8)`: the COLUMNS for independent networks, a second input sharing each network."""
    parts = []
    for chunk in range(DRAWS // CHUNK):
        key = zlib.crc32(f"{seed}/{implicit}/{chunk}/{widths}/{activation}".encode())
        network = RandomNetwork(widths, activation, implicit=implicit, draws=CHUNK, seed=key)
        parts.append(joint_columns(network))
    return torch.cat(parts)


def joint_columns(network: RandomNetwork) -> torch.Tensor:
    both = inputs(network.dim).expand(network.draws, 2, -1)
    x = both[:, :1]
    (f, f_other), (g, g_other) = ([part[:, :1], part[:, 1:]] for part in network.value_and_gradient(both))
    away = f.sign().unsqueeze(-1) * g
    x1 = x - STEPS[0] * away
    f1, g1 = network.value_and_gradient(x1)
    f2 = network(x - STEPS[1] * away)
    second = network(x1 - STEPS[0] * f.sign().unsqueeze(-1) * g1)
    norm, along, beside = g.norm(dim=-1), (g * g1).sum(-1), (g * g_other).sum(-1)
    return torch.cat([f, norm, f1, f2, along, second, f_other, beside], dim=1)


def closed_form_sample(dim: int, width: int, activation: str, *, seed: int) -> torch.Tensor:
    """The first four columns, from `draw_two_layer`."""
    drawn = draw_two_layer(
        dim, width, activation=activation, draws=DRAWS, generator=torch.Generator().manual_seed(seed)
    )
    return torch.stack([drawn.value, drawn.gradient_norm, *(drawn.at(s) for s in STEPS)], dim=1)


def comparisons(columns: int) -> int:
    """How many comparisons `smallest_p` makes."""
    return columns + PROJECTIONS


def smallest_p(one: torch.Tensor, two: torch.Tensor) -> float:
    """The smallest p of two-sample Kolmogorov-Smirnov tests on every marginal and on random projections."""
    centre, scale = one.median(dim=0).values, one.std(dim=0)
    one, two = (one - centre) / scale, (two - centre) / scale
    directions = torch.randn(one.shape[1], PROJECTIONS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    directions = torch.cat([torch.eye(one.shape[1], dtype=torch.float64), directions], dim=1)
    pairs = zip((one @ directions).T.numpy(), (two @ directions).T.numpy(), strict=True)
    return min(float(stats.ks_2samp(a, b, method="asymp").pvalue) for a, b in pairs)
