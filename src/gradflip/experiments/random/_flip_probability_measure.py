"""The measure of montanari2022-flip-probability: how often a step flips, by the exact law and explicit networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from gradflip._seeds import derived_seed, generator
from gradflip.experiments.random._draws import blocks, inputs, unit_step
from gradflip.gaussian import RandomNetwork, draw_two_layer
from gradflip.sweep import Measured
from gradflip.theory import limits


def measure(parameters: dict[str, Any], seed: int, progress: Callable[[float], None]) -> Measured:
    """Step across an ensemble of two-layer networks: a row per step.

    Columns of a row: `activation dim width`; `s`, the step in units of nu / tau^2, and `step` itself; how often
    f(x) f(x(s)) < 0: `flips` of `draws` networks of the exact law, which are never built, as a share
    `flip_probability`; the same of networks with explicit matrices, `explicit_flips explicit_draws
    explicit_flip_probability`, null if none were requested; `limit`, 2 Phi(s) - 1, and `from_limit`, how much more
    often the exact law flips.

    Args:
        parameters: `activation dim width draws explicit_draws steps`.
        seed: The seed of the draws.
        progress: Called with the fraction done.

    Returns:
        Rows, no observations.
    """
    activation, dim, width = parameters["activation"], parameters["dim"], parameters["width"]
    known = limits(activation)
    steps = torch.tensor(parameters["steps"], dtype=torch.float64) * unit_step(known)
    which = f"{activation}, d = {dim}, m = {width}"
    draws, explicit_draws = parameters["draws"], parameters["explicit_draws"]
    first = 0.2 if explicit_draws else 1.0  # share of the work
    exact = _exact(parameters, steps, generator(seed, f"exact law, {which}"), lambda share: progress(first * share))
    explicit = _explicit(parameters, steps, seed, which, lambda share: progress(first + (1 - first) * share))
    rows = []
    for i, s in enumerate(parameters["steps"]):
        limit = known.flip_probability(float(steps[i]))
        rows.append({
            "activation": activation,
            "dim": dim,
            "width": width,
            "s": s,
            "step": float(steps[i]),
            "flips": exact[i],
            "draws": draws,
            "flip_probability": exact[i] / draws,
            "explicit_flips": explicit[i] if explicit_draws else None,
            "explicit_draws": explicit_draws or None,
            "explicit_flip_probability": explicit[i] / explicit_draws if explicit_draws else None,
            "limit": limit,
            "from_limit": exact[i] / draws - limit,
        })
    return Measured(rows)


def _exact(
    parameters: dict[str, Any], steps: torch.Tensor, draw: torch.Generator, progress: Callable[[float], None]
) -> list[int]:
    """Count the networks that each step flips, by the law in closed form."""
    flips, done = torch.zeros(len(steps), dtype=torch.int64), 0
    for count in blocks(parameters["draws"], 4 * parameters["width"]):
        rays = draw_two_layer(
            parameters["dim"], parameters["width"], activation=parameters["activation"], draws=count, generator=draw
        )
        flips += torch.stack([(rays.value * rays.at(float(s)) < 0).sum() for s in steps])
        done += count
        progress(done / parameters["draws"])
    return [int(count) for count in flips]


def _explicit(
    parameters: dict[str, Any], steps: torch.Tensor, seed: int, which: str, progress: Callable[[float], None]
) -> list[int]:
    """Count the networks that each step flips, where matrices are drawn and stored."""
    flips, done, dim = torch.zeros(len(steps), dtype=torch.int64), 0, parameters["dim"]
    draw = generator(seed, f"explicit inputs, {which}")
    for block, count in enumerate(blocks(parameters["explicit_draws"], dim * parameters["width"])):
        network = RandomNetwork(
            [dim, parameters["width"]], activation=parameters["activation"], draws=count, implicit=False,
            seed=derived_seed(seed, f"explicit networks, {which}, block {block}"),
        )  # fmt: skip
        x = inputs(count, dim, draw)
        value, g = network.value_and_gradient(x)
        after = network(x - steps[:, None] * (value.sign().unsqueeze(-1) * g))  # all steps at once, `(draws, steps)`
        flips += (value * after < 0).sum(dim=0)
        done += count
        progress(done / parameters["explicit_draws"])
    return [int(count) for count in flips]
