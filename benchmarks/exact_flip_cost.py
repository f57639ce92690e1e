"""What do exact flips cost beside the three matrix products that they cannot do without?

    python benchmarks/exact_flip_cost.py [--inputs 2115] [--width 100000] [--dim 784] [--repeats 3] [--json FILE]

Times `flip` and, in turn with it in the same run, the three float64 products (pre-activations, gradient, rate of
change) in blocks of the same size; prints their ratio and the peak memory of the process. One thread.
"""

import argparse
import json
import resource
import statistics
import time
from pathlib import Path

import torch

import gradflip
from gradflip.experiments import environment


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=2115)
    parser.add_argument("--width", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=784)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)

    network = gradflip.TwoLayer.random(given.dim, given.width, bias=True, seed=0, dtype=torch.float32)
    x = torch.rand(given.inputs, given.dim, generator=torch.Generator().manual_seed(0))
    W = network.W.to(torch.float64)
    block = max(1, 2**23 // given.width)

    def products() -> None:
        for rows in x.to(torch.float64).split(block):
            ((rows @ W.mT) @ W) @ W.mT

    flips, baseline = [], []
    for _ in range(given.repeats):
        for work, times in ((lambda: gradflip.flip(network, x), flips), (products, baseline)):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {
        "inputs": given.inputs,
        "width": given.width,
        "dim": given.dim,
        "flip_seconds": statistics.median(flips),
        "products_seconds": statistics.median(baseline),
        "ratio": statistics.median(f / b for f, b in zip(flips, baseline, strict=True)),
        "peak_memory_gb": peak / 1e9,
        "environment": environment(),
    }
    print(json.dumps(result, indent=2))
    if given.json:
        given.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
