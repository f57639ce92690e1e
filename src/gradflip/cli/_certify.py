"""`gradflip certify`: certain errors of every network near an initialisation."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gradflip._errors import UsageError
from gradflip.cli._options import DATA_HELP, Flag, Json, two_digits
from gradflip.cli._output import print_table, status


def certify(
    *,
    data: Annotated[str, Parameter(help=f"{DATA_HELP} Inputs are scaled to norm 1.")] = "digits",
    classes: str = "0,1",
    size: int | None = None,
    width: int = 1000,
    C0: Annotated[float, Parameter(name="--C0")] = 1.0,
    epsilon: float | None = None,
    points: int = 200,
    seed: int = 0,
    steps: int = 50,
    joint: Flag = False,
    curve: bool = True,
    data_dir: Path | None = None,
    out: Path | None = None,
    force: Flag = False,
    quiet: Flag = False,
    as_json: Json = False,
) -> int:
    """Prove on how many slightly moved test images every network near an initialisation errs, however trained.

    Args:
        data: Name of the data set; inputs are scaled to norm 1.
        classes: The two classes; the first is labelled -1, the second +1.
        size: Side of the images in pixels; by default that of the data.
        width: Neurons m of the initialisation.
        C0: Each neuron may move by C0 / √m.
        epsilon: Largest distance that each image may move; by default 2 / √d.
        points: Number of test images, taken from the start of the file.
        seed: Seed of the initialisation.
        steps: Number of steps of the search.
        joint: Also certify jointly the images that cannot be certified one by one.
        curve: Also compute the smallest budget of each image, which takes about ten times as long.
        data_dir: Folder with the data files; also $GRADFLIP_DATA.
        out: The output folder; by default named after the settings, in runs/.
        force: Overwrite existing certificates.
        quiet: Print no table and no status.
        as_json: Print the outcome as JSON.

    Returns:
        The exit status.

    Raises:
        UsageError: If a setting is invalid, or the folder already holds certificates.
    """
    for name, count in (("points", points), ("steps", steps)):
        if count < 1:
            raise UsageError(f"--{name} must be at least 1, got {count}.")
    if epsilon is not None and not 0 < epsilon < math.inf:
        raise UsageError(f"--epsilon must be positive and finite, got {epsilon:g}.")
    import torch

    from gradflip.certificates._ball_wide import certify_ball_wide, clear_folder, files_in
    from gradflip.data import load_data
    from gradflip.lazy import LazyBall
    from gradflip.networks import TwoLayer
    from gradflip.report._ball_wide_figure import ball_wide_figure

    split = load_data(data, two_digits(classes), size, normalize=True, data_dir=data_dir)
    ball = LazyBall(TwoLayer.random(split.dim, width, seed=seed, dtype=torch.float32), C0)
    epsilon = 2 / math.sqrt(split.dim) if epsilon is None else epsilon
    name = f"certify-{data}-{split.size}x{split.size}-m{width}-C{C0:g}-epsilon{epsilon:.4g}-seed{seed}"
    out = clear_folder(out or Path("runs") / name, force=force)
    x, y = split.x_test[:points], split.y_test[:points]
    with status(f"certifying {len(x)} points", show=not quiet and not as_json):
        errors = certify_ball_wide(ball, x, y, epsilon, steps=steps, joint=joint, curve=curve)
        errors.save(out)
        if errors.single.share:
            ball_wide_figure(errors.single).save(out)
    files = files_in(out)
    if as_json:
        print(json.dumps(errors.to_json() | {"files": [str(path) for path in files]}, indent=2, allow_nan=False))
        return 0
    if not quiet:
        listed = errors.table()
        print_table(list(listed[0]), [list(row.values()) for row in listed])
    print(errors.statement)
    print(out)
    return 0
