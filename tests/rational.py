"""Values of two-layer networks over the ball in exact rational arithmetic, and networks on which rounding shows."""

import math
from collections.abc import Callable
from fractions import Fraction

import torch

from cases import PIECEWISE
from gradflip import TwoLayer
from tensors import normal

LARGER = Fraction(100_001, 100_000)


def root(q: Fraction) -> Fraction:
    """sqrt(q), from below by less than 2^-200 of it."""
    shift = 220 + q.denominator.bit_length() + abs(q.numerator).bit_length()
    return Fraction(math.isqrt(q.numerator * q.denominator << 2 * shift), q.denominator << shift)


def row(values: torch.Tensor) -> list[Fraction]:
    return [Fraction(float(v)) for v in values]


def neurons(network: TwoLayer) -> list[list[Fraction]]:
    """[w_j, b_j]."""
    W = network.W if network.bias is None else torch.cat([network.W, network.bias[:, None]], dim=1)
    return [row(w) for w in W]


def interval_peaks(network: TwoLayer, function: Callable[[Fraction], Fraction], u, reach, y) -> list[Fraction]:
    """max of y a_j sigma over [u_j - reach_j, u_j + reach_j], kinks inside included."""
    peaks = []
    for j, a in enumerate(row(network.a)):
        low, high = u[j] - reach[j], u[j] + reach[j]
        places = [low, high, *(Fraction(k) for k in network.activation.kinks if low < k < high)]
        peaks.append(max(y * a * function(v) for v in places))
    return peaks


def exactly(network: TwoLayer, function, radius: Fraction, x: torch.Tensor, y: float) -> Fraction:
    """max over the ball of y f(x; W) in rational arithmetic, to 2^-190 or so."""
    y = Fraction(y)
    ray = [*row(x), Fraction(1)] if network.bias is not None else row(x)
    u = [sum((p * q for p, q in zip(w, ray, strict=True)), Fraction(0)) for w in neurons(network)]
    reach = [radius * root(sum((q * q for q in ray), Fraction(0)))] * len(u)
    total = sum(interval_peaks(network, function, u, reach, y), Fraction(0))
    return total / root(Fraction(len(u))) + y * Fraction(network.output_bias or 0.0)


def small(family: str, seed: int) -> tuple[TwoLayer, torch.Tensor, float]:
    """A network, an input, a radius: each family is hard on another part of the arithmetic."""
    draw = torch.Generator().manual_seed(seed)
    m, d = (int(torch.randint(2, k, (), generator=draw)) for k in (20, 12))
    W, a, x = normal(m, d, seed=seed), normal(m, seed=seed + 1), normal(d, seed=seed + 2)
    b = normal(m, seed=seed + 3) if seed % 2 else None
    c = 0.1 if seed % 3 == 0 else None
    if family == "cancellation":  # u_j of 1e8 - 1e8
        W[:, 0], x[1:2] = 1e8 * (1 + W[:, 0] / 10), x[0]
        W[:, 1] = -W[:, 0] + normal(m, seed=seed + 4)
        return TwoLayer(W, a, b, c, "relu"), x, 1e-9
    if family == "opposites":  # terms of 1e8 that cancel in the sum over neurons
        a[m // 2 :] = -a[: m - m // 2]
        W[m // 2 :] = W[: m - m // 2] * (1 + 1e-15)
        return TwoLayer(W, 1e8 * a, b, c, "leaky_relu(0.3)"), x, 1e-13
    if family == "tiny":  # values of 1e-12 and far below
        scale = 10.0 ** -(4 * (seed % 5))
        return TwoLayer(1e-12 * W, scale * a, None, None, "abs"), x * scale, 1e-25
    if family == "vanishing":  # products below 1e-308
        return TwoLayer(1e-160 * W, 1e250 * a, None, None, "relu"), 1e-160 * x, 1e-165
    if family == "offset":  # all is small beside the output bias
        return TwoLayer(1e-3 * W, a, b, 1e8 / (3 + seed), "relu"), x, 1e-14
    return TwoLayer(W, a, b, c, "leaky_relu(0.2)" if family == "leaky" else "relu"), x, 1e-14


FAMILIES = ("cancellation", "opposites", "tiny", "vanishing", "offset", "leaky", "ordinary")


def reference_function(network: TwoLayer):
    name = network.activation.name
    if name in PIECEWISE:
        return PIECEWISE[name][1]
    slope = Fraction(network.activation.slopes[0])
    return lambda z: z if z > 0 else slope * z


def sphere(count: int, dim: int, seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(normal(count, dim, seed=seed))


FORMS = [
    {}, {"bias": True, "output_bias": True}, {"activation": "tanh"}, {"activation": "gelu", "bias": True},
    {"activation": "abs"}, {"activation": "leaky_relu"}, {"activation": "softplus"}, {"scaling": "sqrt-d"},
]  # fmt: skip
