"""What does a network cost whose weights are never built, beside one whose weights are drawn and stored?

    python benchmarks/bench_random.py [--quick] [--repeats 3] [--json FILE]

Value, gradient and flip of a network of width and input dimension 10^6 and depth 5; the growth of that cost with the
width; the same of an explicit network of width 10^4 and depth 3, each in a process of its own, in turn; and the ray of
two layers at m = 10^6 for input dimensions from 10^2 to 10^9, against drawing 2 m normal numbers.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from interleaved import against, interleaved, shown, write

from gradflip.gaussian import draw_two_layer

PROGRAM = """
import json, math, resource, sys, time
import torch, gradflip
from gradflip import RandomNetwork
widths, implicit = json.loads(sys.argv[1]), sys.argv[2] == "implicit"
gradflip.flip(RandomNetwork([5, 6, 7], seed=0), torch.ones(1, 5).double())
x = torch.randn(1, widths[0], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
x *= math.sqrt(widths[0]) / x.norm()
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
before, start, cpu = peak(), time.perf_counter(), time.process_time()
network = RandomNetwork(widths, "relu", seed=0, implicit=implicit)
value, gradient = network.value_and_gradient(x)
once = time.perf_counter() - start
found = gradflip.flip(network, x)
print(json.dumps({"value and gradient, s": once, "seconds": time.perf_counter() - start,
    "CPU seconds": time.process_time() - cpu, "megabytes": peak() - before, "process, megabytes": peak(),
    "method": found.method, "status": gradflip.FlipStatus(int(found.status)).name.lower(),
    "rho sqrt(d)": float(found.relative) * math.sqrt(widths[0])}))
"""


def alone(widths: list[int], kind: str) -> dict[str, object]:
    """One network in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(widths), kind]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def growth(sizes: list[int], repeats: int) -> tuple[dict[int, float], float]:
    """Median CPU time at each width, depth 5, and the exponent of their growth."""
    times = {size: [] for size in sizes}
    for _ in range(repeats):
        for size in sizes:
            times[size].append(float(str(alone([size] * 6, "implicit")["CPU seconds"])))
    medians = {size: statistics.median(own) for size, own in times.items()}
    return medians, slope(medians)


def slope(times: dict[int, float]) -> float:
    """Least-squares exponent on the log scale."""
    logs = [(math.log(size), math.log(seconds)) for size, seconds in times.items()]
    centre = [statistics.fmean(column) for column in zip(*logs, strict=True)]
    over = sum((x - centre[0]) * (y - centre[1]) for x, y in logs)
    return over / sum((x - centre[0]) ** 2 for x, _ in logs)


def two_layers(width: int, dims: list[int], repeats: int) -> dict[str, dict[str, float]]:
    """The ray at each dimension, against 2 m normal numbers and against the first dimension."""
    generator = torch.Generator().manual_seed(0)

    def normals() -> None:
        for _ in range(2):
            torch.randn(width, generator=generator, dtype=torch.float64)

    work = {"2 m normals": normals}
    for dim in dims:
        work[f"d = {dim:.0e}"] = lambda dim=dim: draw_two_layer(dim, width, generator=generator)
    seconds = interleaved(work, repeats)
    names = [name for name in work if name != "2 m normals"]
    ratios = {name: against(seconds, name, "2 m normals") for name in names}
    medians = [statistics.median(seconds[name]) for name in names]
    return ratios | {"slowest / fastest dimension": {"median": max(medians) / min(medians)}}


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    repeats = 1 if given.quick else given.repeats
    largest = 2_000 if given.quick else 1_000_000
    sizes = [1_000, 2_000] if given.quick else [1_000, 10_000, 100_000, 1_000_000]
    width = 300 if given.quick else 10_000

    wide = alone([largest] * 6, "implicit")
    print(f"width and dimension {largest:,}, depth 5: {wide}")
    pairs = [(alone([width] * 4, "explicit"), alone([width] * 4, "implicit")) for _ in range(repeats)]
    faster = {}
    for what in ("seconds", "CPU seconds", "megabytes"):
        ratios = [float(str(explicit[what])) / max(float(str(implicit[what])), 1e-3) for explicit, implicit in pairs]
        faster[what] = {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}
        print(f"width {width:,}, depth 3, explicit / implicit, {what}: {shown(faster[what])}")
    print(pairs[0])
    medians, exponent = growth(sizes, repeats)
    beyond = slope({size: seconds for size, seconds in medians.items() if size >= 10_000}) if not given.quick else None
    print(f"CPU time by width: {medians}; exponent {exponent:.2f}, from 10^4 on {beyond}")
    rays = two_layers(1_000 if given.quick else 1_000_000, [10**2, 10**4, 10**6, 10**9], 2 * repeats + 1)
    for name, ratio in rays.items():
        print(f"two layers, {name}: {shown(ratio) if 'low' in ratio else format(ratio['median'], '.3f')}")
    results: dict[str, object] = {
        "widest": wide | {"width": largest},
        "explicit / implicit": faster | {"width": width, "explicit": pairs[0][0], "implicit": pairs[0][1]},
        "growth": {"CPU seconds": medians, "exponent": exponent, "exponent from 10^4 on": beyond},
        "two layers / 2 m normals": rays,
    }
    write(results, given.json)


if __name__ == "__main__":
    main()
