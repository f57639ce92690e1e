"""What does an exact flip cost beside the three matrix products it cannot do without, and beside other searches?

    python benchmarks/bench_flip.py [--quick] [--repeats 5] [--data mnist] [--json FILE]

In one run and in turn: `flip` on both paths; the bare products, as fast as they go; a full sort of all breakpoints; a
bisection by forward passes; the published line search in steps of 0.001, image by image; foolbox's
L2FastGradientAttack with 20 budgets, where foolbox is installed. Networks at random and trained lazily (C0 = 10, 40);
these are trained once and kept in the user's cache folder, beside the
data (on Linux in $XDG_CACHE_HOME/gradflip/benchmarks or ~/.cache/gradflip/benchmarks).
"""

import argparse
import math
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import platformdirs
import torch
from interleaved import against, interleaved, shown, write
from torch import Tensor

import gradflip
from gradflip import FlipStatus, LazyBall, PiecewiseLinear, TwoLayer

CACHE = Path(platformdirs.user_cache_dir("gradflip"), "benchmarks")
BLOCK = 512  # as fast as any
SLOW = 50  # images for the slow peers


def images(data: str, dim: int, count: int) -> tuple[gradflip.Split, Tensor]:
    """The data, and `count` test images, some twice where there are fewer."""
    split = gradflip.load_data(data, classes=(0, 1), size=math.isqrt(dim))
    rows = split.x_test
    return split, rows[torch.arange(count) % len(rows)].contiguous()


def trained(data: str, dim: int, width: int, C0: float) -> TwoLayer:
    """A network trained to the surface of its ball, from the cache if it was before."""
    path = CACHE / f"{data}-{dim}-{width}-{C0:g}.safetensors"
    if path.is_file():
        return TwoLayer.load(path)
    split, _ = images(data, dim, 1)
    network0 = TwoLayer.random(dim, width, seed=0, dtype=torch.float32)
    ball = LazyBall(network0, C0)
    fit = gradflip.train(network0, split.x_train, split.y_train, ball=ball, max_epochs=60, seed=0)
    CACHE.mkdir(parents=True, exist_ok=True)
    fit.network.save(path)
    return fit.network


def products(network: TwoLayer, x: Tensor) -> Callable[[], None]:
    """The three products in blocks, into buffers that are used again."""
    W, x = network.W, x.to(network.W.dtype)
    u, g = x.new_empty(BLOCK, len(W)), x.new_empty(BLOCK, W.shape[1])

    def run() -> None:
        for rows in x.split(BLOCK):
            k = len(rows)
            torch.mm(rows, W.mT, out=u[:k])
            torch.mm(u[:k], W, out=g[:k])
            torch.mm(g[:k], W.mT, out=u[:k])

    return run


def full_sort(network: TwoLayer, x: Tensor) -> Tensor:
    """All breakpoints sorted, relu without biases: the step in closed form on the piece that crosses zero."""
    steps = []
    root, a = math.sqrt(network.width), network.a.double()
    for rows in x.to(network.W.dtype).split(BLOCK):
        u = rows @ network.W.mT
        q = (u > 0) * network.a
        f, g = (u.relu() @ network.a) / root, (q @ network.W) / root
        v = (g * f.sign()[:, None]) @ network.W.mT
        ahead = (u > 0) == (v > 0)
        breaks, order = torch.where(ahead, u / v, torch.inf).double().sort(dim=1)
        gains = (f.sign()[:, None] * a * v.abs()).gather(1, order) / root
        slope = -(g.double() ** 2).sum(1, keepdim=True) + gains.cumsum(1) - gains
        back = (gains * breaks.nan_to_num(posinf=0.0)).cumsum(1)
        height = f.abs()[:, None] + breaks * slope - torch.cat([torch.zeros_like(back[:, :1]), back[:, :-1]], 1)
        piece = (height < 0).int().argmax(1, keepdim=True)
        at, down = height.gather(1, piece), slope.gather(1, piece)
        steps.append((breaks.gather(1, piece) - at / down)[:, 0])
    return torch.cat(steps)


def bisection(network: TwoLayer, x: Tensor, rounds: int = 24) -> Tensor:
    """The step to 2^-24 of twice the first-order guess, by forward passes of the whole batch."""
    x = x.to(network.W.dtype)
    f, g = network(x), network.gradient(x)
    hi = 2 * f.abs() / (g * g).sum(1)
    lo, direction = torch.zeros_like(hi), g * f.sign()[:, None]
    for _ in range(rounds):
        middle = 0.5 * (lo + hi)
        turned = network(x - middle[:, None] * direction) * f.sign() < 0
        lo, hi = torch.where(turned, lo, middle), torch.where(turned, middle, hi)
    return hi


def published_search(network: TwoLayer, x: Tensor) -> Tensor:
    """Image by image, perturbations of norm 0.001, 0.002, ... along the gradient until the sign turns."""
    found = []
    for row in x.to(network.W.dtype):
        f, g = network(row[None]), network.gradient(row[None])
        direction, size = f.sign() * g / g.norm(), 0.0
        while network(row[None] - size * direction) * f > 0:
            size += 0.001
        found.append(size)
    return torch.tensor(found)


def foolbox_attack(network: TwoLayer, x: Tensor, largest: float) -> Callable[[], object] | None:
    """L2FastGradientAttack with 20 budgets up to the largest perturbation, on a PyTorch module."""
    try:
        import foolbox
    except ImportError:
        return None
    hidden = torch.nn.Linear(network.dim, network.width, bias=False)
    top = torch.nn.Linear(network.width, 2, bias=False)
    hidden.weight.data, signed = network.W.float(), network.a.float() / math.sqrt(network.width)
    top.weight.data = torch.stack([-0.5 * signed, 0.5 * signed])
    module = torch.nn.Sequential(hidden, torch.nn.ReLU(), top).eval()
    model = foolbox.PyTorchModel(module, bounds=(-100, 100), device="cpu")
    attack, inputs = foolbox.attacks.L2FastGradientAttack(), x.float()
    labels = module(inputs).argmax(1)
    return lambda: attack(model, inputs, labels, epsilons=[largest * k / 20 for k in range(1, 21)])


def extra_memory(count: int, width: int, dim: int) -> float:
    """Megabytes that `flip` takes beside network and inputs, in a process of its own (Linux)."""
    program = f"""
import torch, gradflip
from pathlib import Path
torch.set_num_threads(1)
def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])
network = gradflip.TwoLayer.random({dim}, {width}, dtype=torch.float32)
x = torch.rand({count}, {dim}, generator=torch.Generator().manual_seed(0))
gradflip.flip(gradflip.TwoLayer.random(3, 10, dtype=torch.float32), x[:2, :3])
before = status("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
gradflip.flip(network, x)
print((status("VmHWM") - before) / 1000)
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(ran.stdout)


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    repeats = 1 if given.quick else given.repeats
    sizes = [(60, 50, 25)] if given.quick else [(2115, 1000, 25), (2115, 1000, 784), (2115, 10_000, 784)]
    networks: list[tuple[str, int, TwoLayer, Tensor]] = []
    for count, width, dim in sizes:
        _, x = images(given.data, dim, count)
        networks.append(("random", count, TwoLayer.random(dim, width, seed=0, dtype=torch.float32), x))
        networks.append(("C0 = 10", count, trained(given.data, dim, width, 10.0), x))
    if not given.quick:
        x = images(given.data, 784, 256)[1]
        networks.append(("random", 256, TwoLayer.random(784, 100_000, seed=0, dtype=torch.float32), x))
    results: dict[str, object] = {}

    print("CPU time of flip / three products, one thread: median (range) over rounds")
    rows = []
    for kind, count, network, x in networks:
        double = network.to(dtype=torch.float64)
        work = {
            "products": products(network, x),
            "flip": lambda n=network, x=x: gradflip.flip(n, x),
            "portable": lambda n=network, x=x: gradflip.flip(n, x, finder=PiecewiseLinear()),
        }
        if network.width <= 10_000:
            work["full sort"] = lambda n=network, x=x: full_sort(n, x)
            work["products64"] = products(double, x)
            work["flip64"] = lambda n=double, x=x: gradflip.flip(n, x)
        turns = max(1, repeats // 2) if network.width > 10_000 else repeats
        seconds = interleaved(work, turns)
        ratios = {name: against(seconds, name, "products") for name in work if name not in ("products", "flip64")}
        if "flip64" in work:
            ratios["float64"] = against(seconds, "flip64", "products64")
        two = interleaved({k: work[k] for k in ("products", "flip")}, turns, threads=2)
        ratios["flip, two threads"] = against(two, "flip", "products")
        found = gradflip.flip(network, x)
        same, error = True, None
        if network.width <= 10_000:
            exact = gradflip.flip(double, x, finder=PiecewiseLinear())
            both = (found.status == FlipStatus.FLIPPED) & (exact.status == FlipStatus.FLIPPED)
            same = bool((found.status == exact.status).all())
            error = float(((found.step - exact.step).abs() * exact.gradient_norm / exact.input_norm)[both].max())
        name = f"{kind}, n = {count}, m = {network.width}, d = {network.dim}"
        row = {
            "name": name,
            "ratios": ratios,
            "seconds": {k: statistics.median(v) for k, v in seconds.items()},
            "method": found.method,
            "same status": same,
            "largest error of rho": error,
        }
        rows.append(row)
        print(f"{name}: " + "; ".join(f"{k} {shown(v)}" for k, v in ratios.items() if k != "products64"))
        said = "" if error is None else f"; float32 rho is off by at most {error:.1e}"
        print(f"    {found.method}{said}", flush=True)
    results["against products"] = rows

    print("\nflip is faster than other searches, per image, by")
    rows = []
    count, width, dim = sizes[-2] if len(sizes) > 1 else sizes[0]
    for C0 in (10.0, 40.0):
        network = trained(given.data, dim, width, C0)
        x = images(given.data, dim, count)[1]
        network_few = x[:SLOW]
        found = gradflip.flip(network, x)
        largest = float(found.perturbation[found.step.isfinite()].max())
        work = {
            "flip": lambda n=network, x=x: gradflip.flip(n, x),
            "bisection": lambda n=network, x=x: bisection(n, x),
        }
        slow = {
            "flip": lambda n=network, x=x: gradflip.flip(n, x),
            "published search": lambda n=network, x=network_few: published_search(n, x),
        }
        attack = foolbox_attack(network, network_few, largest)
        if attack:
            slow["foolbox, 20 budgets"] = attack
        seconds = interleaved(work, repeats)
        times = {"bisection": against(seconds, "bisection", "flip")}
        seconds = interleaved(slow, max(1, repeats // 2))
        for name in slow:
            if name != "flip":
                ratio = against(seconds, name, "flip")
                times[name] = {key: value * len(x) / len(network_few) for key, value in ratio.items()}
        mean = float(found.perturbation[:SLOW][found.step[:SLOW].isfinite()].mean())
        rows.append({"C0": C0, "times": times, "mean perturbation": mean})
        said = "; ".join(f"{k} {shown(v)}" for k, v in times.items())
        print(f"C0 = {C0:g}, m = {width}, d = {dim}, mean perturbation {mean:.3f}: {said}", flush=True)
    if not foolbox_attack(network, network_few, largest):
        print("(foolbox is not installed: pip install 'gradflip[bench]')")
    results["against searches"] = rows
    if sys.platform.startswith("linux"):
        size = sizes[-1]
        results["extra memory, MB"] = extra_memory(*size)
        print(f"\nextra memory at n, m, d = {size}: {results['extra memory, MB']:.0f} MB")
    write(results, given.json)


if __name__ == "__main__":
    main()
