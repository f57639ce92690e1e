"""Writes the files in `tests/compat/v0_1`: run once with gradflip 0.1.0, kept for the record, not to be run again.

Its results are kept, not made anew: they show what later versions must still read, and with which numbers. It was run
as `PYTHONPATH=SOURCES_OF_0.1/src:tests python tests/compat/make_files.py` and uses names that only 0.1 has. Inputs and
weights are multiples of 1/16 and 1/64, so that sums of them are the same in any order and on any machine.
"""

import json
import random
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import polars as pl
import torch

import gradflip
from gradflip import LazyBall, TwoLayer, certify, certify_jointly, flip, train, train_adversarially, verify
from gradflip.experiments import EXPERIMENTS, Plan, Settings, environment, plan
from gradflip.report import findings, listings, read_table, write_figures
from gradflip.sweep import RunFolder, run_cells
from public_names import described

HERE = Path(__file__).parent
OUT = HERE / "v0_1"
DIM, WIDTH = 12, 24
CHECKPOINTED = {"epsilon": 0.25, "lr": 0.1, "batch_size": 8, "attack_steps": 6, "max_epochs": 12, "seed": 3}
CHECKPOINTED |= {"momentum": 0.5, "schedule": "cosine"}

# of a family: its experiments, the cells kept by a word of their labels, and columns of the table that are compared
FOLDERS = {
    "lazy": (
        ["wang2022-fig5"],
        ["d = 25, m = 250", "d = 25, m = 1000", "d = 64, m = 250", "d = 64, m = 1000"],
        ["dim", "width", "C0", "deviation", "test_error", "step", "gradient_norm", "relative", "step_flat"],
    ),
    "adversarial": (
        ["wang2022-fig4-right"],
        ["m = 125,", "m = 250,", "m = 500,", "m = 1000,"],
        ["dim", "width", "C0", "trained_epsilon", "radius", "deviation", "test_error", "robust_ray", "robust_pgd"],
    ),
    "ball": (
        ["ball-certified", "ball-lemmas"],
        ["C0 = 10, seed", "networks: d = 64,", "networks: d = 256, m = 250", "neurons at x + δ: d = 400, m = 250"],
        [
            "dim", "width", "C0", "part", "line", "deviation", "rise", "drop", "minimum", "neurons", "bound", "epsilon",
            "certified_all", "attainable_accuracy",
        ],
    ),
    "random": (
        ["montanari2022-flip-probability", "montanari2022-joint-law", "montanari2022-depth"],
        [
            "flip probability: relu, d = m = 2000", "joint law: relu, d = m = 1000",
            "relu, variance 1, decreasing, L = 1, d = 100,", "relu, variance 1, width 2, L = 1, d = 1000,",
        ],
        ["activation", "dim", "draws", "flips", "limit", "s", "distance", "depth", "curve", "q50"],
    ),
}  # fmt: skip


class Interrupted(Exception):
    """Ends a training half way."""


def network0() -> TwoLayer:
    """The small network that all files but those of the runs are about."""
    drawn = random.Random(1)
    W = [[round(drawn.gauss(0, 1) * 64) / 64 for _ in range(DIM)] for _ in range(WIDTH)]
    bias = [round(drawn.gauss(0, 1) * 64) / 64 for _ in range(WIDTH)]
    a = [drawn.choice((-1.0, 1.0)) for _ in range(WIDTH)]
    return TwoLayer(
        torch.tensor(W, dtype=torch.float64), torch.tensor(a, dtype=torch.float64), torch.tensor(bias), 0.125
    )


def examples(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two classes of inputs, a little apart."""
    drawn = random.Random(2)
    y = [drawn.choice((-1.0, 1.0)) for _ in range(count)]
    x = [[(drawn.randint(-8, 8) + 2 * label * (-1) ** i) / 16 for i in range(DIM)] for label in y]
    return torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)


def single_files() -> dict[str, object]:
    """Networks, a fit, a checkpoint, certificates; and their numbers."""
    start, (x, y) = network0(), examples(48)
    np.savez(OUT / "inputs.npz", x=x.numpy(), y=y.numpy())
    start.save(OUT / "two_layer.safetensors")
    np.savez(
        OUT / "two_layer.npz", W=start.W.numpy(), a=start.a.numpy(), bias=start.bias.numpy(),
        output_bias=np.float64(start.output_bias), activation="leaky_relu(0.1)", scaling="sqrt-d",
    )  # fmt: skip
    numbers: dict[str, object] = {}
    for file in ("two_layer.safetensors", "two_layer.npz"):
        network = TwoLayer.load(OUT / file)
        flips = flip(network, x)
        numbers[file] = {
            "activation": network.activation.name, "scaling": network.scaling, "f": network(x[:12]).tolist(),
            "step": flips.step[:12].tolist(),
        }  # fmt: skip
    fit = train(start, x, y, ball=LazyBall(start, 1.0), lr=0.25, batch_size=8, max_epochs=5, seed=2, test=(x, y))
    fit.save(OUT / "fit.safetensors")
    numbers["fit.safetensors"] = about(fit, x)

    ball = LazyBall(start, 1.7)
    checkpoint = OUT / "checkpoint.safetensors"

    def progress(share: float) -> None:
        if share >= 0.5:
            raise Interrupted

    try:
        train_adversarially(start, x, y, ball=ball, checkpoint=checkpoint, progress=progress, **CHECKPOINTED)
        raise AssertionError("the training was not interrupted")
    except Interrupted:
        pass
    whole = train_adversarially(start, x, y, ball=ball, **CHECKPOINTED)
    assert whole.epochs > CHECKPOINTED["max_epochs"] / 2 + 1, whole.epochs  # weights of a later epoch are returned
    whole.network.save(OUT / "trained.safetensors")
    numbers["checkpoint.safetensors"] = {"C0": ball.C0, "settings": CHECKPOINTED} | about(whole, x)

    near = LazyBall(start, 1.0)
    unit = torch.nn.functional.normalize(x[:6])
    single = certify(near, unit, start(unit).sign(), 1.0, steps=10)
    single.save(OUT / "certificate.safetensors")
    checked = verify(OUT / "certificate.safetensors")
    numbers["certificate.safetensors"] = {
        "share": single.share, "bound": single.bound.tolist(), "certified": single.certified.tolist(),
        "holds": checked.holds, "verified": checked.verified.tolist(), "verified_bound": checked.bound.tolist(),
        "statement": checked.statement,
    }  # fmt: skip
    assert 0 < single.share < 1, single.share
    joint = certify_jointly(near, unit, start(unit).sign(), 1.3, groups=torch.tensor([0, 0, 0, 1, 1, 1]))
    joint.save(OUT / "joint.safetensors")
    checked = verify(OUT / "joint.safetensors")
    numbers["joint.safetensors"] = {
        "share": joint.robust_error, "bound": joint.bound.tolist(), "errors": joint.errors.tolist(),
        "holds": checked.holds, "verified": checked.errors.tolist(), "verified_bound": checked.bound.tolist(),
        "statement": checked.statement,
    }  # fmt: skip
    assert 0 < joint.robust_error, joint.errors
    return numbers


def about(fit: gradflip.Fit, x: torch.Tensor) -> dict[str, object]:
    """What is compared of a fit."""
    return {
        "f": fit.network(x[:12]).tolist(), "stopped_because": fit.stopped_because.value, "steps": fit.steps,
        "epochs": fit.epochs, "deviation": fit.deviation, "left_at": fit.left_at, "converged": fit.converged,
        "rows": len(fit.history), "last": fit.history.rows(named=True)[-1],
    }  # fmt: skip


def run_folder(family: str) -> dict[str, object]:
    """A run of which four cells were computed before it was interrupted; and its numbers."""
    names, kept, columns = FOLDERS[family]
    planned = plan(names, Settings(seeds=1))
    cells = tuple(cell for cell in planned.cells if any(word in cell.label for word in kept))
    assert len(cells) == 4, [cell.label for cell in planned.cells]
    few: Plan = replace(planned, cells=cells)
    folder = RunFolder.create(OUT / family, planned.spec)
    folder.write_env(environment() | {"system": "Linux", "processor": "x86-64"})
    summary = run_cells(few.cells, folder)
    assert not summary.failed, summary.failed
    folder.write_tables(planned.cells)
    drawn = {path.stem: pl.read_csv(path.with_suffix(".csv")) for path in write_figures(folder)}
    figures = {name: {"rows": len(frame), "columns": frame.columns} for name, frame in drawn.items()}
    shutil.rmtree(folder.path / "figures")
    table = read_table(folder)
    return {
        "experiments": names,
        "seeds": 1,
        "cells": [cell.hash for cell in cells],
        "rows": table.group_by("cell", maintain_order=True).first().select("cell", "seed", *columns).rows(named=True),
        "findings": [
            {"experiment": name, "curve": curve, "column": finding.claim.column, "verdict": verdict(finding)}
            | {end: getattr(finding.found, end) for end in ("estimate", "low", "high", "seeds")}
            for name, curve, finding in findings(planned, table)
        ],
        "listings": [
            {"title": one.title, "columns": one.names, "rows": len(one.rows), "last": one.values()[-1]}
            for one in listings(planned, table)
        ],
        "figures": figures,
    }


def verdict(finding: gradflip.claims.Finding) -> str | None:
    """Return the word of a verdict."""
    return None if finding.verdict is None else finding.verdict.value


def identities() -> dict[str, str]:
    """A digest of the cells of every experiment, by experiment, preset and protocol."""
    return {
        f"{name} {preset} {protocol}": sha256(
            " ".join(cell.hash for cell in plan([name], Settings(preset=preset, protocol=protocol)).cells).encode()
        ).hexdigest()[:16]
        for name in EXPERIMENTS
        for preset in ("quick", "standard", "paper")
        for protocol in ("text", "published")
    }


def text(value: object, depth: int = 0) -> str:
    """JSON with a line for each entry of objects, and of lists of objects, and not for each number."""
    inner, outer = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, dict) and depth < 4:
        parts = [f"{json.dumps(name, ensure_ascii=False)}: {text(part, depth + 1)}" for name, part in value.items()]
        return "{" + inner + f",{inner}".join(parts) + outer + "}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[" + inner + f",{inner}".join(text(part, 4) for part in value) + outer + "]"
    return json.dumps(value, ensure_ascii=False)


def main() -> None:
    """Write them all."""
    assert gradflip.__version__ == "0.1.0", gradflip.__version__
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    expected = {"files": single_files(), "runs": {family: run_folder(family) for family in FOLDERS}}
    expected["cells"] = identities()
    (OUT / "expected.json").write_text(text(expected) + "\n")
    (HERE / "public_0_1.json").write_text(text(described()) + "\n")


if __name__ == "__main__":
    main()
