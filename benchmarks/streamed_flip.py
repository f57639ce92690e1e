"""What does a flip cost where the weights are drawn again for every pass, beside its drawings and its products?

    python benchmarks/streamed_flip.py [--width 10000000] [--dim 784] [--images 64] [--json FILE]

One run of `flip` on a `StreamedTwoLayer`, and, in turn with it block by block in the same process, as many drawings
and products as it needs: two of W, and four products. CPU time on one thread.
"""

import argparse
import resource
import time
from pathlib import Path

import torch
from interleaved import write

import gradflip


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=10_000_000)
    parser.add_argument("--dim", type=int, default=784)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    network = gradflip.StreamedTwoLayer(given.dim, given.width, seed=0, dtype=torch.float32)
    x = torch.nn.functional.normalize(torch.rand(given.images, given.dim, generator=torch.Generator().manual_seed(0)))
    gradflip.flip(gradflip.StreamedTwoLayer(given.dim, 1000, dtype=torch.float32), x)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000

    start = time.process_time()
    found = gradflip.flip(network, x)
    took = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000

    # a tenth of the neurons is enough to time what every block costs alike
    part = gradflip.StreamedTwoLayer(given.dim, max(16, given.width // 10), seed=0, dtype=torch.float32)
    start, g = time.process_time(), x.clone()
    for last in (False, True):
        for block in part.blocks():
            u = x @ block.W.mT
            u @ block.W if not last else g @ block.W.mT
    needed = (time.process_time() - start) * given.width / part.width
    results = {
        "width": given.width,
        "dim": given.dim,
        "images": given.images,
        "method": found.method,
        "flipped": int((found.status == gradflip.FlipStatus.FLIPPED).sum()),
        "median rho sqrt(d)": float(found.relative.median()) * given.dim**0.5,
        "seconds": took,
        "seconds of drawings and products": needed,
        "ratio": took / needed,
        "extra memory, MB": peak - before,
    }
    for name, value in results.items():
        print(f"{name}: {value}")
    write(results, given.json)


if __name__ == "__main__":
    main()
