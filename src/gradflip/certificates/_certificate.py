"""Ball-wide adversarial examples: inputs that every network of the ball misclassifies, with the proof."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gradflip._checks import array, plain, positive_int
from gradflip._errors import UsageError
from gradflip._seeds import generator
from gradflip.attacks import rounded_budget
from gradflip.certificates._files import read_checksummed, write_checksummed
from gradflip.certificates._search import MaxMargin, descend, ray_start
from gradflip.certificates._upper_bound import certified_upper_bound, norm_upper
from gradflip.lazy._ball import LazyBall
from gradflip.lazy._extrema import checked_points

if TYPE_CHECKING:
    import polars as pl

FORMAT = "gradflip.Certificate/1"
"""Format of the file of a `Certificate`."""

_POINTS = ("x", "y", "epsilon", "perturbed", "bound", "certified")


@final
@dataclass(frozen=True, eq=False)
class Certificate:
    """For every point a perturbed one, and an upper bound on its margin over all networks of the ball.

    The certified points are the numbers in `perturbed`, in float64, not `x` plus a perturbation that would be rounded
    again. Where `certified`, every W within radius (1 + 1e-5) of the centre has y f(x'; W) < 0 in exact arithmetic, and
    |x' - x| <= epsilon.

    Attributes:
        ball: The ball; the weights of its centre are taken as they are stored.
        x: The points, float64.
        y: Their labels.
        epsilon: The budget of every point; inf where the search of a flip budget did not succeed.
        perturbed: x', float64.
        bound: A number that y f(x'; W) exceeds for no W of the ball, rounded up.
        certified: Whether the bound is negative and x' within the budget, its distance rounded up.

    Shape:
        x, perturbed `(n, d)`, all others `(n,)`.

    Source: docs/mathematics/certificates.md, "Ball-wide adversarial examples".
    """

    ball: LazyBall
    x: Float[Tensor, "n d"]
    y: Float[Tensor, " n"]
    epsilon: Float[Tensor, " n"]
    perturbed: Float[Tensor, "n d"]
    bound: Float[Tensor, " n"]
    certified: Bool[Tensor, " n"]

    def __post_init__(self) -> None:
        """Check that the parts belong together, since a file may hold anything."""
        n, d = len(self.y), self.ball.network0.dim
        for name in _POINTS:
            part = getattr(self, name)
            shape = (n, d) if name in ("x", "perturbed") else (n,)
            dtype = torch.bool if name == "certified" else torch.float64
            if part.shape != shape or part.dtype != dtype:
                got = f"{part.dtype} of {tuple(part.shape)}"
                raise UsageError(f"{name} of a certificate must be {dtype} of shape {shape}, got {got}.")
        if not bool((self.y.abs() == 1).all()):
            raise UsageError("y of a certificate must hold only -1 and +1; make it again with certify.")

    @property
    def share(self) -> float:
        """Share of points certified: a lower bound on the robust error of every network of the ball at this budget."""
        return float(self.certified.to(torch.float64).mean())

    @property
    def perturbation(self) -> Float[Tensor, "n d"]:
        """The differences x' - x, rounded to float64."""
        return self.perturbed - self.x

    @property
    def size(self) -> Float[Tensor, " n"]:
        """|x' - x|, rounded up."""
        return norm_upper(self.perturbation)

    def to_frame(self) -> pl.DataFrame:
        """A table with one row per point: label, epsilon, size, bound, certified.

        Returns:
            A polars data frame.
        """
        import polars as pl

        names = ("y", "epsilon", "size", "bound", "certified")
        return pl.DataFrame({name: getattr(self, name).cpu().numpy() for name in names})

    def save(self, path: str | Path) -> None:
        """Write weights, points and bounds to one safetensors file with the SHA-256 checksum of its content.

        `TwoLayer.load` reads the centre of the ball from it.

        Args:
            path: The file, `.safetensors`.

        Raises:
            UsageError: If the activation is not a built-in one: its code cannot be saved.
            FileError: If the file cannot be written.
        """
        write_checksummed(path, FORMAT, self.ball, {name: getattr(self, name) for name in _POINTS})

    @staticmethod
    def load(path: str | Path) -> Certificate:
        """Read a file of `save`.

        Args:
            path: The file.

        Returns:
            The certificate as it was computed when it was saved. `verify` checks its claims.

        Raises:
            FileError: If the file is missing, is no certificate, or was altered.
        """
        return read_checksummed(path, {FORMAT: Certificate.of_file})

    @staticmethod
    def of_file(ball: LazyBall, tensors: Mapping[str, Tensor]) -> Certificate:
        """Build the certificate from the content of a file.

        Args:
            ball: The ball.
            tensors: The tensors by name.

        Returns:
            A certificate.
        """
        return Certificate(ball, **{name: tensors[name] for name in _POINTS})


def certify(
    ball: LazyBall,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    epsilon: float | Float[Tensor, " n"],
    *,
    steps: int = 50,
    restarts: int = 1,
    seed: int = 0,
) -> Certificate:
    """Search near every point for an input that every network of the ball misclassifies, and prove it.

    Projected gradient descent on M(x') = max over the ball of y f(x'; W), starting on the ray against the gradient at
    the centre; restarts begin at random around that point. The search runs in the type of the weights, and ends for a
    point once M is clearly negative. The proof does not depend on the search: the bound is computed in float64, with
    all rounding errors added, for a ball larger by 1e-5.

    Args:
        ball: The ball around an initialisation.
        x: Points in `unit` scaling, of any norm.
        y: Their labels, -1 or +1.
        epsilon: Budget, one for all points or one for each.
        steps: Gradient steps from each start; ten find almost all that a hundred find.
        restarts: Number of starts.
        seed: Seed of the random starts.

    Returns:
        A `Certificate`; its `share` is a lower bound on the robust error of every network in the ball.

    Raises:
        UsageError: If an argument is invalid, or too little is known about the activation.

    Shape:
        x `(n, d)`, y `(n,)`. Two matrix products per step, and memory for a block of points.

    Source: docs/mathematics/certificates.md, "Ball-wide adversarial examples"; Wang et al. (2022), Corollary 3.2.
    """
    points64, labels64 = checked(ball, x, y)
    budgets = _budgets(epsilon, points64)
    steps, restarts = positive_int("steps", steps), positive_int("restarts", restarts)
    margin = MaxMargin(ball)
    points, labels, radii = (part.to(margin.dtype) for part in (points64, labels64, budgets))
    start = ray_start(margin, points, labels, radii)
    p, lowest = descend(margin, points, labels, radii, start.clone(), steps)
    draw = generator(seed, "certificate starts")
    for _ in range(1, restarts):
        restart = _around(start, radii, draw)
        open_ = (lowest > -margin.clear * margin.norms(points)).nonzero()[:, 0]
        q, value = descend(margin, points[open_], labels[open_], radii[open_], restart[open_], steps)
        better = value < lowest[open_]
        p[open_[better]], lowest[open_[better]] = q[better], value[better]
    return prove(ball, points64, labels64, budgets, within(points64, p, budgets))


def _around(start: Tensor, radii: Tensor, draw: torch.Generator) -> Tensor:
    """A random perturbation of the budget's size added to a start, drawn back into the budget."""
    noise = torch.randn(start.shape, generator=draw, dtype=torch.float32).to(start)
    p: Tensor = start + noise * (radii / torch.linalg.vector_norm(noise, dim=1).clamp(min=1e-30))[:, None]
    p *= (radii / torch.linalg.vector_norm(p, dim=1)).clamp(max=1.0).nan_to_num(1.0)[:, None]
    return p


def within(x: Tensor, p: Tensor, epsilon: Tensor) -> Tensor:
    """The points x + p in float64, with p shortened so that they are within epsilon of x.

    Args:
        x: Points, float64.
        p: Perturbations of any type; entries that are not finite count as 0.
        epsilon: Budgets.

    Returns:
        Perturbed points.
    """
    p = p.to(torch.float64).nan_to_num(0.0, 0.0, 0.0)
    size = norm_upper(p)
    factor = torch.where(size > 0, rounded_budget(x, epsilon) * (1 - 1e-12) / size, 0.0).clamp(max=1.0)
    return x + p * factor[:, None]


def prove(ball: LazyBall, x: Tensor, y: Tensor, epsilon: Tensor, perturbed: Tensor) -> Certificate:
    """Bound the margins at perturbed points, whatever search produced them.

    Args:
        ball: The ball.
        x: Points, float64.
        y: Labels, float64.
        epsilon: Budgets, float64.
        perturbed: Perturbed points, float64.

    Returns:
        A `Certificate`.
    """
    bound = certified_upper_bound(ball.network0, ball.radius, perturbed, y)
    certified = (bound < 0) & (norm_upper(perturbed - x) <= epsilon)
    return Certificate(ball, x, y, epsilon, perturbed, bound, certified)


def checked(ball: LazyBall, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Points and labels, checked and in float64.

    Args:
        ball: The ball.
        x: Points.
        y: Labels.

    Returns:
        Points and labels.

    Raises:
        UsageError: If `ball` is no `LazyBall`, or a point or a label is invalid.
    """
    if not isinstance(ball, LazyBall):
        raise UsageError(f"ball must be a LazyBall, got {type(ball).__name__}; build it as LazyBall(network0, C0).")
    return checked_points(ball.network0, x, y)


def _budgets(epsilon: float | Tensor, x: Tensor) -> Tensor:
    """One positive finite budget per point."""
    given = plain(epsilon)
    given = array("epsilon", given) if isinstance(given, np.ndarray) else given
    if isinstance(given, Tensor) and given.shape != x.shape[:1]:
        raise UsageError(f"epsilon must be a number or one for each of the {len(x)} points, got {tuple(given.shape)}.")
    if not isinstance(given, Tensor) and (isinstance(given, bool) or not isinstance(given, int | float)):
        raise UsageError(f"epsilon must be a number or a tensor of one per point, got {given!r}.")
    budgets = torch.as_tensor(given, dtype=torch.float64, device=x.device).detach().expand(len(x)).clone()
    wrong = budgets[~((budgets > 0) & (budgets < math.inf))]
    if len(wrong):
        raise UsageError(f"epsilon must be positive and finite, got {float(wrong[0]):g}.")
    return budgets
