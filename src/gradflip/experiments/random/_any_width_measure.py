"""The measure of montanari2022-any-width: the law of the flipping perturbation, whatever the width and dimension."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gradflip._seeds import generator
from gradflip.experiments.random._draws import blocks, half_normal_distance, quantile, relative_sqrt_d, statuses
from gradflip.gaussian import draw_two_layer
from gradflip.rays import Flip, flip_draws
from gradflip.sweep import Measured
from gradflip.theory import limits

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def measure(parameters: dict[str, Any], seed: int, progress: Callable[[float], None]) -> Measured:
    """Flip an ensemble of two-layer networks of the exact law, never built: a row per line, an observation per network.

    Columns of a row: `activation`; `line`, the axis along which sizes grow and the other size, in words; `along`
    (`"width"` or `"dim"`) and `position` on it; `dim width draws`; how many networks `flipped`, `never` flip, have a
    `flat` ray or f(x) = 0 (`zero`), and `unflipped`, the share of the last three; `q05 q25 q50 q75 q95` of rho sqrt d,
    null where the quantile is infinite; `distance`, the Kolmogorov distance to the limit law, (nu / tau) |Z|.
    Observations: `dim width relative_sqrt_d`, null where nothing flips.

    Args:
        parameters: `activation dim width draws`, and `lines`, the name and axis of each.
        seed: The seed of the draws.
        progress: Called with the fraction done.

    Returns:
        Rows and observations.
    """
    activation, dim, width, draws = (parameters[name] for name in ("activation", "dim", "width", "draws"))
    known = limits(activation)
    draw = generator(seed, f"any width, {activation}, d = {dim}, m = {width}")
    parts: list[Flip] = []
    for count in blocks(draws, 4 * width):
        parts.append(flip_draws(draw_two_layer(dim, width, activation=activation, draws=count, generator=draw)))
        progress(sum(map(len, parts)) / draws)
    flips = Flip.join(parts)
    values = relative_sqrt_d(flips, dim)
    ordered = values.sort().values
    counts = statuses(flips)
    row: dict[str, Any] = {
        "activation": activation,
        "dim": dim,
        "width": width,
        "draws": draws,
        **counts,
        "unflipped": 1 - counts["flipped"] / draws,
        **{f"q{100 * level:02.0f}": quantile(ordered, level) for level in LEVELS},
        "distance": half_normal_distance(values * known.tau / known.nu),
    }
    observations = {
        "dim": [dim] * draws,
        "width": [width] * draws,
        "relative_sqrt_d": [value if math.isfinite(value) else None for value in values.tolist()],
    }
    lines = [{"line": line, "along": along, "position": parameters[along]} for line, along in parameters["lines"]]
    return Measured([row | line for line in lines], observations)
