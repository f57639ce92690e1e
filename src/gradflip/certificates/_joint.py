"""Joint certificates: one network must serve all points of a group at once, and cannot.

1. For the perturbed points and weights of a search, B >= sum_i lambda_i y_i f(x'_i; W) for every W of the ball
   (`_relaxation`), and lowest_i <= y_i f(x'_i; W), the exact minimum with rounding (`_upper_bound`).
2. If B < 0, then -B <= sum over the wrong points of lambda_i (-y_i f) <= sum over the wrong points of lambda_i
   (-lowest_i).
3. So the number of wrong points is at least the smallest number of terms lambda_i (-lowest_i) that sum to -B: the
   largest ones first.

Source: docs/mathematics/certificates.md, "Joint certificates" and "Errors from a joint bound".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gradflip._checks import positive_int
from gradflip._errors import UsageError
from gradflip.certificates._certificate import checked, within
from gradflip.certificates._files import read_checksummed, write_checksummed
from gradflip.certificates._groups import group_numbers, members_by_size
from gradflip.certificates._joint_search import joint_search
from gradflip.certificates._relaxation import JointBound, certified_joint_upper_bound
from gradflip.certificates._upper_bound import certified_upper_bound, gamma, norm_upper
from gradflip.lazy._ball import LazyBall

if TYPE_CHECKING:
    import polars as pl

FORMAT = "gradflip.JointCertificate/1"
"""Format of the file of a `JointCertificate`."""

_PARTS = ("x", "y", "groups", "weights", "perturbed", "bound", "lowest", "errors")


@final
@dataclass(frozen=True, eq=False)
class JointCertificate:
    """Perturbed points, and how many of each group every network of the ball misclassifies at least.

    For every W within radius (1 + 1e-5) of the centre, the sum of weights_i y_i f(x'_i; W) over a group is at most its
    `bound`. If the bound is negative, the misclassified points must make up -bound, and each of them adds at most
    weights_i (-lowest_i).

    Attributes:
        ball: The ball.
        x: The points, float64.
        y: Their labels.
        epsilon: The budget.
        groups: The number of each point's group, 0, 1, ....
        weights: lambda_i, not negative; they sum to about one in every group.
        perturbed: x', float64.
        bound: B of each group, rounding included.
        lowest: A lower bound on y f(x'; W) over the ball, rounding included.
        errors: Number of points of each group that every W of the ball misclassifies at least.

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
        """Lower bound on the robust error of every network of the ball: the share of points misclassified at least."""
        return int(self.errors.sum()) / len(self.y)

    @property
    def perturbation(self) -> Float[Tensor, "n d"]:
        """The differences x' - x, rounded to float64."""
        return self.perturbed - self.x

    def to_frame(self) -> pl.DataFrame:
        """A table with one row per group: number of points, bound, number of certified errors.

        Returns:
            A polars data frame.
        """
        import polars as pl

        counts = torch.bincount(self.groups, minlength=len(self.bound))
        return pl.DataFrame({
            "points": counts.numpy(), "bound": self.bound.numpy(), "errors": self.errors.numpy(),
        })  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write weights, points and bounds to one safetensors file with its checksum, as `Certificate.save` does.

        Args:
            path: The file, `.safetensors`.

        Raises:
            FileError: If the file cannot be written.
        """  # noqa: DOC502
        parts = {name: getattr(self, name) for name in _PARTS}
        write_checksummed(path, FORMAT, self.ball, parts | {"epsilon": torch.tensor(self.epsilon, dtype=torch.float64)})

    @staticmethod
    def load(path: str | Path) -> JointCertificate:
        """Read a file of `save`.

        Args:
            path: The file.

        Returns:
            The certificate as it was computed when it was saved. `verify` checks its claims.

        Raises:
            FileError: If the file is missing, is no joint certificate, or was altered.
        """  # noqa: DOC502
        return read_checksummed(path, {FORMAT: JointCertificate.of_file})

    @staticmethod
    def of_file(ball: LazyBall, tensors: Mapping[str, Tensor]) -> JointCertificate:
        """Build the certificate from the content of a file.

        Args:
            ball: The ball.
            tensors: The tensors by name.

        Returns:
            A certificate.
        """
        return JointCertificate(ball, epsilon=float(tensors["epsilon"]), **{name: tensors[name] for name in _PARTS})


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
    """Search perturbations and weights for which no network of the ball serves a group of points, and prove it.

    Subgradient descent on B, in the points and in the weights, starting on the rays against the gradient at the centre
    and with half of the weight on each class. Where B becomes negative, as many steps again increase the number of
    certified errors. The proof is computed in float64 with all rounding errors, for a ball larger by 1e-5.

    Args:
        ball: The ball around an initialisation of activation relu.
        x: Points in `unit` scaling.
        y: Their labels, -1 or +1.
        epsilon: Budget of every point.
        groups: The number of each point's group; one group of all points by default. `opposite_groups` makes small
            ones.
        steps: Steps of the search; 0 keeps the points on their rays.
        optimize_weights: Whether the weights are optimised; otherwise each class has half of the weight.

    Returns:
        A `JointCertificate`.

    Raises:
        UsageError: If an argument is invalid, or the activation is not relu.

    Shape:
        x `(n, d)`, y, groups `(n,)`. A step takes about seven matrix products.

    Source: docs/mathematics/certificates.md, "Joint certificates".
    """
    points, labels = checked(ball, x, y)
    if ball.network0.activation.name != "relu":
        raise UsageError(
            f"joint certificates need activation 'relu', got {ball.network0.activation.name!r}; certify takes others."
        )
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 < epsilon < math.inf:
        raise UsageError(f"epsilon must be a positive finite number, got {epsilon!r}.")
    steps = positive_int("steps", steps + 1) - 1
    numbers = group_numbers(groups, len(x))
    joint = JointBound(ball)
    p, weights = torch.zeros_like(points), torch.zeros_like(labels)
    for members in members_by_size(numbers):
        own_p, own_weights = joint_search(
            joint, points[members], labels[members], float(epsilon), steps, optimize_weights
        )
        p[members], weights[members] = own_p.to(torch.float64), own_weights.to(torch.float64)
    budgets = torch.full_like(labels, float(epsilon))
    perturbed = within(points, p, budgets)
    return _prove(ball, points, labels, float(epsilon), numbers, weights, perturbed)


def _prove(
    ball: LazyBall, x: Tensor, y: Tensor, epsilon: float, groups: Tensor, weights: Tensor, perturbed: Tensor
) -> JointCertificate:
    """Bound and count for given points and weights, on the CPU as `certified_upper_bound` does."""
    network = ball.network0.to(device="cpu")
    x, y, groups, weights, perturbed = (part.cpu() for part in (x, y, groups, weights, perturbed))
    # 1. the lowest margins and the bounds; a point that is too far away may be wrong by any amount
    lowest = -certified_upper_bound(network, ball.radius, perturbed, -y)
    lowest = torch.where(norm_upper(perturbed - x) <= epsilon, lowest, -math.inf)
    bound = torch.full((int(groups.max()) + 1,), math.inf, dtype=torch.float64)
    errors = torch.zeros(len(bound), dtype=torch.int64)
    for members in members_by_size(groups):
        own = groups[members[:, 0]]
        bound[own] = certified_joint_upper_bound(network, ball.radius, perturbed[members], y[members], weights[members])
        # 2., 3. the errors
        errors[own] = certified_errors(bound[own], weights[members], lowest[members])
    return JointCertificate(ball, x, y, epsilon, groups, weights, perturbed, bound, lowest, errors)


def certified_errors(bound: Tensor, weights: Tensor, lowest: Tensor) -> Int[Tensor, " groups"]:
    """The smallest number of points whose weights_i (-lowest_i) can sum to -bound; 0 where the bound is not negative.

    Args:
        bound: B of every group.
        weights: lambda.
        lowest: Lower bounds on y f over the ball; -inf for a point that may make up any sum and is not counted.

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
