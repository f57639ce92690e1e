"""What does a lazy SGD step, with its exact stop test, cost beside the two matrix products it cannot do without?

    python benchmarks/bench_train.py [--quick] [--repeats 5] [--json FILE]

In one run and in turn: an epoch of `gradflip.train` inside a ball that it does not leave; the two products of each
step; nn.Module with torch.optim.SGD and a look at the deviation after every step. One thread, batches of 64. The stop
step is then compared with that of a look after every step.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import torch
from interleaved import against, interleaved, shown, write
from torch import Tensor

import gradflip
from gradflip import LazyBall, TwoLayer

BATCH = 64


def products(network: TwoLayer, x: Tensor, steps: int) -> Callable[[], None]:
    """What `steps` steps multiply, as fast as it goes."""
    W, u, rows = network.W.mT.contiguous(), x.new_empty(BATCH, network.width), x[:BATCH].contiguous()

    def run() -> None:
        for _ in range(steps):
            torch.mm(rows, W, out=u)
            W.addmm_(rows.mT, u, alpha=-1e-12)

    return run


def plain(network0: TwoLayer, x: Tensor, y: Tensor, ball: LazyBall, lr: float, epochs: int = 1, seed: int = 0) -> int:
    """nn.Module, autograd, torch.optim.SGD, and the deviation after every step; the steps taken inside the ball."""
    hidden = torch.nn.Linear(network0.dim, network0.width, bias=False)
    hidden.weight.data = network0.W.clone()
    a = network0.a / math.sqrt(network0.width)
    optimizer = torch.optim.SGD(hidden.parameters(), lr=lr)
    order = gradflip._seeds.generator(seed, "batches")
    steps = 0
    for _ in range(epochs):
        for batch in torch.randperm(len(y), generator=order).split(BATCH):
            optimizer.zero_grad()
            margin = y[batch] * (torch.relu(hidden(x[batch])) @ a)
            torch.nn.functional.softplus(-margin).mean().backward()
            optimizer.step()
            moved = (hidden.weight.detach() - network0.W).norm(dim=1).max()
            if float(moved) > ball.radius:
                return steps
            steps += 1
    return steps


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it runs")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    sizes = [(50, 25, 4)] if given.quick else [(1000, 25, 1000), (1000, 784, 100), (10_000, 784, 40)]
    rows = []
    for width, dim, steps in sizes:
        draw = torch.Generator().manual_seed(0)
        x = torch.nn.functional.normalize(torch.randn(BATCH * steps, dim, generator=draw))
        y = torch.where(x[:, 0] < 0, -1.0, 1.0)
        network0 = TwoLayer.random(dim, width, seed=0, dtype=torch.float32)
        ball = LazyBall(network0, 1000.0)

        def lazy(epochs: int, network0=network0, x=x, y=y, ball=ball) -> None:
            gradflip.train(network0, x, y, ball=ball, batch_size=BATCH, max_epochs=epochs, record_every=9)

        seconds = interleaved(
            {
                "two products": products(network0, x, steps),
                "one epoch": lambda lazy=lazy: lazy(1),
                "two epochs": lambda lazy=lazy: lazy(2),
                "nn.Module": lambda n=network0, x=x, y=y, ball=ball: plain(n, x, y, ball, 0.1),
            },
            1 if given.quick else given.repeats,
        )
        # a training's start and end, with their rows of the history, are in both
        seconds["lazy step"] = [b - a for a, b in zip(seconds["one epoch"], seconds["two epochs"], strict=True)]
        row = {
            "name": f"m = {width}, d = {dim}",
            "lazy step / two products": against(seconds, "lazy step", "two products"),
            "nn.Module / lazy step": against(seconds, "nn.Module", "lazy step"),
        }
        rows.append(row)
        print(f"{row['name']}: " + "; ".join(f"{k} {shown(v)}" for k, v in row.items() if k != "name"), flush=True)

    agree = compared = 0
    for seed in range(3 if given.quick else 30):
        draw = torch.Generator().manual_seed(seed)
        x = torch.nn.functional.normalize(torch.randn(400, 20, generator=draw))
        y = torch.where(x[:, 0] < 0, -1.0, 1.0)
        network0 = TwoLayer.random(20, 200, seed=seed, dtype=torch.float32)
        ball = LazyBall(network0, 2.0 + seed % 5)
        fit = gradflip.train(network0, x, y, ball=ball, lr=0.5, batch_size=BATCH, max_epochs=40, seed=seed)
        agree += fit.steps == plain(network0, x, y, ball, 0.5, epochs=40, seed=seed)
        compared += 1
    print(f"stop step equal to that of a look after every step: {agree} of {compared}")
    write({"steps": rows, "stop steps equal": [agree, compared]}, given.json)


if __name__ == "__main__":
    main()
