"""How many points does no network of the ball get right, how tight is the budget found, and what does the search cost?

    python benchmarks/bench_certify.py [--quick] [--inits 10] [--points 200] [--data mnist] [--json FILE]

Test images of two classes at norm 1, d = 784, m = 10^4, no bias, the ball of C0 = 10 and of C0 = 1 around several
initialisations. Flip budgets against (C0/2 + y f(x; W_0)) / sqrt(d/2); shares certified at budgets of k / sqrt(d); a
search against its steps times its two matrix products; and at m = 1000 certified points attacked by the network that is
best for them and by 200 steps of projected ascent on W to save that very point: none may be saved.
"""

import argparse
import math
import statistics
from pathlib import Path

import torch
from interleaved import against, interleaved, shown, write
from torch import Tensor

import gradflip
from gradflip import LazyBall, TwoLayer, certify, flip_budget, verify

BUDGETS = {10.0: (8.0, 12.0), 1.0: (1.0, 2.0, 4.0)}  # C0 -> multiples of 1 / sqrt(d)
BLOCK = 64


def images(data: str, size: int, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Test images of norm 1 and their labels, drawn without replacement."""
    split = gradflip.load_data(data, classes=(0, 1), size=size, normalize=True)
    chosen = torch.randperm(len(split.x_test), generator=torch.Generator().manual_seed(seed))[:count]
    return split.x_test[chosen].float(), split.y_test[chosen].float()


def spread(values: list[float]) -> dict[str, object]:
    """Mean and range over the initialisations."""
    return {"mean": statistics.fmean(values), "low": min(values), "high": max(values), "each": values}


def budgets(x: Tensor, y: Tensor, width: int, C0: float, inits: int) -> dict[str, object]:
    """Flip budgets against their scale, and shares certified at given budgets."""
    dim = x.shape[1]
    near: list[float] = []
    ratios: list[Tensor] = []
    positive: list[float] = []
    shares: dict[float, list[float]] = {k: [] for k in BUDGETS[C0]}
    for seed in range(inits):
        network0 = TwoLayer.random(dim, width, seed=seed, dtype=torch.float32)
        ball = LazyBall(network0, C0)
        numerator = (C0 / 2 + y * network0(x)).double()
        ratio = flip_budget(ball, x, y).epsilon / (numerator / math.sqrt(dim / 2))
        ratio = ratio[numerator > 0]
        near.append(float((ratio <= 1.1).double().mean()))
        positive.append(float((numerator > 0).double().mean()))
        ratios.append(ratio)
        for k, own in shares.items():
            own.append(certify(ball, x, y, k / math.sqrt(dim)).share)
    levels = torch.tensor([0.0, 0.5, 0.95, 1.0], dtype=torch.float64)
    quantiles = torch.cat(ratios).quantile(levels, interpolation="higher").tolist()
    found = {
        "share with budget at most 1.1 of the scale": spread(near),
        "budget / scale: least, median, 95 %, most": quantiles,
        "share with positive numerator": spread(positive),
        "certified at k / sqrt(d)": {f"{k:g}": spread(own) for k, own in shares.items()},
    }
    print(f"C0 = {C0:g}, {len(x)} points, {inits} initialisations")
    print(f"  budget at most 1.1 of the scale: {near}")
    print(f"  budget / scale, least, median, 95 %, most: {[round(q, 3) for q in quantiles]}")
    for k, own in shares.items():
        print(
            f"  certified at {k:g} / sqrt(d): {statistics.fmean(own):.3f} ({min(own):.3f}-{max(own):.3f})", flush=True
        )
    return found


def cost(x: Tensor, y: Tensor, width: int, repeats: int) -> dict[str, float]:
    """A gradient step of the search in units of its two products; budgets are so small that no point drops out."""
    ball = LazyBall(TwoLayer.random(x.shape[1], width, seed=0, dtype=torch.float32), 10.0)
    W = ball.network0.W
    u, g = x.new_empty(BLOCK, len(W)), x.new_empty(BLOCK, W.shape[1])

    def products() -> None:
        for rows in x.split(BLOCK):
            torch.mm(rows, W.mT, out=u[: len(rows)])
            torch.mm(u[: len(rows)], W, out=g[: len(rows)])

    steps = 20
    work = {
        "products": lambda: [products() for _ in range(steps)],
        "certify": lambda: certify(ball, x, y, 1e-3, steps=steps),
    }
    ratio = against(interleaved(work, repeats), "certify", "products")
    print(f"certify with {steps} steps, all of it, / {steps} times its two products: {shown(ratio)}", flush=True)
    return ratio


def best_by_ascent(ball: LazyBall, x: Tensor, y: Tensor, steps: int) -> Tensor:
    """The y f(x_i; W_i) in float64 that projected ascent on W_i ends at, for each point its own W_i.

    Every other step dead neurons are pulled too, as their gradient is zero. The ascent is in float32.
    """
    start = ball.network0
    values = []
    for at, label in zip(x, y, strict=True):
        W, moved = start.W.clone(), torch.empty_like(start.W)
        direction, top = (at / at.norm()).float(), float(label) * start.a
        for k in range(steps):
            pull = top if k % 2 else top * (torch.mv(W, direction) > 0)
            W.addr_(pull, direction, alpha=0.2 * 0.99**k * ball.radius)
            torch.sub(W, start.W, out=moved)
            factor = (ball.radius / torch.linalg.vector_norm(moved, dim=1)).clamp_(max=1.0)
            torch.addcmul(start.W, moved, factor[:, None], out=W)
        network = ball.project(TwoLayer(W.double(), start.a.double()))
        values.append(label * network(at))
    return torch.stack(values)


def attacked(x: Tensor, y: Tensor, width: int) -> dict[str, object]:
    """Certified points against the networks chosen to save them."""
    ball = LazyBall(TwoLayer.random(x.shape[1], width, seed=0, dtype=torch.float32), 10.0)
    found = certify(ball, x, y, 12 / math.sqrt(x.shape[1]))
    at, labels = found.perturbed[found.certified], found.y[found.certified]
    extreme = torch.stack([labels[i] * ball.extreme(at[i], labels[i])(at[i]) for i in range(len(at))])
    ascent = best_by_ascent(ball, at, labels, 200)
    checked = verify(found)
    result = {
        "points": len(x),
        "certified": len(at),
        "saved by the extreme network": int((extreme >= 0).sum()),
        "saved by ascent": int((ascent >= 0).sum()),
        "above the bound": int((torch.maximum(extreme, ascent) > found.bound[found.certified]).sum()),
        "verified": int(checked.verified.sum()),
        "verification holds": checked.holds,
        "least distance of ascent to the bound": float((found.bound[found.certified] - ascent).min()),
        "largest distance of ascent to the bound": float((found.bound[found.certified] - ascent).max()),
    }
    print(result)
    return result


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--inits", type=int, default=10)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--attacked", type=int, default=1000, help="points to attack by networks chosen to save them")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.quick:
        given.inits, given.points, given.attacked, given.repeats = 2, 20, 10, 1
    size, width = (8, 500) if given.quick else (28, 10_000)
    x, y = images(given.data, size, given.points, seed=0)
    results: dict[str, object] = {"search / products": cost(x, y, width, given.repeats)}
    for C0 in BUDGETS:
        results[f"C0 = {C0:g}"] = budgets(x, y, width, C0, given.inits)
    more = images(given.data, size, given.attacked, seed=1)
    results["attacked"] = attacked(*more, min(width, 1000))
    write(results, given.json)


if __name__ == "__main__":
    main()
