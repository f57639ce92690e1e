"""Can one tell a network whose weights were never built from one in memory?

    python examples/implicit_against_explicit.py [--draws 20000] [--out implicit-against-explicit.png]

Draws f(x) and f(x(s)), s = 1, of many networks of widths 12 - 40 - 5 of either kind, prints two-sample
Kolmogorov-Smirnov tests, and draws both samples beside each other.
"""

import argparse
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl
import torch
from scipy import stats

from gradflip import RandomNetwork

WIDTHS, STEP, EDGES = [12, 40, 5], 1.0, np.linspace(-1.5, 1.5, 61)


def sample(draws: int, *, implicit: bool) -> np.ndarray:
    """f(x), f(x(s)) and |g| of independent networks, `(draws, 3)`."""
    network = RandomNetwork(WIDTHS, "tanh", implicit=implicit, draws=draws, seed=int(implicit))
    x = torch.zeros(draws, 1, WIDTHS[0], dtype=torch.float64)
    x[..., 0] = WIDTHS[0] ** 0.5
    value, gradient = network.value_and_gradient(x)
    moved = network(x - STEP * value.sign().unsqueeze(-1) * gradient)
    return torch.cat([value, moved, gradient.norm(dim=-1)], dim=1).numpy()


def panel(points: np.ndarray, title: str) -> alt.Chart:
    """How often f(x) and f(x(s)) fell into each cell of a grid."""
    counts, _, _ = np.histogram2d(points[:, 0], points[:, 1], bins=[EDGES, EDGES])
    i, j = np.nonzero(counts)
    cells = pl.DataFrame({"x": EDGES[i], "x2": EDGES[i + 1], "y": EDGES[j], "y2": EDGES[j + 1], "n": counts[i, j]})
    ends = alt.Scale(domain=[-1.5, 1.5], nice=False)
    return (
        alt.Chart(cells)
        .mark_rect()
        .encode(
            x=alt.X("x:Q", title="f(x)", scale=ends), x2="x2:Q",
            y=alt.Y("y:Q", title="f(x(s)), s = 1", scale=ends), y2="y2:Q",
            color=alt.Color("n:Q", title="networks", scale=alt.Scale(scheme="viridis", type="sqrt")),
        )
        .properties(width=240, height=240, title=title)
    )  # fmt: skip


def main() -> None:
    """Sample, test, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=Path("implicit-against-explicit.png"))
    given = parser.parse_args()
    explicit, implicit = sample(given.draws, implicit=False), sample(given.draws, implicit=True)
    for name, one, two in zip(("f(x)", "f(x(s))", "|g|"), explicit.T, implicit.T, strict=True):
        test = stats.ks_2samp(one, two)
        print(f"{name}: largest distance of the distributions {test.statistic:.4f}, p = {test.pvalue:.2f}")
    chart = panel(explicit, "weights drawn and stored") | panel(implicit, "weights never built")
    chart.save(given.out, scale_factor=2)
    print(given.out)


if __name__ == "__main__":
    main()
