"""What do attacks and adversarial training cost, and do the published scripts' figures come out?

    python benchmarks/bench_adversarial.py [--quick] [--repeats 3] [--published] [--data mnist] [--json FILE]

One attack step against its two matrix products; PGD against foolbox's L2PGD with the same steps on lazily trained
networks, success and time; training by the text with warm attacks and momentum against the published schedule, time to
the same robust accuracy. With --published (minutes) the robust accuracies of the published protocol, 5 seeds.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from bench_flip import images, trained
from interleaved import against, interleaved, shown, write
from torch import Tensor

import gradflip
from gradflip import LazyBall, TwoLayer, pgd, train_adversarially

SCRIPTS = {0.1: 0.955, 0.2: 0.864, 0.3: 0.596, 0.4: 0.286, 0.6: 0.0}  # the published scripts, one seed


def foolbox_pgd(network: TwoLayer, x: Tensor, y: Tensor, epsilon: float, steps: int) -> Callable[[], Tensor] | None:
    """Foolbox's L2PGD from the input, on a PyTorch module of two logits; None where foolbox is not installed."""
    try:
        import foolbox
    except ImportError:
        return None
    hidden, top = torch.nn.Linear(network.dim, network.width, bias=False), torch.nn.Linear(network.width, 2, bias=False)
    signed = network.a.float() / math.sqrt(network.width)
    hidden.weight.data, top.weight.data = network.W.float(), torch.stack([-0.5 * signed, 0.5 * signed])
    model = foolbox.PyTorchModel(torch.nn.Sequential(hidden, torch.nn.ReLU(), top).eval(), bounds=(-100, 100))
    attack = foolbox.attacks.L2PGD(abs_stepsize=2.5 * epsilon / steps, steps=steps, random_start=False)
    labels = (y > 0).long()
    return lambda: attack(model, x, labels, epsilons=epsilon)[2]


def step_cost(network: TwoLayer, x: Tensor, y: Tensor, repeats: int) -> dict[str, float]:
    """One attack step in units of its two products; flips are out of reach, so that no input drops out."""

    def products() -> None:
        for rows in x.split(512):
            (rows @ network.W.mT) @ network.W

    long, short = 12, 2
    work = {
        "products": products,
        "long": lambda: pgd(network, x, y, 1e-6, steps=long),
        "short": lambda: pgd(network, x, y, 1e-6, steps=short),
    }
    seconds = interleaved(work, repeats)
    rounds = zip(seconds["long"], seconds["short"], seconds["products"], strict=True)
    ratios = [(a - b) / (long - short) / c for a, b, c in rounds]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def peers(data: str, dim: int, width: int, count: int, repeats: int) -> list[dict[str, object]]:
    """PGD and foolbox's L2PGD on lazily trained networks: share flipped and time."""
    split, _ = images(data, dim, 1)
    x, y = split.x_test[:count].float(), split.y_test[:count].float()
    found = []
    for C0 in (10.0, 40.0):
        network = trained(data, dim, width, C0)
        size = float(gradflip.flip(network, x).perturbation.median())
        for epsilon in (0.5 * size, 0.8 * size, size):
            other = foolbox_pgd(network, x, y, epsilon, 40)
            row = {"C0": C0, "epsilon": epsilon}
            row["flipped"] = float(pgd(network, x, y, epsilon, steps=40).success.double().mean())
            if other is not None:
                row["foolbox flipped"] = float(other().double().mean())
                work = {"pgd": lambda n=network, e=epsilon: pgd(n, x, y, e, steps=40), "foolbox": other}
                row["foolbox / pgd, time"] = against(interleaved(work, repeats), "foolbox", "pgd")
            found.append(row)
            print(row)
    return found


def schedules(data: str, size: int, count: int, width: int, seeds: int, epochs: int) -> dict[str, object]:
    """The published schedule and ours, to the same robust accuracy: CPU time and accuracy by PGD-100, 5 restarts."""
    split = gradflip.load_data(data, classes=(0, 1), size=size, normalize=True)
    x, y = split.x_train[:count].float(), split.y_train[:count].float()
    test = split.x_test.float(), split.y_test.float()
    epsilon = 0.3
    ways = {
        "published": {"protocol": "published", "lr": 0.01, "attack_steps": 20, "max_epochs": epochs},
        "text": {"lr": 0.1, "momentum": 0.9, "attack_steps": 10, "max_epochs": max(1, epochs // 15)},
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    robust: dict[str, list[float]] = {name: [] for name in ways}
    for seed in range(seeds):
        network0 = TwoLayer.random(size**2, width, seed=seed, dtype=torch.float32)
        ball = LazyBall(network0, 10.0)
        for name, way in ways.items():
            start = time.process_time()
            fit = train_adversarially(network0, x, y, epsilon, ball, seed=seed, **way)
            times[name].append(time.process_time() - start)
            robust[name].append(pgd(ball.project(fit.network), *test, epsilon, restarts=5).robust_accuracy)
    means = {name: statistics.fmean(own) for name, own in robust.items()}
    ratio = statistics.median(a / b for a, b in zip(times["published"], times["text"], strict=True))
    found = {"robust accuracy": robust, "means": means, "seconds": times, "published / text, time": ratio}
    print(found)
    return found


def published(data: str, count: int, width: int, seeds: int, epochs: int) -> list[dict[str, object]]:
    """Robust accuracy by the published protocol: biases, pixel clip, before the projection."""
    split = gradflip.load_data(data, classes=(0, 1), size=10, normalize=True, antialias=False)
    x, y = split.x_train[:count].float(), split.y_train[:count].float()
    test = split.x_test.float(), split.y_test.float()
    rows = []
    for epsilon, script in SCRIPTS.items():
        found = []
        for seed in range(seeds):
            network0 = TwoLayer.random(100, width, bias=True, output_bias=True, seed=seed, dtype=torch.float32)
            fit = train_adversarially(
                network0, x, y, epsilon, LazyBall(network0, 10.0), max_epochs=epochs, attack_steps=20, clip=(0.0, 1.0),
                protocol="published", seed=seed,
            )  # fmt: skip
            found.append(pgd(fit.network, *test, epsilon, steps=20, clip=(0.0, 1.0)).robust_accuracy)
        spread = statistics.stdev(found) if seeds > 1 else 0.0
        mean = statistics.fmean(found)
        near = abs(mean - script) <= max(0.05, 2.5 * spread)
        rows.append({"epsilon": epsilon, "robust": found, "mean": mean, "std": spread, "scripts": script, "near": near})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--published", action="store_true", help="also the published protocol's accuracies")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    dim, width, repeats = (25, 50, 1) if given.quick else (784, 1000, given.repeats)
    split, _ = images(given.data, dim, 1)
    x, y = split.x_train.float(), split.y_train.float()
    results: dict[str, object] = {
        "step / two products": step_cost(trained(given.data, dim, width, 10.0), x, y, repeats)
    }
    print(f"attack step / two products at {(len(x), width, dim)}: {shown(results['step / two products'])}")
    results["against foolbox"] = peers(given.data, dim, width, 50 if given.quick else 500, repeats)
    small = (5, 60, 50, 1, 15) if given.quick else (10, 2000, 1000, 5, 60)
    results["schedules"] = schedules(given.data, *small)
    if given.published:
        results["published protocol"] = published(given.data, 2000, 1000, 5, 60)
    write(results, given.json)


if __name__ == "__main__":
    main()
