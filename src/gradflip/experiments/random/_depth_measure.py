"""The measure of montanari2022-depth: deep networks of many shapes, one step against several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gradflip._seeds import derived_seed, generator
from gradflip.attacks import attack_steps
from gradflip.experiments.random._draws import (
    blocks,
    half_normal_distance,
    inputs,
    quantile,
    relative_sqrt_d,
    statuses,
    unit_step,
)
from gradflip.gaussian import RandomNetwork
from gradflip.rays import Flip, flip
from gradflip.sweep import Measured
from gradflip.theory import limits

WAYS = ("one step", "several steps")


def measure(parameters: dict[str, Any], seed: int, progress: Callable[[float], None]) -> Measured:
    """Flip an ensemble of deep networks that are never built: one row, and observations of the attacks.

    Columns of a row: `curve activation weight_variance shape depth dim widths`; `flips` of `draws` networks by the
    single step s = nu / tau^2, the share `flip_probability`, `limit` = 2 Phi(1) - 1 and `from_limit`, how much more
    often than that; of `ray_draws` others, followed along the ray to their flip, how many `flipped`, `never` flip, are
    `flat`, `zero` or `not_found`, and `unflipped`, the share of all but the first; `q25 q50 q75` of rho sqrt d, null if
    infinite, and `limit_q25 limit_q50 limit_q75`; `distance`, the Kolmogorov distance to the limit. Observations:
    `curve activation shape depth dim`, `way` (`"one step"` of size s, or `"several steps"` of nu / (4 tau^2) that add
    up to s), `s` in units of nu / tau^2, `flips` of `draws`.

    Args:
        parameters: `activation weight_variance shape widths draws ray_draws attack_steps`.
        seed: The seed of the draws.
        progress: Called with the fraction done.

    Returns:
        A row and observations.
    """
    widths, activation, variance = parameters["widths"], parameters["activation"], parameters["weight_variance"]
    known = limits(activation, depth=len(widths) - 1, weight_variance=variance)
    unit, draws, ray_draws = unit_step(known), parameters["draws"], parameters["ray_draws"]
    flips = _flips(parameters, unit, seed, lambda share: progress(0.3 * share))
    one, several, rays = _attacks(parameters, unit, seed, lambda share: progress(0.3 + 0.7 * share))
    values = relative_sqrt_d(rays, widths[0])
    ordered, limit = values.sort().values, known.flip_probability(unit)
    levels = {"q25": 0.25, "q50": 0.5, "q75": 0.75}
    counts = statuses(rays)
    fixed = {
        "curve": curve(parameters),
        "activation": activation,
        "shape": parameters["shape"],
        "depth": len(widths) - 1,
        "dim": widths[0],
    }
    row = {
        **fixed,
        "weight_variance": variance,
        "widths": "-".join(map(str, widths)),
        "flips": flips,
        "draws": draws,
        "flip_probability": flips / draws,
        "limit": limit,
        "from_limit": flips / draws - limit,
        "ray_draws": ray_draws,
        **counts,
        "unflipped": 1 - counts["flipped"] / ray_draws,
        **{name: quantile(ordered, level) for name, level in levels.items()},
        **{f"limit_{name}": known.relative_quantile(level) for name, level in levels.items()},
        "distance": half_normal_distance(values * known.tau / known.nu),
    }
    count = parameters["attack_steps"]
    observations: dict[str, list[Any]] = {
        **{name: [value] * (2 * count) for name, value in fixed.items()},
        "way": [way for way in WAYS for _ in range(count)],
        "s": [(k + 1) / 4 for _ in WAYS for k in range(count)],
        "flips": torch.cat([one, several]).tolist(),
        "draws": [ray_draws] * (2 * count),
    }
    return Measured([row], observations)


def curve(parameters: dict[str, Any]) -> str:
    """The name of the networks of an ensemble, without their depth."""
    variance = parameters["weight_variance"]
    scaled = "" if variance == 1 else f" (variance {variance:g})"
    return f"{parameters['activation']}{scaled}, {parameters['shape']}"


def _flips(parameters: dict[str, Any], unit: float, seed: int, progress: Callable[[float], None]) -> int:
    """Count the networks that the single step flips."""
    which, flips, done = f"{curve(parameters)}, {parameters['widths']}", 0, 0
    draw = generator(seed, f"inputs, {which}")
    for block, size in enumerate(blocks(parameters["draws"], _numbers(parameters, 6))):
        network = _network(parameters, size, derived_seed(seed, f"networks, {which}, block {block}"))
        x = inputs(size, parameters["widths"][0], draw)
        value, g = network.value_and_gradient(x)
        flips += int((value * network(x - unit * value.sign().unsqueeze(-1) * g) < 0).sum())
        done += size
        progress(done / parameters["draws"])
    return flips


def _attacks(
    parameters: dict[str, Any], unit: float, seed: int, progress: Callable[[float], None]
) -> tuple[Tensor, Tensor, Flip]:
    """Count the networks that one step of each size flips and that several steps flip, and find flips along rays."""
    which, count, done = f"{curve(parameters)}, {parameters['widths']}", parameters["attack_steps"], 0
    draw = generator(seed, f"inputs of rays, {which}")
    sizes = torch.arange(1, count + 1, dtype=torch.float64) / 4 * unit
    one = several = torch.zeros(count, dtype=torch.int64)
    rays: list[Flip] = []
    for block, size in enumerate(blocks(parameters["ray_draws"], _numbers(parameters, 60))):
        x = inputs(size, parameters["widths"][0], draw)
        # each attack gets its own networks: the products that one has asked for slow down those of the next
        stepped = _network(parameters, size, derived_seed(seed, f"steps, {which}, block {block}"))
        path = attack_steps(stepped, x, unit / 4, count)
        several = several + (path.values * path.values[:, :1] < 0)[:, 1:].sum(dim=0)
        network = _network(parameters, size, derived_seed(seed, f"rays, {which}, block {block}"))
        value, g = network.value_and_gradient(x)
        one = one + (value * network(x - sizes[:, None] * (value.sign().unsqueeze(-1) * g)) < 0).sum(dim=0)
        rays.append(flip(network, x))
        done += size
        progress(done / parameters["ray_draws"])
    return one, several, Flip.join(rays)


def _numbers(parameters: dict[str, Any], products: int) -> int:
    """How many numbers one network holds after some products with each matrix."""
    widths: list[int] = parameters["widths"]
    return products * sum(p + q for p, q in zip(widths, widths[1:], strict=False))


def _network(parameters: dict[str, Any], draws: int, seed: int) -> RandomNetwork:
    return RandomNetwork(
        parameters["widths"],
        activation=parameters["activation"],
        weight_variance=parameters["weight_variance"],
        draws=draws,
        seed=seed,
    )
