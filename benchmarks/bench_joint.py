"""From which budget on is it certain that no network of the ball serves all points at once?

    python benchmarks/bench_joint.py [--quick] [--inits 10] [--points 300] [--data mnist] [--json FILE]

Test images of two classes at norm 1, d = 784, m = 10^4, no bias, the ball of C0 = 10 around several initialisations:
the budget at which the joint bound B crosses zero, with the points on their rays and weights of which each class has
half, and with both searched; beside it that at which single points are certified, and what one search costs in
products of the points with the weights.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from bench_certify import images, spread
from interleaved import write

from gradflip import LazyBall, TwoLayer, certify_jointly, flip_budget

GOALS = {"on the rays, equal weights": 0.145, "searched": 0.125}


def crossing(bound: Callable[[float], float], low: float, high: float, evaluations: int) -> float:
    """Where a falling function crosses zero: the upper end of a bracket narrowed along the line between its ends."""
    at_low, at_high = bound(low), bound(high)
    if not at_low > 0 > at_high:
        return math.nan
    for _ in range(evaluations):
        share = at_low / (at_low - at_high)
        middle = low * (high / low) ** min(0.9, max(0.1, share))
        at = bound(middle)
        if at < 0:
            high, at_high = middle, at
        else:
            low, at_low = middle, at
    return high


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="sizes for a test of this script")
    parser.add_argument("--inits", type=int, default=10)
    parser.add_argument("--points", type=int, default=300)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    size, width, inits, points = (10, 400, 2, 40) if args.quick else (28, 10_000, args.inits, args.points)
    C0 = 4.0 if args.quick else 10.0
    x, y = images(args.data, size, points, seed=0)
    root = size
    found: dict[str, list[float]] = {name: [] for name in (*GOALS, "one by one, median")}
    costs = []
    for seed in range(inits):
        ball = LazyBall(TwoLayer.random(size**2, width, seed=seed, dtype=torch.float32), C0)
        ways = {"on the rays, equal weights": {"steps": 0, "optimize_weights": False}, "searched": {"steps": 6}}
        for name, options in ways.items():
            spent, calls = time.perf_counter(), 0

            def bound(epsilon: float, ball: LazyBall = ball, options: dict = options) -> float:
                nonlocal calls
                calls += 1
                return float(certify_jointly(ball, x, y, epsilon, **options).bound[0])

            found[name].append(crossing(bound, 0.3 * C0 / 2 / root, 2.2 * C0 / 2 / root, 4))
            spent = (time.perf_counter() - spent) / calls
        start = time.perf_counter()
        for _ in range(3):
            x @ ball.network0.W.mT
        costs.append(spent / ((time.perf_counter() - start) / 3))
        found["one by one, median"].append(float(flip_budget(ball, x, y).epsilon.median()))
        print(
            f"initialisation {seed}: " + ", ".join(f"{name} {own[-1]:.4f}" for name, own in found.items()), flush=True
        )
    result = {
        "shape": {"points": points, "width": width, "dim": size**2, "C0": C0, "initialisations": inits},
        "budget at which B crosses zero": {name: spread(own) for name, own in found.items()},
        "goals": GOALS,
        "a search, in products of points and weights": statistics.median(costs),
    }
    for name, own in result["budget at which B crosses zero"].items():
        print(f"{name}: mean {own['mean']:.4f} ({own['low']:.4f} to {own['high']:.4f})")
    print(f"a search: {result['a search, in products of points and weights']:.0f} products")
    write(result, args.json)


if __name__ == "__main__":
    main()
