"""Projected gradient descent within an L2 ball: the strongest search for a perturbation that flips a prediction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from gradflip._checks import positive, positive_int
from gradflip._errors import UsageError
from gradflip._seeds import generator
from gradflip.attacks._oracle import Ascent, ModuleAscent, TwoLayerAscent
from gradflip.networks import TwoLayer

Classifier = TwoLayer | nn.Module | Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Attack:
    """What an attack found within its budget.

    Attributes:
        x: For each input the perturbed one with the smallest margin found, or the first that is misclassified.
        success: Where that is misclassified: y f(x) <= 0, in float64 for a `TwoLayer`.
        margin: y f there.

    Shape:
        x `(n, d)`, success and margin `(n,)`.
    """

    x: Float[Tensor, "n d"]
    success: Bool[Tensor, " n"]
    margin: Float[Tensor, " n"]

    @property
    def robust_accuracy(self) -> float:
        """Share of the inputs that stay correctly classified: an upper bound on the robust accuracy."""
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

    p <- p - step_size y grad f / |grad f|, drawn into the box if there is one and onto the ball, p staying where the
    gradient is zero. The first start is at the input, the others are uniform in the ball. Inputs already flipped drop
    out, so that an evaluation costs what the surviving ones cost.

    Args:
        network: A `TwoLayer`, with gradients in closed form, or a module or function x -> f, `(n, d)` -> `(n,)` or
            `(n, 1)`, differentiated by autograd.
        x: Inputs.
        y: Labels, -1 or +1.
        epsilon: Budget, L2 norm of the perturbation.
        steps: K, gradient steps of a start.
        restarts: How many starts.
        step_size: Length of a step; 2.5 epsilon / K if not given.
        clip: Box in which perturbed inputs stay, such as (0, 1) for pixels; the inputs must lie in it.
        seed: Of the random starts.

    Returns:
        An `Attack`.

    Raises:
        UsageError: If a shape, a label or a setting is not as stated.

    Shape:
        x `(n, d)`, y `(n,)`. Two matrix products a step and memory for a block of inputs.

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
    ascent = TwoLayerAscent(network) if isinstance(network, TwoLayer) else ModuleAscent(network)
    points, labels = _examples(ascent, x, y)
    if clip is not None and not bool(((points >= clip[0]) & (points <= clip[1])).all()):
        raise UsageError(f"x must lie in the box clip={clip}; leave clip out or scale the inputs.")
    budget = rounded_budget(points, epsilon)
    found, margin = points.clone(), torch.full_like(labels, torch.inf)
    draw = generator(seed, "pgd starts")
    rows = ascent.rows(len(points))
    for k in range(restarts):
        start = torch.zeros_like(points) if k == 0 else _in_the_ball(points, budget, clip, draw)
        standing = (margin > 0).nonzero()[:, 0]
        for part in torch.split(standing, rows):
            p, best = _climb(ascent, points[part], labels[part], start[part], budget[part], length, steps, clip)
            better = best < margin[part]
            into = part[better]
            found[into], margin[into] = points[into] + p[better], best[better]
    exact = ascent.exact_margins(found, labels)
    return Attack(found.to(x.dtype), exact <= 0, exact)


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
    """The perturbation of the smallest margin on the way, and that margin; a row ends where it is not above zero."""
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
        if count < len(x):  # a row that is done is worth no more products
            if not count:
                break
            rest = standing.nonzero()[:, 0]
            live, x, y, p, g, budget = live[rest], x[rest], y[rest], p[rest], g[rest], budget[rest]
        _move(x, y, p, g, budget, length, clip, moved[: len(x)])
    return best_p, best


def _in_the_ball(x: Tensor, budget: Tensor, clip: tuple[float, float] | None, draw: torch.Generator) -> Tensor:
    """Uniform perturbations, drawn on the CPU so that devices agree."""
    n, d = x.shape
    direction = torch.randn(n, d, generator=draw, dtype=torch.float32)
    radius = budget.cpu()[:, None] * torch.rand(n, 1, generator=draw, dtype=torch.float64) ** (1 / d)
    length = torch.linalg.vector_norm(direction, dim=1, keepdim=True).clamp(min=1e-30)
    p: Tensor = (direction.to(torch.float64) * radius / length).to(device=x.device, dtype=x.dtype)
    return p if clip is None else (x + p).clamp(*clip) - x


def _examples(ascent: Ascent, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Checked inputs and labels, in the type of the products."""
    if x.ndim != 2 or not len(x) or (ascent.dim is not None and x.shape[1] != ascent.dim):
        raise UsageError(f"x must have shape (n, {ascent.dim or 'd'}) with n at least 1, got {tuple(x.shape)}.")
    if y.shape != x.shape[:1]:
        raise UsageError(f"y must have one label per row of x, {len(x)}, got shape {tuple(y.shape)}.")
    if ascent.device is not None and x.device != ascent.device:
        raise UsageError(f"x must be on the device of the network, {ascent.device}, got {x.device}.")
    if not bool(torch.isfinite(x).all()):
        raise UsageError(f"x must be finite, got {int((~torch.isfinite(x)).sum())} NaN or infinite entries.")
    wrong = y[(y != 1) & (y != -1)]
    if len(wrong):
        raise UsageError(f"y must hold only -1 and +1, got {float(wrong[0]):g}.")
    dtype = ascent.dtype or x.dtype
    return x.detach().to(dtype), y.detach().to(device=x.device, dtype=dtype)


def _check_box(clip: tuple[float, float] | None) -> None:
    if clip is not None and not clip[0] < clip[1]:
        raise UsageError(f"clip must be a box (low, high) with low below high, got {clip}.")


def rounded_budget(x: Tensor, epsilon: float | Tensor) -> Tensor:
    """Radii such that x + p, rounded to the type of x, is within epsilon of x.

    Args:
        x: Inputs.
        epsilon: The budget, or a column of budgets.

    Returns:
        At most epsilon, one for each input: x + p is rounded by half a unit in the last place of each coordinate.

    Shape:
        x `(n, d)`, result `(n,)`; of a column of budgets `(runs, 1)` it is `(runs, n)`.
    """
    unit = torch.finfo(x.dtype).eps
    length = torch.linalg.vector_norm(x, dim=-1)
    radius: Tensor = (epsilon * (1 - 4 * unit) - unit * (length + epsilon)).clamp(min=0.0).to(x.dtype)
    return radius


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
    """All steps for all rows, as training wants its examples: those of the largest loss that K steps lead to.

    Args:
        gradient: grad f of inputs, of one network or of a stack of them; it may give the same buffer every time.
        x: Inputs.
        y: Labels.
        p: Where to start, overwritten.
        budget: Radius of each ball, as `rounded_budget` gives it.
        length: Of a step, one for all or for each input.
        steps: K.
        clip: Box in which x + p stays.

    Returns:
        p.

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
    """One step of p against y grad f, into the box and onto the ball; g and `at` are overwritten."""
    norm = torch.linalg.vector_norm(g, dim=-1)
    g.mul_(torch.where(norm > 0, -length * y / norm, 0.0)[..., None])
    p.add_(g)
    if clip is not None:
        torch.sub(torch.add(x, p, out=at).clamp_(*clip), x, out=p)
    size = torch.linalg.vector_norm(p, dim=-1)
    p.mul_((budget / size).clamp(max=1.0).nan_to_num(1.0)[..., None])
