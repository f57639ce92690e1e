"""Rows of lazy training that obey the theorem exactly, and run folders that hold them."""

import math

import polars as pl

from gradflip.experiments import Settings, plan
from gradflip.sweep import CellResult, RunFolder

SETTINGS = Settings(data="digits", preset="quick")


def row(size, width, seed, C0=10.0, growth=0.0, **changes):
    """A row that obeys the theorem exactly: |g| = 0.7 sqrt d, s* d / sqrt(|x|^2 + 1) = 2, spread by 10 % over seeds."""
    d, norm, spread = size**2, size / 3, (1 + 0.1 * (seed - 1)) * size ** (2 * growth)
    step = 2 * spread * math.hypot(norm, 1) / d
    gradient = 0.7 * size
    return {
        "measure": "lazy-flip", "seed": seed, "size": size, "dim": d, "normalize": False, "width": width, "bias": True,
        "C0": C0, "output_bias": False, "stopped_because": "left-ball", "epochs": 5.5, "scaled_deviation": 9.99,
        "left_at": 10.01, "test_error": 0.01,
        "correct": 69, "flipped": 69, "never": 0, "flat": 0, "input_norm": norm,
        "gradient_norm": gradient, "step": step,
        "perturbation": step * gradient, "relative": step * gradient / norm,
        "relative_sqrt_d": step * gradient / norm * size, "gradient_flat": 0.7, "step_flat": 2 * spread,
        "relative_flat": 1.4 * spread,
    } | changes  # fmt: skip


def table(**changes):
    return pl.DataFrame([row(n, m, s, **changes) for n in (5, 8, 14, 20, 28) for m in (250, 1000) for s in range(3)])


def folder_with(tmp_path, rows, failed=0, settings=SETTINGS, name="run"):
    planned = plan(["wang2022-fig2"], settings)
    folder = RunFolder.create(tmp_path / name, planned.spec)
    folder.write_env({"gradflip": "0", "machine": "<img src=x onerror=alert(1)>"})
    for i, cell in enumerate(planned.cells):
        same = {"size": cell.parameters["size"], "width": cell.parameters["width"], "seed": cell.seed}
        own = rows.filter(**same).drop("measure", "seed").to_dicts()
        error = "ValueError: <script>alert('cell')</script>\n\ntraceback"
        lost = CellResult(cell, "failed", error=error)
        folder.write(lost if i < failed else CellResult(cell, "ok", rows=own, seconds=1.5))
    folder.write_tables(planned.cells)
    return folder
