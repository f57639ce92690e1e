"""Inputs, balls and networks of them, for certificates of many inputs at once."""

import torch

from gradflip import LazyBall, TwoLayer


def close_classes(n, dim, seed=0, spread=0.3):
    """Points on the sphere, the two classes near each other, so that groups are hard to serve."""
    draw = torch.Generator().manual_seed(seed)
    centre = torch.randn(dim, generator=draw, dtype=torch.float64)
    y = torch.where(torch.arange(n) % 2 == 0, 1.0, -1.0).double()
    x = centre + spread * torch.randn(n, dim, generator=draw, dtype=torch.float64) * centre.norm() / dim**0.5
    return torch.nn.functional.normalize(x), y


def make(dim=30, width=200, C0=2.0, seed=1, dtype=torch.float64, **form):
    return LazyBall(TwoLayer.random(dim, width, seed=seed, dtype=dtype, **form), C0)


def moved(ball, displacement):
    """The network of the ball with rows moved as far as it allows in these directions."""
    network = ball.network0
    size = displacement.norm(dim=1, keepdim=True).clamp(min=1e-300)
    step = displacement / size * ball.radius * (1 - 1e-12)
    bias = None if network.bias is None else network.bias + step[:, -1]
    return TwoLayer(network.W + step[:, : network.dim], network.a, bias, network.output_bias, network.activation)


def total(network, x, y, weights):
    return float((weights * y * network(x)).sum())


def best_by_ascent(ball, x, y, weights, steps=200):
    """Sum of weighted margins, made large by projected ascent over the ball."""
    network = ball.network0
    start = network.W if network.bias is None else torch.cat([network.W, network.bias[:, None]], dim=1)
    rays = x if network.bias is None else torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], dim=1)
    v = torch.zeros_like(start)
    for k in range(steps):
        active = ((rays @ (start + v).mT) > 0).double()
        pull = network.a[:, None] * ((active * (weights * y)[:, None]).mT @ rays)
        v = v + ball.radius * (0.5 if k < steps // 2 else 0.05) * pull / pull.norm(dim=1, keepdim=True).clamp(
            min=1e-300
        )
        v = v * (ball.radius / v.norm(dim=1, keepdim=True)).clamp(max=1.0)
    bias = None if network.bias is None else network.bias + v[:, -1]
    return TwoLayer(network.W + v[:, : network.dim], network.a, bias, network.output_bias, network.activation)


def networks_of(ball, x, y, count=20, seed=5):
    """Random networks of the ball, on its surface, extreme for one point, and the best for all of them."""
    draw = torch.Generator().manual_seed(seed)
    shape = (ball.network0.width, ball.network0.dim + (ball.network0.bias is not None))
    for k in range(count):
        yield moved(ball, torch.randn(shape, generator=draw, dtype=torch.float64))
        yield ball.extreme(x[k % len(x)], y[k % len(x)])
    n = len(x)
    for weights in (torch.full((n,), 1 / n).double(), *(torch.rand(n, generator=draw).double() for _ in range(5))):
        yield ball.project(best_by_ascent(ball, x, y, weights))
