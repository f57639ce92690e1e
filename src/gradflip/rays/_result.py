"""What a search along the gradient ray found: the step, and how sure one can be of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

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
    """The prediction flips at the step given."""
    NEVER = 3
    """Proved: the sign never changes along the ray."""
    NOT_FOUND = 4
    """A search that is not exact saw no change as far as it looked."""


class Certainty(enum.IntEnum):
    """How a status and step are known."""

    EXACT = 0
    """In closed form on a linear piece: the first flip, up to rounding."""
    CERTIFIED_FIRST = 1
    """Bracketed, and a bound on the curvature excludes any earlier flip."""
    BRACKETED = 2
    """A sign change was bracketed; an earlier one is not excluded."""


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
        lower: Left end of an interval that holds the step: phi is linear on it, or it is the bracket found.
        upper: Its right end; inf on the last piece.
        passes: How often the neurons of a row were gone through, beside the three matrix products.
        method: How it was computed, and at what cost.

    Shape:
        `(n,)` each but `method`.
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
    method: str

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
        """Robust share at a budget: of the batch, how much a single gradient step of norm <= epsilon does not flip.

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
        """These flips with some rows found anew; what it cost adds up.

        Args:
            rows: Positions of the rows.
            by: A `Flip` of them.

        Returns:
            All of them, with the method of these.
        """
        columns = {}
        for name in _COLUMNS:
            columns[name] = getattr(self, name).clone()
            columns[name][rows] = getattr(by, name) + (self.passes[rows] if name == "passes" else 0)
        return Flip(**columns, method=self.method)

    def with_method(self, method: str) -> Flip:
        """The same flips under another account of how they were found.

        Args:
            method: The account.

        Returns:
            A `Flip`.
        """
        return replace(self, method=method)

    @staticmethod
    def join(parts: list[Flip]) -> Flip:
        """The flips of several batches as one.

        Args:
            parts: At least one.

        Returns:
            Them all, in order.
        """
        joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in _COLUMNS}
        return Flip(**joined, method=parts[0].method)


_COLUMNS = tuple(field.name for field in fields(Flip) if field.name != "method")
