"""Tables of cases: piecewise-linear activations, and families of networks that are hard on a search along the ray."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

import jaxtyping
import pytest
import torch
from torch import Tensor

from gradflip import Activation, UsageError
from gradflip.networks import activation


@contextmanager
def refused(message: str) -> Iterator[None]:
    """A `UsageError` of this text; under jaxtyping's hook, a wrong type or shape may be refused before that."""
    with pytest.raises((UsageError, jaxtyping.TypeCheckError)) as caught:
        yield
    if isinstance(caught.value, UsageError):
        assert re.search(message, str(caught.value)), str(caught.value)


def hard_tanh() -> Activation:
    """A user's activation whose kinks are not at 0."""
    return Activation(
        "hard_tanh",
        lambda z: z.clamp(-1, 1),
        lambda z: ((z > -1) & (z < 1)).to(z.dtype),
        kinks=(-1.0, 1.0),
        slopes=(0.0, 1.0, 0.0),
    )


def zigzag() -> Activation:
    """A user's activation that is not monotone: up, down, up, through (0, 1)."""
    return Activation(
        "zigzag",
        lambda z: torch.where(z < -0.5, z + 2, torch.where(z < 2, 1 - z, z - 3)),
        lambda z: torch.where((z < -0.5) | (z > 2), 1.0, -1.0).to(z.dtype),
        kinks=(-0.5, 2.0),
        slopes=(1.0, -1.0, 1.0),
    )


def _leaky(slope: float) -> Callable[[Fraction], Fraction]:
    return lambda z: z if z > 0 else Fraction(slope) * z


def _zigzag(z: Fraction) -> Fraction:
    return z + 2 if z < Fraction(-1, 2) else (1 - z if z < 2 else z - 3)


PIECEWISE: dict[str, tuple[Activation, Callable[[Fraction], Fraction]]] = {
    "relu": (activation("relu"), lambda z: max(z, Fraction(0))),
    "leaky_relu": (activation("leaky_relu"), _leaky(0.01)),
    "leaky_relu(-0.5)": (activation("leaky_relu(-0.5)"), _leaky(-0.5)),
    "abs": (activation("abs"), abs),
    "identity": (activation("identity"), lambda z: z),
    "hard_tanh": (hard_tanh(), lambda z: max(Fraction(-1), min(Fraction(1), z))),
    "zigzag": (zigzag(), _zigzag),
}

SMOOTH = ("tanh", "erf", "gelu", "softplus", "swish", "sin")


@dataclass(frozen=True)
class Weights:
    """A batch of `n` networks with one top layer: W `(n, m, d)`, bias `(n, m)` or None, an input for each, `(n, d)`."""

    W: Tensor
    a: Tensor
    bias: Tensor | None
    c: float
    x: Tensor


def _normal(draw: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=draw, dtype=torch.float64)


def _whole(draw: torch.Generator, largest: int, *shape: int) -> Tensor:
    return torch.randint(-largest, largest + 1, shape, generator=draw).double()


def _signs(draw: torch.Generator, m: int) -> Tensor:
    return torch.randint(0, 2, (m,), generator=draw).double() * 2 - 1


def gaussian(draw: torch.Generator, n: int, m: int, d: int) -> Weights:
    return Weights(_normal(draw, n, m, d), _signs(draw, m), None, 0.0, _normal(draw, n, d))


def gaussian_bias(draw: torch.Generator, n: int, m: int, d: int) -> Weights:
    return Weights(_normal(draw, n, m, d), _signs(draw, m), _normal(draw, n, m), 0.3, _normal(draw, n, d))


def gaussian_top(draw: torch.Generator, n: int, m: int, d: int) -> Weights:
    return Weights(_normal(draw, n, m, d), _normal(draw, m), None, -0.2, _normal(draw, n, d))


def integers(draw: torch.Generator, n: int, m: int, d: int) -> Weights:
    """Small whole numbers: many pre-activations are on a kink and many breakpoints coincide."""
    return Weights(_whole(draw, 2, n, m, d), _signs(draw, m), None, 0.0, _whole(draw, 2, n, d))


def integers_bias(draw: torch.Generator, n: int, m: int, d: int) -> Weights:
    return Weights(_whole(draw, 1, n, m, d), _whole(draw, 2, m), _whole(draw, 1, n, m), 0.0, _whole(draw, 1, n, d))


def duplicates(draw: torch.Generator, n: int, m: int, d: int) -> Weights:
    """Every neuron about three times, some zero rows."""
    base = _normal(draw, n, (m + 2) // 3, d)
    W = base.repeat(1, 3, 1)[:, :m] * (torch.rand(n, m, 1, generator=draw) > 0.1)
    return Weights(W, _signs(draw, m), None, 0.0, _normal(draw, n, d))


def opposites(draw: torch.Generator, n: int, m: int, d: int) -> Weights:
    """Neurons and their copies with the opposite top weight, which cancel exactly; one or two are left over."""
    base, signs = _normal(draw, n, (m + 1) // 2, d), _signs(draw, (m + 1) // 2)
    W, a = torch.cat([base, base], dim=1)[:, :m], torch.cat([signs, -signs])[:m]
    if m % 2 == 0:
        W[:, -1] = _normal(draw, n, d)
    return Weights(W, a, None, 0.0, _normal(draw, n, d))


def dying(draw: torch.Generator, n: int, m: int, d: int) -> Weights:
    """Rows near +-x with top weights of one sign: relu networks that fall to zero and stay there."""
    x = _normal(draw, n, d)
    W = x[:, None] * (1 - 2.0 * (torch.rand(n, m, 1, generator=draw) < 0.3)) + 0.05 * _normal(draw, n, m, d)
    return Weights(W, torch.ones(m, dtype=torch.float64), None, 0.0, x)


def aligned(draw: torch.Generator, n: int, m: int, d: int) -> Weights:
    """All rows multiples of one another: without rounding all breakpoints would coincide."""
    return Weights(_normal(draw, n, m, 1), _signs(draw, m), None, 0.0, _normal(draw, n, 1))


def far_scales(draw: torch.Generator, n: int, m: int, d: int) -> Weights:
    """Rows whose lengths differ by twelve orders of magnitude."""
    lengths = 10 ** (12 * torch.rand(n, m, 1, generator=draw, dtype=torch.float64) - 6)
    return Weights(lengths * _normal(draw, n, m, d), _signs(draw, m), None, 0.0, _normal(draw, n, d))


def barely_moved(draw: torch.Generator, n: int, m: int, d: int) -> Weights:
    """Lazy networks: neurons moved together by about 1/sqrt(m), which makes the prediction confident."""
    W, a, x = _normal(draw, n, m, d), _signs(draw, m), torch.nn.functional.normalize(_normal(draw, n, d))
    return Weights(W + 3 / m**0.5 * a[:, None] * x[:, None], a, _normal(draw, n, m), 1 / m**0.5, x)


FAMILIES = {
    make.__name__: make
    for make in (
        gaussian, gaussian_bias, gaussian_top, integers, integers_bias, duplicates, opposites, dying, aligned,
        far_scales, barely_moved,
    )
}  # fmt: skip


def weights(family: str, width: int, *, count: int, seed: int) -> Weights:
    """`count` networks of a family, their dimension between 2 and 8."""
    draw = torch.Generator().manual_seed(seed)
    dim = int(torch.randint(2, 9, (), generator=draw))
    return FAMILIES[family](draw, count, width, dim)


def rays_of(many: Weights, sigma: Activation):
    """One `Ray` batch of `n` different networks, each with its one input, by docs/mathematics/model.md, "The ray"."""
    from gradflip import Ray

    root = len(many.a) ** 0.5
    u = torch.einsum("nmd,nd->nm", many.W, many.x) + (0.0 if many.bias is None else many.bias)
    value = sigma(u) @ many.a / root + many.c
    terms = sigma(u).abs() @ many.a.abs() / root + abs(many.c)
    q = sigma.derivative(u) * many.a
    g = torch.einsum("nm,nmd->nd", q, many.W) / root
    norm = g.norm(dim=1)
    norm = torch.where(norm <= 1e-12 * (q.abs() * many.W.norm(dim=2)).sum(1) / root, 0.0, norm)
    sign = torch.where((value.abs() <= 1e-12 * terms) | (norm == 0), 0.0, value.sign())
    v = torch.einsum("nmd,nd->nm", many.W, g) * sign[:, None]
    return Ray.of(u, v, many.a, many.c, sigma, norm, many.x.norm(dim=1))
