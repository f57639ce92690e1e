"""The measure of montanari2022-joint-law: f at an input and where a step leads, implicit against explicit networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradflip._seeds import derived_seed, generator
from gradflip.experiments.random._draws import blocks, inputs, unit_step
from gradflip.gaussian import RandomNetwork
from gradflip.sweep import Measured
from gradflip.theory import Limits, limits

PROJECTIONS = 20
_BANDS = np.linspace(-2.4, 2.4, 25)  # edges, in nu, of the bins of f(x) in which f(x(s)) is summarised
_LEVELS = {"low": 0.05, "middle": 0.5, "high": 0.95}


def measure(parameters: dict[str, Any], seed: int, progress: Callable[[float], None]) -> Measured:
    """Draw an ensemble of two-layer networks twice, implicit and explicit: a row per step.

    Everything is in units of nu. Columns of a row: `activation dim width position`, `s` in units of nu / tau^2;
    `draws` and `explicit_draws`; `ks`, the largest Kolmogorov distance between the two samples of `tests` marginals and
    projections of (f(x), f(x(s))); `correlation explicit_correlation limit_correlation`; `distance`, the
    Kolmogorov distance between the implicit sample of f(x(s)) and its limit law; `reach` of the bins. Observations, by
    `what`: `"count"`, the number of explicit networks in the bin from `f`, `after` to `f_to`, `after_to`; `"band"`, the
    5, 50 and 95 % quantiles `low middle high` of f(x(s)) among `count` implicit networks with f(x) within 0.1 of `f`.

    Args:
        parameters: `activation dim width draws explicit_draws steps reach bins`.
        seed: The seed of the draws.
        progress: Called with the fraction done.

    Returns:
        Rows and observations.
    """
    activation, dim, width = parameters["activation"], parameters["dim"], parameters["width"]
    known = limits(activation)
    which = f"{activation}, d = {dim}, m = {width}"
    first = 0.2 if parameters["explicit_draws"] else 1.0  # share of the work
    implicit = _sample(parameters, "draws", known, seed, which, lambda share: progress(first * share))
    explicit = _sample(
        parameters, "explicit_draws", known, seed, which, lambda share: progress(first + (1 - first) * share)
    )
    angles = np.random.default_rng(derived_seed(seed, f"projections, {which}")).uniform(0, math.pi, PROJECTIONS)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    rows: list[dict[str, Any]] = []
    columns: dict[str, list[Any]] = {name: [] for name in (*_FIXED, *_OBSERVED)}
    for i, s in enumerate(parameters["steps"]):
        fixed = {"activation": activation, "dim": dim, "width": width, "s": s}
        one: NDArray[np.float64] = implicit[:, [0, i + 1]]
        other: NDArray[np.float64] = explicit[:, [0, i + 1]]
        rows.append({
            **fixed,
            "position": dim,
            "draws": len(one),
            "explicit_draws": len(other) or None,
            "tests": 2 + PROJECTIONS,
            "ks": _largest_distance(one, other, directions) if len(other) else None,
            "correlation": _correlation(one),
            "explicit_correlation": _correlation(other) if len(other) else None,
            "limit_correlation": _limit_correlation(s),
            "distance": _limit_distance(one[:, 1], s),
            "reach": parameters["reach"],
        })
        if len(other):
            for line in [*_counts(other, parameters), *_bands(one)]:
                for name, value in (fixed | dict.fromkeys(_OBSERVED) | line).items():
                    columns[name].append(value)
    return Measured(rows, columns if columns["s"] else {})


_FIXED = ("activation", "dim", "width", "s")
_OBSERVED = ("what", "f", "f_to", "after", "after_to", "count", "low", "middle", "high")


def _sample(
    parameters: dict[str, Any],
    which_draws: str,
    known: Limits,
    seed: int,
    which: str,
    progress: Callable[[float], None],
) -> NDArray[np.float64]:
    """f(x) and f(x(s)) at every step, in units of nu, one network a row."""
    dim, width, draws = parameters["dim"], parameters["width"], parameters[which_draws]
    implicit = which_draws == "draws"
    name = f"{'implicit' if implicit else 'explicit'}, {which}"
    draw, parts, done = generator(seed, f"inputs, {name}"), [np.empty((0, 1 + len(parameters["steps"])))], 0
    steps = torch.tensor(parameters["steps"], dtype=torch.float64) * unit_step(known)
    for block, count in enumerate(blocks(draws, 8 * (dim + width) if implicit else dim * width)):
        network = RandomNetwork(
            [dim, width], activation=parameters["activation"], draws=count, implicit=implicit,
            seed=derived_seed(seed, f"networks, {name}, block {block}"),
        )  # fmt: skip
        x = inputs(count, dim, draw)
        value, g = network.value_and_gradient(x)
        after = network(x - steps[:, None] * (value.sign().unsqueeze(-1) * g))
        parts.append((torch.cat([value, after], dim=1) / known.nu).numpy())
        done += count
        progress(done / draws)
    return np.concatenate(parts)


def _largest_distance(one: np.ndarray, other: np.ndarray, directions: np.ndarray) -> float:
    """The largest Kolmogorov distance between two samples of pairs, over both marginals and all projections."""
    views = np.concatenate([np.eye(2), directions], axis=1)
    return max(_two_sample(a, b) for a, b in zip((one @ views).T, (other @ views).T, strict=True))


def _two_sample(one: np.ndarray, other: np.ndarray) -> float:
    one, other = np.sort(one), np.sort(other)
    both = np.concatenate([one, other])
    apart = np.searchsorted(one, both, side="right") / len(one) - np.searchsorted(other, both, side="right") / len(
        other
    )
    return float(np.abs(apart).max())


def _correlation(pairs: NDArray[np.float64]) -> float:
    centred = pairs - pairs.mean(axis=0)
    covariance = centred.T @ centred
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def _limit_correlation(s: float) -> float:
    """The correlation of Z and Z - s sign Z."""
    slope = s * math.sqrt(2 / math.pi)
    return (1 - slope) / math.sqrt(1 - 2 * slope + s * s)


def _limit_distance(after: np.ndarray, s: float) -> float:
    """The Kolmogorov distance between a sample and the law of Z - s sign Z, which has no atoms."""
    ordered = torch.from_numpy(np.sort(after))
    positive = torch.special.ndtr((ordered + s).clamp(min=0)) - 0.5  # Z > 0 and Z - s <= y
    law = positive + torch.special.ndtr((ordered - s).clamp(max=0))  # Z < 0 and Z + s <= y
    rank = torch.arange(len(ordered), dtype=torch.float64) / len(ordered)
    return float(torch.maximum(law - rank, rank + 1 / len(ordered) - law).max())


def _counts(pairs: np.ndarray, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    """The number of pairs in each bin that is not empty."""
    edges = np.linspace(-parameters["reach"], parameters["reach"], parameters["bins"] + 1)
    counts, _, _ = np.histogram2d(pairs[:, 0], pairs[:, 1], [edges, edges])
    ends = edges.tolist()
    return [
        {
            "what": "count", "f": ends[i], "f_to": ends[i + 1], "after": ends[j], "after_to": ends[j + 1],
            "count": int(counts[i, j]),
        }
        for i, j in zip(*np.nonzero(counts), strict=True)
    ]  # fmt: skip


def _bands(pairs: np.ndarray) -> list[dict[str, Any]]:
    """Quantiles of the second entry given the first, in bins with enough pairs."""
    place = np.digitize(pairs[:, 0], _BANDS)
    lines = []
    for k in range(1, len(_BANDS)):
        own = pairs[place == k, 1]
        if len(own) >= 40:
            quantiles = {name: float(np.quantile(own, level)) for name, level in _LEVELS.items()}
            centre = float(_BANDS[k - 1] + _BANDS[k]) / 2
            lines.append({"what": "band", "f": centre, "count": len(own), **quantiles})
    return lines
