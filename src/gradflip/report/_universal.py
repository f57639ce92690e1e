"""What was proved of an initialisation and some images: in numbers, in a sentence, in files, and some as pictures."""

from __future__ import annotations

import base64
import errno
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import FileError, UsageError
from gradflip.lazy import (
    Certificate,
    FlipBudget,
    JointCertificate,
    LazyBall,
    certify,
    certify_jointly,
    flip_budget,
    opposite_groups,
)
from gradflip.lazy._certificate import shown_up, statement
from gradflip.report._figures import Drawn, Figure
from gradflip.report._gallery import png

_SINGLE, _JOINT = "certificate.safetensors", "joint.safetensors"
_PICTURES = re.compile(r"universal\.(pdf|svg|png|vl\.json|csv)$")
_SHARES = (0.25, 0.5, 0.75, 1.25, 1.5)  # of the budget, where the curve is shown
_SIDE = 132  # of an image on the page
_GAP = 14
_LEFT, _BELOW = 80, 40  # for words
_DOTS = 224  # of a picture, at least: viewers smooth what they enlarge


@dataclass(frozen=True, eq=False)
class Universal:
    """What every network of a ball gets wrong.

    Attributes:
        single: The images certified one by one.
        groupings: Joint certificates of those that were not, by how they were grouped: `pairs`, `all`.
        budgets: The smallest budget of each image, if it was asked for.
        epsilon: The budget.
    """

    single: Certificate
    groupings: Mapping[str, JointCertificate]
    budgets: FlipBudget | None
    epsilon: float

    @property
    def joint(self) -> JointCertificate | None:
        """The joint certificate that proves most."""
        return max(self.groupings.values(), key=_count, default=None)

    @property
    def errors(self) -> int:
        """How many of the images every network of the ball gets wrong at least."""
        return int(self.single.certified.sum()) + (_count(self.joint) if self.joint else 0)

    @property
    def statement(self) -> str:
        """What has been proved, as a sentence."""
        return statement(self.single.ball, self.errors, len(self.single.y), self.epsilon)

    def to_json(self) -> dict[str, Any]:
        """Settings and numbers.

        Returns:
            JSON values.
        """
        ball, dim = self.single.ball, self.single.ball.network0.dim
        found: dict[str, Any] = {
            "points": len(self.single.y), "dim": dim, "width": ball.network0.width, "C0": ball.C0,
            "radius": ball.radius, "epsilon": self.epsilon, "epsilon_sqrt_d": self.epsilon * math.sqrt(dim),
            "certified": int(self.single.certified.sum()),
            "certified_jointly": {name: _count(joint) for name, joint in self.groupings.items()},
            "errors": self.errors, "statement": self.statement,
        }  # fmt: skip
        if self.budgets is not None:
            median = float(self.budgets.epsilon.median())
            found["flip_budget_median"] = median if math.isfinite(median) else None
            found["curve"] = {f"{budget:.6g}": self.budgets.at(budget) for budget in self._others()}
        return found

    def table(self) -> list[dict[str, str]]:
        """A row per budget: how many images are certified.

        Returns:
            Rows of text; in that of `epsilon` what the joint certificates add.
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
        """Write the certificates, `certificate.safetensors` and `joint.safetensors`, and pictures, `universal.png`.

        Args:
            folder: Where.

        Returns:
            The files.

        Raises:
            FileError: If one cannot be written.
        """  # noqa: DOC502
        self.single.save(folder / _SINGLE)
        if self.joint is not None:
            self.joint.save(folder / _JOINT)
        if self.single.share:
            universal_figure(self.single).save(folder)
        return _files(folder)

    def _others(self) -> list[float]:
        return [share * self.epsilon for share in _SHARES]


def universal(
    ball: LazyBall,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    epsilon: float,
    *,
    steps: int = 50,
    joint: bool = False,
    curve: bool = False,
) -> Universal:
    """Certify images one by one, and those that are left jointly.

    Args:
        ball: The ball around an initialisation.
        x: The images.
        y: Their labels, -1 or +1.
        epsilon: The budget.
        steps: Steps of the search for each image.
        joint: Whether what is left is certified jointly, in pairs of opposite classes and as one group.
        curve: Whether the smallest budget of each image is searched.

    Returns:
        What was proved.

    Raises:
        UsageError: If an argument is not as stated.
    """  # noqa: DOC502
    single = certify(ball, x, y, epsilon, steps=steps)
    x_left, y_left = x[~single.certified], y[~single.certified]
    groupings = {}
    if joint and bool((y_left > 0).any()) and bool((y_left < 0).any()):
        pairs = opposite_groups(x_left, y_left)
        groupings["pairs"] = certify_jointly(ball, x_left, y_left, epsilon, groups=pairs)
    if joint and len(y_left) > 1:
        groupings["all"] = certify_jointly(ball, x_left, y_left, epsilon)
    return Universal(single, groupings, flip_budget(ball, x, y) if curve else None, epsilon)


def clear_folder(folder: Path, *, force: bool = False) -> Path:
    """Make the folder for what will be proved, before it is.

    Args:
        folder: Where.
        force: Remove certificates and pictures that are there already.

    Returns:
        The folder.

    Raises:
        UsageError: If it holds a certificate.
        FileError: If the system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        there = _files(folder)
        for path in there if force else ():
            path.unlink()
    except OSError as error:
        raise FileError(f"{folder} cannot be written to: {error.strerror}; choose another --out.") from error
    if there and not force:
        raise UsageError(f"{folder} holds {there[0].name} already; choose another --out, or replace it by --force.")
    if not os.access(folder, os.W_OK):
        raise FileError(f"{folder} cannot be written to: {os.strerror(errno.EACCES)}; choose another --out.")
    return folder


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name in (_SINGLE, _JOINT) or _PICTURES.match(path.name))


def _count(joint: JointCertificate) -> int:
    return int(joint.errors.sum())


def universal_figure(certificate: Certificate, limit: int = 6) -> Figure:
    """A column per test image: the image, what is added to it, the sum that no network of the ball gets right.

    Args:
        certificate: Of square images.
        limit: How many of them, of both classes in turn.

    Returns:
        A figure named `universal`; what is added is scaled to be seen, by the same factor everywhere, and grey is
        nothing.

    Raises:
        UsageError: If the points are no square images.
        ValueError: If no point was certified.
    """
    side = math.isqrt(certificate.x.shape[1])
    if side**2 != certificate.x.shape[1]:
        raise UsageError(f"points must be square images to be drawn, got {certificate.x.shape[1]} entries.")
    chosen = _in_turn(certificate, limit)
    if not chosen:
        raise ValueError("no point was certified, so that there is no universal perturbation to draw.")
    images, sums = (part[chosen].cpu().numpy() for part in (certificate.x, certificate.perturbed))
    added = sums - images
    bright = images.max(axis=1, keepdims=True).clip(min=1e-12)  # images of norm 1 are dark
    scale = _rounded(0.5 / max(float(np.abs(added / bright).max()), 1e-12))
    rows = {"image": images / bright, f"added × {scale:g}": 0.5 + scale * added / bright, "sum": sums / bright}
    numbers = pl.DataFrame({
        "point": chosen,
        "label": [int(certificate.y[i]) for i in chosen],
        "epsilon": [float(certificate.epsilon[i]) for i in chosen],
        "size": [float(certificate.size[i]) for i in chosen],
        "bound": [float(certificate.bound[i]) for i in chosen],
    })  # fmt: skip
    ball = certificate.ball
    caption = (
        f"Test images of norm {float(torch.linalg.vector_norm(certificate.x[chosen[0]])):.3g}, what is added to them "
        f"(× {scale:g}; grey is nothing), and sums. No network whose {ball.network0.width:,} neurons each lie within "
        f"{ball.radius:.4g} (C0 = {ball.C0:g}) of the initialisation has the label of a sum: y f is below the bound, "
        f"the largest value that any of them can have there."
    )
    return Figure("universal", (_drawn(rows, numbers, side),), numbers, caption)


def _in_turn(certificate: Certificate, limit: int) -> list[int]:
    """The first certified points of both classes, one of each after the other, in the order of the points."""
    own = [(certificate.certified & (certificate.y == label)).nonzero()[:, 0].tolist() for label in (-1, 1)]
    half = max(limit - limit // 2, limit - min(map(len, own)))  # of one class more if there are few of the other
    mixed = [i for k in range(half) for part in own if k < len(part) for i in (part[k],)]
    return mixed[:limit]


def _drawn(rows: dict[str, np.ndarray], numbers: pl.DataFrame, side: int) -> Drawn:
    """Images in rows and columns, titles beside and numbers below them."""
    step, count = _SIDE + _GAP, len(numbers)
    width, height = count * step - _GAP, len(rows) * step - _GAP
    pictures = pl.DataFrame([
        {"x": k * step + _SIDE / 2, "y": r * step + _SIDE / 2, "url": _uri(pixels[k].reshape(side, side))}
        for r, pixels in enumerate(rows.values())
        for k in range(count)
    ])  # fmt: skip
    below = pl.DataFrame([
        {"x": k * step + _SIDE / 2, "y": height + 14.0 + 15 * line, "text": text}
        for k, row in enumerate(numbers.iter_rows(named=True))
        for line, text in enumerate((f"|δ| ≤ {shown_up(row['size'], 3)}", f"y f ≤ {shown_up(row['bound'], 2)}"))
    ])  # fmt: skip
    beside = pl.DataFrame([{"x": -8.0, "y": r * step + _SIDE / 2, "text": name} for r, name in enumerate(rows)])
    # pixels: the scales are as long as the chart is large
    x = alt.X("x:Q", axis=None).scale(domain=[-_LEFT, width], nice=False, zero=False)
    y = alt.Y("y:Q", axis=None).scale(domain=[height + _BELOW, 0], nice=False, zero=False)
    images = alt.Chart(pictures).mark_image(width=_SIDE, height=_SIDE).encode(x=x, y=y, url="url:N")
    under = alt.Chart(below).mark_text(fontSize=11).encode(x=x, y=y, text="text:N")
    left = alt.Chart(beside).mark_text(fontSize=12, align="right").encode(x=x, y=y, text="text:N")
    drawn: Drawn = alt.layer(images, under, left).properties(width=width + _LEFT, height=height + _BELOW)
    return drawn


def _uri(pixels: np.ndarray) -> str:
    times = -(-_DOTS // len(pixels))
    return f"data:image/png;base64,{base64.b64encode(png(np.kron(pixels, np.ones((times, times))))).decode()}"


def _rounded(scale: float) -> float:
    """One digit of a number, rounded down."""
    decade: float = 10.0 ** math.floor(math.log10(scale))
    return math.floor(scale / decade) * decade
