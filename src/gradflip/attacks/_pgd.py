"""Projected gradient descent within an L2 ball: the strongest search for a perturbation that flips a prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from gradflip._checks import examples, positive, positive_int
from gradflip._errors import UsageError
from gradflip._seeds import generator
from gradflip.attacks._budget import rounded_budget
from gradflip.attacks._oracle import Ascent, ascent_of
from gradflip.networks import TwoLayer

Classifier = TwoLayer | nn.Module | Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Attack:
    """The outcome of an attack within a budget.

    Attributes:
        x: Perturbed inputs: for each input the first misclassified iterate, else the one of smallest margin.
        success: Whether it is misclassified, y f(x) <= 0; evaluated in float64 for a `TwoLayer`.
        margin: Its margin y f(x).

    Shape:
        x `(n, d)`, success and margin `(n,)`.
    """

    x: Float[Tensor, "n d"]
    success: Bool[Tensor, " n"]
    margin: Float[Tensor, " n"]

    @property
    def robust_accuracy(self) -> float:
        """Share of the inputs that the attack leaves correctly classified: an upper bound on the robust accuracy."""
        return 1 - float(self.success.to(torch.float64).mean())


def pgd(
    network: Classifier,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    epsilon: float,
    *,
    steps: int = 100,
    restarts: int = 1,
    step_size: float | None = None,
    clip: tuple[float, float] | None = None,
    seed: int = 0,
) -> Attack:
    """Search the L2 ball around every input for a point that is misclassified.

    Each step is p <- p - step_size y grad f / |grad f|, projected into the box, if any, and onto the ball; where the
    gradient is zero, p stays. The first restart begins at the input, the others uniformly in the ball. Misclassified
    inputs leave the batch, so that a step costs only what the remaining ones cost.

    Args:
        network: A `TwoLayer`, with gradients in closed form, or a module or function x -> f, `(n, d)` -> `(n,)` or
            `(n, 1)`, differentiated by autograd.
        x: Inputs.
        y: Labels, -1 or +1.
        epsilon: Budget, L2 norm of the perturbation.
        steps: Number K of gradient steps per restart.
        restarts: Number of restarts, the one from the input included.
        step_size: Length of a step, 2.5 epsilon / K by default.
        clip: Box in which perturbed inputs stay, such as (0, 1) for pixels; the inputs must lie in it.
        seed: Seed of the random starts.

    Returns:
        An `Attack`.

    Raises:
        UsageError: If a shape, a label or a setting is invalid.

    Shape:
        x `(n, d)`, y `(n,)`. Two matrix products per step, memory for one block of inputs.

    Source: Madry et al. (2018); steps and step size of Wang et al. (2022), Algorithm 1;
        docs/mathematics/lazy-training.md, "Adversarial training".
    """
    epsilon, steps, restarts = (
        positive("epsilon", epsilon),
        positive_int("steps", steps),
        positive_int("restarts", restarts),
    )
    length = 2.5 * epsilon / steps if step_size is None else positive("step_size", step_size)
    _check_box(clip)
    ascent = ascent_of(network)
    x, y = examples(x, y, ascent.dim, ascent.device)
    points, labels = (part.to(ascent.dtype or x.dtype) for part in (x, y))
    if clip is not None and not bool(((points >= clip[0]) & (points <= clip[1])).all()):
        raise UsageError(f"x must lie in the box clip={clip}; leave clip out or scale the inputs.")
    budget = rounded_budget(points, epsilon)
    perturbed, margin = points.clone(), torch.full_like(labels, torch.inf)
    draw = generator(seed, "pgd starts")
    rows = ascent.rows(len(points))
    for k in range(restarts):
        start = torch.zeros_like(points) if k == 0 else _in_the_ball(points, budget, clip, draw)
        standing = (margin > 0).nonzero()[:, 0]
        for part in torch.split(standing, rows):
            p, best = _climb(ascent, points[part], labels[part], start[part], budget[part], length, steps, clip)
            better = best < margin[part]
            into = part[better]
            perturbed[into], margin[into] = points[into] + p[better], best[better]
    exact = ascent.exact_margins(perturbed, labels)
    return Attack(perturbed.to(x.dtype), exact <= 0, exact)


def _climb(
    ascent: Ascent,
    x: Tensor,
    y: Tensor,
    p: Tensor,
    budget: Tensor,
    length: float,
    steps: int,
    clip: tuple[float, float] | None,
) -> tuple[Tensor, Tensor]:
    """The perturbation of smallest margin over all iterates, and that margin; a row stops once it is not above zero."""
    best_p, best = p.clone(), torch.full_like(y, torch.inf)
    live = torch.arange(len(x), device=x.device)
    moved = torch.empty_like(x)
    for k in range(steps + 1):
        at = torch.add(x, p, out=moved[: len(x)])
        value, g = ascent.value_and_gradient(at, last=k == steps)
        margin = y * value
        better = margin < best[live]
        into = live[better]
        best[into] = margin[better]
        best_p[into] = p[better]
        standing = margin > 0
        if k == steps:
            break
        count = int(standing.sum())
        if count < len(x):  # misclassified rows leave the batch
            if not count:
                break
            rest = standing.nonzero()[:, 0]
            live, x, y, p, g, budget = live[rest], x[rest], y[rest], p[rest], g[rest], budget[rest]
        _move(x, y, p, g, budget, length, clip, moved[: len(x)])
    return best_p, best


def _in_the_ball(x: Tensor, budget: Tensor, clip: tuple[float, float] | None, draw: torch.Generator) -> Tensor:
    """Perturbations uniform in the ball, drawn on the CPU so that all devices agree."""
    n, d = x.shape
    direction = torch.randn(n, d, generator=draw, dtype=torch.float32)
    radius = budget.cpu()[:, None] * torch.rand(n, 1, generator=draw, dtype=torch.float64) ** (1 / d)
    length = torch.linalg.vector_norm(direction, dim=1, keepdim=True).clamp(min=1e-30)
    p: Tensor = (direction.to(torch.float64) * radius / length).to(device=x.device, dtype=x.dtype)
    return p if clip is None else (x + p).clamp(*clip) - x


def _check_box(clip: tuple[float, float] | None) -> None:
    if clip is not None and not clip[0] < clip[1]:
        raise UsageError(f"clip must be a box (low, high) with low below high, got {clip}.")


def ascend(
    gradient: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    p: Tensor,
    budget: Tensor,
    length: float | Tensor,
    steps: int,
    clip: tuple[float, float] | None,
) -> Tensor:
    """Take all K steps for all rows, misclassified or not: the inner maximisation of adversarial training.

    Args:
        gradient: Input gradient of one network or of a stack of them; it may return the same buffer at every call.
        x: Inputs.
        y: Labels.
        p: Initial perturbations, overwritten.
        budget: Radius of each ball, from `rounded_budget`.
        length: Length of a step, one for all inputs or one per input.
        steps: Number K of steps.
        clip: Box in which x + p stays.

    Returns:
        The perturbations p.

    Shape:
        x, p `(n, d)` or `(runs, n, d)`; y, budget `(n,)` or `(runs, n)`.
    """
    at = torch.empty_like(x)
    for _ in range(steps):
        _move(x, y, p, gradient(torch.add(x, p, out=at)), budget, length, clip, at)
    return p


def _move(
    x: Tensor,
    y: Tensor,
    p: Tensor,
    g: Tensor,
    budget: Tensor,
    length: float | Tensor,
    clip: tuple[float, float] | None,
    at: Tensor,
) -> None:
    """One step of p against y grad f, projected into the box and onto the ball; g and `at` are overwritten."""
    norm = torch.linalg.vector_norm(g, dim=-1)
    g.mul_(torch.where(norm > 0, -length * y / norm, 0.0)[..., None])
    p.add_(g)
    if clip is not None:
        torch.sub(torch.add(x, p, out=at).clamp_(*clip), x, out=p)
    size = torch.linalg.vector_norm(p, dim=-1)
    p.mul_((budget / size).clamp(max=1.0).nan_to_num(1.0)[..., None])
