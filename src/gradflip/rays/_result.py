"""The result of a search along the gradient ray: the step, and how it is known."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int8, Int32
from torch import Tensor

from gradflip._errors import UsageError

if TYPE_CHECKING:
    import polars as pl


class FlipStatus(enum.IntEnum):
    """What happens along a ray, in this order of precedence (docs/mathematics/model.md, "The ray")."""

    BOUNDARY = 0
    """f(x) = 0: the input is on the decision boundary; the step is 0 by convention."""
    FLAT = 1
    """The gradient is zero: there is no ray."""
    FLIPPED = 2
    """The prediction flips at the step."""
    NEVER = 3
    """Proved: the sign never changes along the ray."""
    NOT_FOUND = 4
    """An inexact search saw no sign change within its reach."""


class Certainty(enum.IntEnum):
    """How a status and step are known."""

    EXACT = 0
    """In closed form on a linear piece: the first flip, up to rounding."""
    CERTIFIED_FIRST = 1
    """Bracketed, and a bound on the curvature excludes any earlier flip."""
    BRACKETED = 2
    """A sign change was bracketed; an earlier one is not excluded."""


@dataclass(frozen=True)
class Crossing:
    """The point at which phi first goes below zero, `(n,)` each; `NOT_FOUND` if a search has not seen it."""

    status: Tensor
    step: Tensor
    lower: Tensor
    upper: Tensor

    @staticmethod
    def join(parts: list[Crossing]) -> Crossing:
        """The crossings of several batches, in order."""
        return Crossing(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Crossing)))

    @staticmethod
    def not_found(n: int, device: torch.device) -> Crossing:
        """No crossing yet, on n rows."""
        status = torch.full((n,), FlipStatus.NOT_FOUND, dtype=torch.int8, device=device)
        return Crossing(status, *(status.new_full((n,), torch.inf, dtype=torch.float64) for _ in range(3)))

    @staticmethod
    def flipped(step: Tensor, lower: Tensor, upper: Tensor) -> Crossing:
        """A crossing on every row."""
        return Crossing(torch.full_like(step, FlipStatus.FLIPPED, dtype=torch.int8), step, lower, upper)

    def put(self, rows: Tensor, crossing: Crossing) -> None:
        """Overwrite some rows."""
        for field in fields(Crossing):
            getattr(self, field.name)[rows] = getattr(crossing, field.name)


@dataclass(frozen=True, eq=False)
class Flip:
    """The smallest steps along the gradient that flip a batch of predictions.

    Attributes:
        step: s*, the multiple of the gradient; inf where there is no flip, 0 on the boundary.
        gradient_norm: |g|.
        input_norm: |x|.
        value: f(x).
        status: A `FlipStatus` code per input.
        certainty: A `Certainty` code per input.
        lower: Left end of an interval that holds the step: a bracket, or an interval on which phi is linear.
        upper: Its right end; inf on the last piece.
        passes: Passes over the neurons of a row, beside the three matrix products.
        finder: The search, such as `"certified newton"` or `"bracketed (rtol 1e-12)"`.
        dtype: Type of the matrix products; `None` where the finder was given rays.
        refined: Rows that were computed again in float64.
        weights: Of a `RandomNetwork`, whether its matrices are `"implicit"` or `"explicit"`; else `None`.

    Shape:
        `(n,)` each down to `passes`.
    """

    step: Float[Tensor, " n"]
    gradient_norm: Float[Tensor, " n"]
    input_norm: Float[Tensor, " n"]
    value: Float[Tensor, " n"]
    status: Int8[Tensor, " n"]
    certainty: Int8[Tensor, " n"]
    lower: Float[Tensor, " n"]
    upper: Float[Tensor, " n"]
    passes: Int32[Tensor, " n"]
    finder: str
    dtype: torch.dtype | None = None
    refined: int = 0
    weights: str | None = None

    @staticmethod
    def assemble(
        crossing: Crossing,
        *,
        value: Tensor,
        gradient_norm: Tensor,
        input_norm: Tensor,
        passes: Tensor | int,
        finder: str,
        certainty: Tensor | Certainty = Certainty.EXACT,
    ) -> Flip:
        """The flips of a search: `BOUNDARY` and `FLAT` take precedence over its result, and are exact.

        Args:
            crossing: Result of the search on every row.
            value: f(x).
            gradient_norm: |g|.
            input_norm: |x|.
            passes: Passes over the neurons, per row or for all.
            finder: The search.
            certainty: How status and step are known, per row or for all.

        Returns:
            A `Flip`; its interval and step are 0 on the boundary and inf where there is no flip.
        """
        boundary = value == 0
        status = torch.where(gradient_norm == 0, FlipStatus.FLAT, crossing.status)
        status = torch.where(boundary, FlipStatus.BOUNDARY, status).to(torch.int8)
        searched = status >= FlipStatus.FLIPPED
        flipped, other = status == FlipStatus.FLIPPED, torch.where(boundary, 0.0, torch.inf)
        return Flip(
            step=torch.where(flipped, crossing.step, other),
            gradient_norm=gradient_norm,
            input_norm=input_norm,
            value=value,
            status=status,
            certainty=torch.where(searched, certainty, Certainty.EXACT).to(torch.int8),
            lower=torch.where(flipped, crossing.lower, other),
            upper=torch.where(flipped, crossing.upper, other),
            passes=passes if isinstance(passes, Tensor) else torch.full_like(status, passes, dtype=torch.int32),
            finder=finder,
        )

    @property
    def method(self) -> str:
        """How the flips were computed and at what cost, in words: finder, type, rows in float64, passes."""
        parts = [self.finder]
        if self.dtype is not None:
            parts.append(str(self.dtype).removeprefix("torch."))
        if self.refined:
            parts.append(f"{self.refined} of {len(self)} rows again in float64")
        if self.weights is not None:
            parts.append(f"{self.weights} weights")
        words = ", ".join(parts)
        if len(parts) == 1:  # a finder by itself
            return words
        return f"{words}: {float(self.passes.to(torch.float64).mean()):.2f} passes a row"

    def __len__(self) -> int:
        """Number of inputs."""
        return len(self.step)

    @property
    def perturbation(self) -> Float[Tensor, " n"]:
        """|x(s*) - x| = s* |g|, in the units of the input; inf where there is no flip."""
        # inf * 0 of a flat point is inf: no step flips it
        return torch.where(self.step.isinf(), torch.inf, self.step * self.gradient_norm)

    @property
    def relative(self) -> Float[Tensor, " n"]:
        """The relative perturbation rho = |x(s*) - x| / |x|, scale-free; inf where there is no flip or x = 0."""
        boundary = self.status == FlipStatus.BOUNDARY
        return torch.where(boundary, 0.0, self.perturbation / self.input_norm)

    def at(self, epsilon: float | Float[Tensor, ...]) -> Float[Tensor, ...]:
        """Robust share at a budget: the share of the batch that no single gradient step of norm <= epsilon flips.

        Args:
            epsilon: One budget or many, L2 norms of the perturbation in the units of the input.

        Returns:
            Shares in [0, 1], in the shape of epsilon.

        Raises:
            UsageError: If a budget is negative or not a number.
        """
        budgets = torch.as_tensor(epsilon, dtype=torch.float64, device=self.step.device)
        if not bool((budgets >= 0).all()):
            raise UsageError(f"epsilon must be at least 0, got {float(budgets[~(budgets >= 0)].flatten()[0])}.")
        flipped = self.perturbation[self.step.isfinite()].sort().values  # no budget, not even inf, flips the others
        return 1 - torch.searchsorted(flipped, budgets.contiguous(), right=True).to(torch.float64) / max(1, len(self))

    def to_frame(self) -> pl.DataFrame:
        """One row per input, with status and certainty by name.

        Returns:
            A polars data frame.
        """
        import polars as pl

        columns = ("step", "perturbation", "relative", "gradient_norm", "value")
        frame = {name: getattr(self, name).cpu().numpy() for name in columns}
        frame["status"] = [FlipStatus(code).name.lower() for code in self.status.tolist()]
        frame["certainty"] = [Certainty(code).name.lower() for code in self.certainty.tolist()]
        return pl.DataFrame(frame)

    def replaced(self, rows: Tensor, by: Flip) -> Flip:
        """These flips with some rows replaced; their passes add up.

        Args:
            rows: Positions of the rows.
            by: A `Flip` of these rows.

        Returns:
            All flips, with the finder and type of these.
        """
        columns: dict[str, Any] = {}
        for name in _COLUMNS:
            columns[name] = getattr(self, name).clone()
            columns[name][rows] = getattr(by, name) + (self.passes[rows] if name == "passes" else 0)
        return replace(self, **columns)

    @staticmethod
    def join(parts: list[Flip]) -> Flip:
        """The flips of several batches as one.

        Args:
            parts: At least one.

        Returns:
            All of them in order, with the finder and type of the first.
        """
        joined: dict[str, Any] = {name: torch.cat([getattr(part, name) for part in parts]) for name in _COLUMNS}
        return replace(parts[0], **joined, refined=sum(part.refined for part in parts))


_SAID = ("finder", "dtype", "refined", "weights")
_COLUMNS = tuple(field.name for field in fields(Flip) if field.name not in _SAID)
