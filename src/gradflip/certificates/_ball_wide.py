"""Errors that every network of a ball makes on a set of images: in numbers, in a sentence, in files."""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from jaxtyping import Float
from torch import Tensor

from gradflip._errors import FileError, UsageError
from gradflip.certificates._certificate import Certificate, certify
from gradflip.certificates._flip_budget import FlipBudget, flip_budget
from gradflip.certificates._groups import opposite_groups
from gradflip.certificates._joint import JointCertificate, certify_jointly
from gradflip.certificates._statement import statement
from gradflip.lazy._ball import LazyBall

_SINGLE, _JOINT = "certificate.safetensors", "joint.safetensors"
_PICTURES = re.compile(r"(ball-wide|universal)\.(pdf|svg|png|vl\.json|csv)$")  # "universal" in version 0.1
_SHARES = (0.25, 0.5, 0.75, 1.25, 1.5)  # of the budget, at which the curve is evaluated


@final
@dataclass(frozen=True, eq=False)
class BallWideErrors:
    """Errors that every network of a ball makes.

    Attributes:
        single: Certificate of the images one by one.
        groupings: Joint certificates of the remaining images, by grouping: `pairs`, `all`.
        budgets: The smallest budget of each image, if requested.
        epsilon: The budget.
    """

    single: Certificate
    groupings: Mapping[str, JointCertificate]
    budgets: FlipBudget | None
    epsilon: float

    @property
    def joint(self) -> JointCertificate | None:
        """The joint certificate that proves the most errors."""
        return max(self.groupings.values(), key=_count, default=None)

    @property
    def errors(self) -> int:
        """Number of images that every network of the ball misclassifies at least."""
        return int(self.single.certified.sum()) + (_count(self.joint) if self.joint else 0)

    @property
    def statement(self) -> str:
        """What is proved, as a sentence."""
        return statement(self.single.ball, self.errors, len(self.single.y), self.epsilon)

    def to_json(self) -> dict[str, Any]:
        """Settings and results as JSON values.

        Returns:
            Values by name.
        """
        ball, dim = self.single.ball, self.single.ball.network0.dim
        values: dict[str, Any] = {
            "points": len(self.single.y), "dim": dim, "width": ball.network0.width, "C0": ball.C0,
            "radius": ball.radius, "epsilon": self.epsilon, "epsilon_sqrt_d": self.epsilon * math.sqrt(dim),
            "certified": int(self.single.certified.sum()),
            "certified_jointly": {name: _count(joint) for name, joint in self.groupings.items()},
            "errors": self.errors, "statement": self.statement,
        }  # fmt: skip
        if self.budgets is not None:
            median = float(self.budgets.epsilon.median())
            values["flip_budget_median"] = median if math.isfinite(median) else None
            values["curve"] = {f"{budget:.6g}": self.budgets.at(budget) for budget in self._others()}
        return values

    def table(self) -> list[dict[str, str]]:
        """A table with one row per budget: the number of images certified.

        Returns:
            Rows of text; the row of `epsilon` also states what the joint certificates add.
        """
        n, root = len(self.single.y), math.sqrt(self.single.ball.network0.dim)
        own = {"one by one": f"{int(self.single.certified.sum())} of {n}"}
        own |= {f"jointly, {name}": f"{_count(joint)} more" for name, joint in self.groupings.items()}
        rows = {self.epsilon: own}
        if self.budgets is not None:
            rows |= {
                budget: {"one by one": f"{round(self.budgets.at(budget) * n)} of {n}"} for budget in self._others()
            }
        return [
            {"epsilon": f"{budget:.4g}", "epsilon √d": f"{budget * root:.3g}"}
            | {name: rows[budget].get(name, "") for name in own}
            for budget in sorted(rows)
        ]

    def save(self, folder: Path) -> list[Path]:
        """Write the certificates to `certificate.safetensors` and `joint.safetensors`.

        Args:
            folder: The folder.

        Returns:
            All files of certificates and pictures in it.

        Raises:
            FileError: If one cannot be written.
        """  # noqa: DOC502
        self.single.save(folder / _SINGLE)
        if self.joint is not None:
            self.joint.save(folder / _JOINT)
        return files_in(folder)

    def _others(self) -> list[float]:
        return [share * self.epsilon for share in _SHARES]


def certify_ball_wide(
    ball: LazyBall,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    epsilon: float,
    *,
    steps: int = 50,
    joint: bool = False,
    curve: bool = False,
) -> BallWideErrors:
    """Certify images one by one, and the remaining ones jointly.

    Args:
        ball: The ball around an initialisation.
        x: The images.
        y: Their labels, -1 or +1.
        epsilon: The budget.
        steps: Steps of the search per image.
        joint: Whether the remaining images are certified jointly, in pairs of opposite classes and as one group.
        curve: Whether the smallest budget of each image is computed.

    Returns:
        What is proved.

    Raises:
        UsageError: If an argument is invalid.
    """  # noqa: DOC502
    single = certify(ball, x, y, epsilon, steps=steps)
    x_left, y_left = x[~single.certified], y[~single.certified]
    groupings = {}
    if joint and bool((y_left > 0).any()) and bool((y_left < 0).any()):
        pairs = opposite_groups(x_left, y_left)
        groupings["pairs"] = certify_jointly(ball, x_left, y_left, epsilon, groups=pairs)
    if joint and len(y_left) > 1:
        groupings["all"] = certify_jointly(ball, x_left, y_left, epsilon)
    return BallWideErrors(single, groupings, flip_budget(ball, x, y) if curve else None, epsilon)


def clear_folder(folder: Path, *, force: bool = False) -> Path:
    """Create the folder for certificates, before anything is computed, and check that it can be written to.

    Args:
        folder: The folder.
        force: Remove existing certificates and pictures.

    Returns:
        The folder.

    Raises:
        UsageError: If it holds certificates or pictures already.
        FileError: If it cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        existing = files_in(folder)
        for path in existing if force else ():
            path.unlink()
    except OSError as error:
        raise FileError(f"{folder} cannot be written to: {error.strerror}; choose another --out.") from error
    if existing and not force:
        raise UsageError(f"{folder} holds {existing[0].name} already; choose another --out, or replace it by --force.")
    if not os.access(folder, os.W_OK):
        raise FileError(f"{folder} cannot be written to: {os.strerror(errno.EACCES)}; choose another --out.")
    return folder


def files_in(folder: Path) -> list[Path]:
    """The certificates in a folder, then the pictures, each sorted by name."""
    files = sorted(folder.iterdir())
    certificates = [path for path in files if path.name in (_SINGLE, _JOINT)]
    return certificates + [path for path in files if _PICTURES.match(path.name)]


def _count(joint: JointCertificate) -> int:
    return int(joint.errors.sum())
