"""Joint certificates: one network must serve all points of a group at once, and cannot."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.certificates._certificate import check_counts, checked, read_signed, within, write_signed
from gradflip.certificates._relaxation import JointLift, highest_jointly_certain
from gradflip.certificates._search import Lift, ray_start
from gradflip.certificates._upper_bound import gamma, highest_certain, norm_up
from gradflip.lazy._ball import LazyBall

if TYPE_CHECKING:
    import polars as pl

FORMAT = "gradflip.JointCertificate/1"
"""Of the file of a `JointCertificate`."""

_FIRST, _LAST = 2.0, 0.05  # length of the first and the last step of the points, in budgets
_NONE = 1e-30  # what a norm is divided by where it is none
_RATE = 0.5  # of the weights' multiplicative steps, in standard deviations of their gradient


@dataclass(frozen=True, eq=False)
class JointCertificate:
    """Points near the given ones, and how many of each group every network of the ball gets wrong at least.

    For every W within radius (1 + 1e-5) of the centre the sum of weights_i y_i f(x'_i; W) over a group is at most its
    `bound`. The wrong ones among them, y_i f(x'_i; W) < 0, must therefore make up -bound where it is negative, and each
    of them adds at most weights_i (-lowest_i).

    Attributes:
        ball: The ball.
        x: The points, float64.
        y: Their labels.
        epsilon: The budget.
        groups: The number of each point's group, 0, 1, ....
        weights: lambda_i, not negative; they sum to about one in every group.
        perturbed: x', float64.
        bound: B of each group, rounding included.
        lowest: A number below which y f(x'; W) is for no W of the ball, rounding included.
        errors: How many points of each group every W of the ball gets wrong at least.

    Shape:
        x, perturbed `(n, d)`; y, groups, weights, lowest `(n,)`; bound, errors `(groups,)`.

    Source: docs/mathematics/certificates.md, "Errors from a joint bound".
    """

    ball: LazyBall
    x: Float[Tensor, "n d"]
    y: Float[Tensor, " n"]
    epsilon: float
    groups: Int[Tensor, " n"]
    weights: Float[Tensor, " n"]
    perturbed: Float[Tensor, "n d"]
    bound: Float[Tensor, " groups"]
    lowest: Float[Tensor, " n"]
    errors: Int[Tensor, " groups"]

    def __post_init__(self) -> None:
        """Check that the parts belong together, since a file may hold anything."""
        n, count = len(self.y), len(self.errors)
        for name in _PARTS:
            part = getattr(self, name)
            shape = (n, self.ball.network0.dim) if name in ("x", "perturbed") else (n,)
            shape = (count,) if name in ("bound", "errors") else shape
            dtype = torch.int64 if name in ("groups", "errors") else torch.float64
            if part.shape != shape or part.dtype != dtype:
                got = f"{part.dtype} of {tuple(part.shape)}"
                raise UsageError(f"{name} of a joint certificate must be {dtype} of shape {shape}, got {got}.")
        if not bool((self.y.abs() == 1).all()):
            raise UsageError("y of a joint certificate must hold only -1 and +1; make it again.")
        if not bool(((self.groups >= 0) & (self.groups < count)).all()):
            raise UsageError(f"groups of a joint certificate must be numbers of its {count} groups; make it again.")
        if not bool((self.errors >= 0).all()):
            raise UsageError("errors of a joint certificate must not be negative; make it again.")
        if not bool(((self.weights >= 0) & (self.weights < math.inf)).all()):
            raise UsageError("weights of a joint certificate must be finite and not negative; make it again.")

    @property
    def robust_error(self) -> float:
        """Share of the points that every network of the ball gets wrong at least: at this budget none does better."""
        return int(self.errors.sum()) / len(self.y)

    @property
    def perturbation(self) -> Float[Tensor, "n d"]:
        """The differences x' - x, rounded to float64."""
        return self.perturbed - self.x

    def to_frame(self) -> pl.DataFrame:
        """One row per group: how many points, its bound, how many errors are certain.

        Returns:
            A polars frame.
        """
        import polars as pl

        counts = torch.bincount(self.groups, minlength=len(self.bound))
        return pl.DataFrame({
            "points": counts.numpy(), "bound": self.bound.numpy(), "errors": self.errors.numpy(),
        })  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write weights, points and bounds to one safetensors file, signed as that of a `Certificate`.

        Args:
            path: The file, `.safetensors`.

        Raises:
            FileError: If the file cannot be written.
        """  # noqa: DOC502
        parts = {name: getattr(self, name) for name in _PARTS}
        write_signed(path, FORMAT, self.ball, parts | {"epsilon": torch.tensor(self.epsilon, dtype=torch.float64)})

    @staticmethod
    def load(path: str | Path) -> JointCertificate:
        """Read what `save` wrote.

        Args:
            path: The file.

        Returns:
            A certificate; what it states is what was computed when it was made. `verify` computes it again.

        Raises:
            FileError: If the file is missing, is no joint certificate, or was altered.
        """  # noqa: DOC502
        return read_signed(path, {FORMAT: JointCertificate.of_file})

    @staticmethod
    def of_file(ball: LazyBall, tensors: Mapping[str, Tensor]) -> JointCertificate:
        """The certificate in a file that is read.

        Args:
            ball: The ball in it.
            tensors: All that is in it.

        Returns:
            A certificate.
        """
        return JointCertificate(ball, epsilon=float(tensors["epsilon"]), **{name: tensors[name] for name in _PARTS})


_PARTS = ("x", "y", "groups", "weights", "perturbed", "bound", "lowest", "errors")


def certify_jointly(
    ball: LazyBall,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    epsilon: float,
    *,
    groups: Int[Tensor, " n"] | None = None,
    steps: int = 12,
    optimize_weights: bool = True,
) -> JointCertificate:
    """Search perturbations and weights with which no network of the ball serves a group of points, and prove it.

    Subgradient descent on B, in the points and in the weights, from the rays against the gradient at the centre and
    weights of which each class has half. Where B becomes negative, as many steps again make the number of certain
    errors large: weights within 0 <= lambda_i <= 1 / max(-y_i f) prove -B errors. The proof is computed in float64 with
    all rounding, for a ball larger by 1e-5.

    Args:
        ball: The ball around an initialisation of activation relu.
        x: Points in `unit` scaling.
        y: Their labels, -1 or +1.
        epsilon: Budget of every point.
        groups: The number of each point's group; all are one if not given. `opposite_groups` makes small ones.
        steps: Steps of the search; 0 leaves the points on their rays.
        optimize_weights: Whether the weights are searched; each class has half of them otherwise.

    Returns:
        A `JointCertificate`.

    Raises:
        UsageError: If an argument is not as stated, or the activation is not relu.

    Shape:
        x `(n, d)`, y, groups `(n,)`. A step takes about seven matrix products.

    Source: docs/mathematics/certificates.md, "Joint certificates".
    """
    points64, labels64 = checked(ball, x, y)
    if ball.network0.activation.name != "relu":
        raise UsageError(
            f"joint certificates need activation 'relu', got {ball.network0.activation.name!r}; certify takes others."
        )
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 < epsilon < math.inf:
        raise UsageError(f"epsilon must be a positive finite number, got {epsilon!r}.")
    check_counts(steps=steps + 1)
    numbers = _numbers(groups, len(x))
    lift = JointLift(ball)
    p, weights = torch.zeros_like(points64), torch.zeros_like(labels64)
    for members in _by_size(numbers):
        found = _search(lift, points64[members], labels64[members], float(epsilon), steps, optimize_weights)
        p[members], weights[members] = (part.to(torch.float64) for part in found)
    budgets = torch.full_like(labels64, float(epsilon))
    perturbed = within(points64, p, budgets)
    return _prove(ball, points64, labels64, float(epsilon), numbers, weights, perturbed)


def opposite_groups(x: Float[Tensor, "n d"], y: Float[Tensor, " n"], pairs: int = 1) -> Int[Tensor, " n"]:
    """Groups with as many points of each class: pairs as near each other as can be in all, then so many to a group.

    Near points of opposite classes are the hardest to serve at once. A group whose bound is negative proves an error:
    one in two for pairs, which need the largest budget, fewer for larger groups, which need less.

    Args:
        x: Points.
        y: Their labels, -1 or +1.
        pairs: How many pairs are a group.

    Returns:
        The number of each point's group; points of the larger class that are left are groups of their own.

    Raises:
        UsageError: If `pairs` is not a positive integer.

    Shape:
        x `(n, d)`, y and result `(n,)`.
    """
    from scipy.optimize import linear_sum_assignment

    check_counts(pairs=pairs)
    upper, lower = (y > 0).nonzero()[:, 0], (y < 0).nonzero()[:, 0]
    rays = torch.nn.functional.normalize(x.to(torch.float64), dim=1)
    first, second = linear_sum_assignment(-(rays[upper] @ rays[lower].mT).cpu().numpy())
    groups = torch.full((len(y),), -1, dtype=torch.int64, device=y.device)
    groups[upper[first]] = groups[lower[second]] = torch.arange(len(first), device=y.device) // pairs
    alone = groups < 0
    groups[alone] = -(-len(first) // pairs) + torch.arange(int(alone.sum()), device=y.device)
    return groups


def _numbers(groups: Tensor | None, n: int) -> Tensor:
    if groups is None:
        return torch.zeros(n, dtype=torch.int64)
    if groups.shape != (n,) or groups.is_floating_point() or int(groups.min()) < 0:
        raise UsageError(f"groups must have one number 0, 1, ... per point, {n}, got shape {tuple(groups.shape)}.")
    _, numbers = torch.unique(groups.to(torch.int64), return_inverse=True)
    return torch.as_tensor(numbers)


def _by_size(numbers: Tensor) -> list[Tensor]:
    """Members of the groups of each size, `(groups, points)`."""
    counts = torch.bincount(numbers)
    order = torch.argsort(numbers, stable=True)
    members = []
    for size in torch.unique(counts).tolist():
        own = order[counts[numbers[order]] == size]
        members.append(own.view(-1, size))
    return members


def _search(
    lift: JointLift, x64: Tensor, y64: Tensor, epsilon: float, steps: int, optimize: bool
) -> tuple[Tensor, Tensor]:
    """Perturbations `(groups, points, d)` and weights `(groups, points)` of many certain errors."""
    x, y = x64.to(lift.dtype), y64.to(lift.dtype)
    deepest_of = Lift(lift.ball)
    start = ray_start(deepest_of, x.flatten(0, 1), y.flatten(), torch.full_like(y, epsilon).flatten())
    p, weights = start.view_as(x), _balanced(y)
    best_p, best_weights, best = p.clone(), weights.clone(), torch.full_like(y[:, 0], -math.inf)
    rounds = 2 * steps if optimize and x.shape[1] > 1 else steps
    for k in range(rounds + 1):
        B, g, g_weights = lift(x + p, y, weights)
        deepest = _deepest(deepest_of, x + p, y)
        errors = -B / (weights * deepest).amax(dim=1).clamp(min=_NONE)
        better = errors > best
        best = torch.where(better, errors, best)
        best_p[better], best_weights[better] = p[better], weights[better]
        if k == rounds:
            break
        share = _FIRST * (_LAST / _FIRST) ** (min(k, steps - 1) / max(1, steps - 1))
        p = p - share * epsilon * g / torch.linalg.vector_norm(g, dim=2, keepdim=True).clamp(min=_NONE)
        p *= (epsilon / torch.linalg.vector_norm(p, dim=2, keepdim=True).clamp(min=_NONE)).clamp(max=1.0)
        if optimize:
            rate = _RATE * (1 - k % steps / steps)
            low = _towards_low(weights, g_weights, rate)
            many = _towards_many(weights, g_weights, deepest, rate)
            weights = torch.where((B < 0)[:, None] & (k >= steps), many, low)
    return best_p, best_weights / best_weights.sum(dim=1, keepdim=True)


def _balanced(y: Tensor) -> Tensor:
    """Weights that sum to one in every group, half of them for each class where both are there."""
    weights: Tensor = torch.zeros_like(y)
    for label in (-1, 1):
        own = (y == label).to(y.dtype)
        weights += own / own.sum(dim=1, keepdim=True).clamp(min=1.0)
    return weights / weights.sum(dim=1, keepdim=True)


def _deepest(lift: Lift, x: Tensor, y: Tensor) -> Tensor:
    """How wrong about each point a network of the ball can be at most, max -y f, and a little at least."""
    flat, labels = x.flatten(0, 1), -y.flatten()
    parts = zip(torch.split(flat, lift.rows), torch.split(labels, lift.rows), strict=True)
    values = [lift(part, own, last=True)[0].clone() for part, own in parts]
    return torch.cat(values).view_as(y).clamp(min=lift.noise)


def _towards_low(weights: Tensor, g: Tensor, rate: float) -> Tensor:
    """Weights of sum one that lower B: more for the points that pull it down."""
    centred = g - (weights * g).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)
    spread = (weights * centred.square()).sum(dim=1, keepdim=True) / weights.sum(dim=1, keepdim=True)
    moved = weights * torch.exp((-rate * centred / spread.sqrt().clamp(min=_NONE)).clamp(-20.0, 20.0))
    return moved / moved.sum(dim=1, keepdim=True)


def _towards_many(weights: Tensor, g: Tensor, deepest: Tensor, rate: float) -> Tensor:
    """Weights that prove more errors: -B grows while no weight passes 1 / deepest."""
    shares = weights * deepest
    shares = shares / shares.amax(dim=1, keepdim=True)
    slope = g / deepest
    size = slope.square().mean(dim=1, keepdim=True).sqrt().clamp(min=_NONE)
    moved = (shares - rate * slope / size).clamp(0.0, 1.0)
    return moved / deepest


def _prove(
    ball: LazyBall, x: Tensor, y: Tensor, epsilon: float, groups: Tensor, weights: Tensor, perturbed: Tensor
) -> JointCertificate:
    """The certificate of perturbed points and weights, however they were found; on the CPU, as `highest_certain`."""
    network = ball.network0.to(device="cpu")
    x, y, groups, weights, perturbed = (part.cpu() for part in (x, y, groups, weights, perturbed))
    lowest = -highest_certain(network, ball.radius, perturbed, -y)
    lowest = torch.where(norm_up(perturbed - x) <= epsilon, lowest, -math.inf)  # a point too far away may be wrong
    bound = torch.full((int(groups.max()) + 1,), math.inf, dtype=torch.float64)
    errors = torch.zeros(len(bound), dtype=torch.int64)
    for members in _by_size(groups):
        own = groups[members[:, 0]]
        bound[own] = highest_jointly_certain(network, ball.radius, perturbed[members], y[members], weights[members])
        errors[own] = certain_errors(bound[own], weights[members], lowest[members])
    return JointCertificate(ball, x, y, epsilon, groups, weights, perturbed, bound, lowest, errors)


def certain_errors(bound: Tensor, weights: Tensor, lowest: Tensor) -> Tensor:
    """The smallest number of points whose weights_i (-lowest_i) can sum to -bound; 0 where the bound is not negative.

    Args:
        bound: B of every group.
        weights: lambda.
        lowest: Below which y f is for no W; -inf for a point that may make up any sum and is not counted.

    Returns:
        Counts.

    Shape:
        bound `(groups,)`, weights, lowest `(groups, points)`.
    """
    free = ~torch.isfinite(lowest)  # these may make up any sum, and are not counted
    most = torch.where(lowest < 0, weights * -lowest, 0.0)
    most[free] = math.inf
    sums = most.sort(dim=1, descending=True).values.cumsum(dim=1) * (1 + gamma(most.shape[1] + 4))
    count = 1 + (sums < -bound[:, None]).sum(dim=1) - free.sum(dim=1)
    return torch.where(bound < 0, count.clamp(min=0, max=most.shape[1]), 0)
