"""Images, perturbations, and sums that no network of a ball gets right."""

from __future__ import annotations

import base64
import math

import altair as alt
import numpy as np
import polars as pl
import torch

from gradflip._errors import UsageError
from gradflip.certificates import Certificate
from gradflip.certificates._statement import rounded_up
from gradflip.drawing import Chart, Figure
from gradflip.report._gallery import png

_SIDE = 132  # pixels of an image on the page
_GAP = 14
_LEFT, _BELOW = 80, 40  # room for text
_DOTS = 224  # least size of a PNG: viewers blur what they enlarge


def ball_wide_figure(certificate: Certificate, limit: int = 6) -> Figure:
    """Draw a column per test image: the image, its perturbation, and the sum, which no network of the ball gets right.

    Args:
        certificate: A certificate of square images.
        limit: Largest number of images, taken from both classes in turn.

    Returns:
        A figure named `ball-wide`; perturbations are scaled by one common factor to be visible, and grey is 0.

    Raises:
        UsageError: If the points are not square images.
        ValueError: If no point was certified.
    """
    side = math.isqrt(certificate.x.shape[1])
    if side**2 != certificate.x.shape[1]:
        raise UsageError(f"points must be square images to be drawn, got {certificate.x.shape[1]} entries.")
    chosen = _in_turn(certificate, limit)
    if not chosen:
        raise ValueError("no point was certified, so that there is no ball-wide perturbation to draw.")
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
        f"(× {scale:g}; grey is zero), and sums. No network whose {ball.network0.width:,} neurons each lie within "
        f"{ball.radius:.4g} (C0 = {ball.C0:g}) of the initialisation has the label of a sum: y f is below the bound, "
        f"the largest value that any of them can have there."
    )
    return Figure("ball-wide", (_drawn(rows, numbers, side),), numbers, caption)


def _in_turn(certificate: Certificate, limit: int) -> list[int]:
    """The first certified points, alternating between the classes, in the order of the points."""
    own = [(certificate.certified & (certificate.y == label)).nonzero()[:, 0].tolist() for label in (-1, 1)]
    half = max(limit - limit // 2, limit - min(map(len, own)))  # more of one class if the other has few
    mixed = [i for k in range(half) for part in own if k < len(part) for i in (part[k],)]
    return mixed[:limit]


def _drawn(rows: dict[str, np.ndarray], numbers: pl.DataFrame, side: int) -> Chart:
    """Images in rows and columns, with titles beside them and numbers below."""
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
        for line, text in enumerate((f"|δ| ≤ {rounded_up(row['size'], 3)}", f"y f ≤ {rounded_up(row['bound'], 2)}"))
    ])  # fmt: skip
    beside = pl.DataFrame([{"x": -8.0, "y": r * step + _SIDE / 2, "text": name} for r, name in enumerate(rows)])
    # the scales are in pixels of the chart
    x = alt.X("x:Q", axis=None).scale(domain=[-_LEFT, width], nice=False, zero=False)
    y = alt.Y("y:Q", axis=None).scale(domain=[height + _BELOW, 0], nice=False, zero=False)
    images = alt.Chart(pictures).mark_image(width=_SIDE, height=_SIDE).encode(x=x, y=y, url="url:N")
    under = alt.Chart(below).mark_text(fontSize=11).encode(x=x, y=y, text="text:N")
    left = alt.Chart(beside).mark_text(fontSize=12, align="right").encode(x=x, y=y, text="text:N")
    drawn: Chart = alt.layer(images, under, left).properties(width=width + _LEFT, height=height + _BELOW)
    return drawn


def _uri(pixels: np.ndarray) -> str:
    times = -(-_DOTS // len(pixels))
    return f"data:image/png;base64,{base64.b64encode(png(np.kron(pixels, np.ones((times, times))))).decode()}"


def _rounded(scale: float) -> float:
    """A number rounded down to one digit."""
    decade: float = 10.0 ** math.floor(math.log10(scale))
    return math.floor(scale / decade) * decade
