"""Does the published protocol give the published numbers?

    python benchmarks/published_protocol.py [--sizes 5 10 20 28] [--seeds 5] [--data-dir DIR] [--workers 2]
                                            [--json FILE]

Trains by the paper's own scripts' rules (MNIST 0 against 1, width 1000, C0 = 10) at image sizes 5, 10, 20, 28 and
prints the mean gradient norm and mean perturbation over the test set as the scripts average them, with their standard
deviation over seeds, beside the gradient norms that single runs of the scripts gave. Trajectories are short: they
leave the ball within some tens of epochs.
"""

import argparse
import functools
import json
import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from gradflip.experiments import Settings, environment, prepare_data
from gradflip.experiments.lazy._cells import LAZY_FLIP, lazy_cell, trainings
from gradflip.sweep import Context, measure_cell

SCRIPTS = {5: 4.4, 10: 7.2, 20: 14.6, 28: 20.0}
"""Gradient norms of single runs of the paper's own scripts, by image size."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SCRIPTS), choices=list(SCRIPTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    settings = Settings(data="mnist", protocol="published")
    prepare_data(settings, given.data_dir)
    groups = trainings(given.sizes, (1000,), (10,), seeds=given.seeds, max_epochs=1000, normalize=False, bias=True)
    cells = [lazy_cell(LAZY_FLIP, group, settings, seed) for group in groups for seed in range(group.seeds)]
    place = (str(given.data_dir.expanduser().resolve()),) if given.data_dir else None
    measure = functools.partial(measure_cell, context=place and Context("gradflip.data:data_folder", place))
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        rows = [result.rows[0] for result in pool.map(measure, cells)]
    print("size  gradient norm        scripts  perturbation         exit epochs      test error at most")
    lines = []
    for size in given.sizes:
        scripts = SCRIPTS[size]
        own = [row for row in rows if row["size"] == size]
        gradient = [row["published_gradient_norm"] for row in own]
        perturbation = [row["published_perturbation"] for row in own]
        line = {
            "size": size,
            "gradient_norm": gradient,
            "scripts_gradient_norm": scripts,
            "perturbation": perturbation,
            "epochs": [row["epochs"] for row in own],
            "deviation": [row["scaled_deviation"] for row in own],
            "test_error": [row["test_error"] for row in own],
        }
        lines.append(line)
        print(
            f"{size:4d}  {statistics.mean(gradient):6.2f} +- {statistics.stdev(gradient):5.2f}      {scripts:7.1f}"
            f"  {statistics.mean(perturbation):6.3f} +- {statistics.stdev(perturbation):5.3f}"
            f"      {min(line['epochs']):.0f}-{max(line['epochs']):.0f}"
            f"             {max(line['test_error']):.4f}"
        )
    if given.json:
        given.json.write_text(json.dumps({"rows": lines, "environment": environment()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
