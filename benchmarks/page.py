"""Writes docs/benchmarks.md and its figure from the results that the benchmarks kept as JSON.

python benchmarks/page.py [--folder docs/benchmarks]
"""

import argparse
import json
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
from interleaved import shown

ROOT = Path(__file__).parent.parent
GOALS = {  # (m, d): CPU path, portable path
    (1000, 25): (1.4, 6.0),
    (1000, 784): (1.1, 1.2),
    (10_000, 784): (1.05, 1.1),
    (100_000, 784): (1.05, 1.1),
}


def cell(ratios: dict[str, Any], name: str) -> str:
    """A ratio for a table, or a dash."""
    return shown(ratios[name]) if name in ratios else "–"


def flip_table(rows: list[dict[str, Any]]) -> list[str]:
    """Flips against their three products."""
    columns = ["flip", "portable", "full sort", "float64", "flip, two threads"]
    lines = ["| network | flip | portable path | full sort | flip, float64 | flip, 2 threads | rho off by |"]
    lines.append("|---|---|---|---|---|---|---|")
    for row in rows:
        cells = " | ".join(cell(row["ratios"], name) for name in columns)
        error = row["largest error of rho"]
        lines.append(f"| {row['name']} | {cells} | {'–' if error is None else f'{error:.0e}'} |")
    return lines


def search_table(rows: list[dict[str, Any]]) -> list[str]:
    """Flips against other searches."""
    lines = ["| network | mean perturbation | " + " | ".join(rows[0]["times"]) + " |"]
    lines.append("|---|---|" + "---|" * len(rows[0]["times"]))
    for row in rows:
        cells = " | ".join(f"{ratio['median']:,.0f} x" for ratio in row["times"].values())
        lines.append(f"| C0 = {row['C0']:g}, m = 1000, d = 784 | {row['mean perturbation']:.3f} | {cells} |")
    return lines


def train_table(rows: list[dict[str, Any]]) -> list[str]:
    """Lazy steps against their two products and against nn.Module."""
    names = [name for name in rows[0] if name != "name"]
    lines = ["| network, batch 64 | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    return lines + [f"| {row['name']} | " + " | ".join(shown(row[name]) for name in names) + " |" for row in rows]


def random_lines(found: dict[str, Any]) -> list[str]:
    """Networks at random initialisation, whose weights are never built."""
    widest, against, growth = found["widest"], found["explicit / implicit"], found["growth"]
    rays = found["two layers / 2 m normals"]
    times = ", ".join(f"{float(s):.3g} s at {int(m):,}" for m, s in growth["CPU seconds"].items())
    later = growth["exponent from 10^4 on"]
    rest = f" (from 10^4 on {later:.2f}: below, a fixed cost shows)" if later else ""
    per_dim = ", ".join(f"{name} {ratio['median']:.2f}" for name, ratio in rays.items() if "low" in ratio)
    return [
        "## A network at random initialisation, whose weights are never built",
        "",
        f"Value, gradient and flip at width and input dimension {widest['width']:,}, depth 5:",
        f"{widest['seconds']:.1f} s, {widest['process, megabytes']:.0f} MB for the whole process (goal 20 s, 2 GB).",
        f"CPU time by width, depth 5: {times}; exponent {growth['exponent']:.2f}{rest} (goal 1.0).",
        f"Explicit weights at width {against['width']:,}, depth 3, drawing included, take",
        f"{shown(against['seconds'])} times as long and {shown(against['megabytes'])} times as much memory",
        "(goals 100 and 500).",
        "",
        "Two layers in closed form, m = 10^6, in units of the time to draw 2 m normal numbers (goal 5):",
        f"{per_dim}; slowest over fastest dimension {rays['slowest / fastest dimension']['median']:.2f} (goal 1.2).",
        "",
    ]


def adversarial_lines(found: dict[str, Any]) -> list[str]:
    """PGD and adversarial training."""
    lines = [
        "## Attacks and adversarial training (`bench_adversarial.py`, which `make bench` leaves out)",
        "",
        f"One PGD step at (12665, 1000, 784) costs {shown(found['step / two products'])} times its two matrix products",
        "(goal 1.5). Against foolbox's L2PGD with the same 40 steps, 500 MNIST images, lazily trained networks:",
        "",
        "| network | epsilon | flipped | foolbox flipped | foolbox / pgd, time (goal 5) |",
        "|---|---|---|---|---|",
    ]
    for row in found["against foolbox"]:
        share, other = f"{row['flipped']:.3f}", f"{row.get('foolbox flipped', float('nan')):.3f}"
        lines.append(
            f"| C0 = {row['C0']:g} | {row['epsilon']:.3f} | {share} | {other} | {cell(row, 'foolbox / pgd, time')} |"
        )
    times, means = found["schedules"]["published / text, time"], found["schedules"]["means"]
    lines += [
        "",
        "Adversarial training, d = 100, m = 1000, C0 = 10, 2,000 images, epsilon = 0.3, 5 seeds: the published",
        f"schedule (60 epochs, 20 attack steps) takes {times:.1f} times as long as 4 epochs with warm-started attacks,",
        f"learning rate 0.1 and momentum 0.9, and reaches a robust accuracy of {means['published']:.3f} against",
        f"{means['text']:.3f} (PGD-100, 5 restarts; goal 5 times at the same accuracy).",
        "",
    ]
    if "published protocol" in found:
        lines += [
            "Robust accuracy by the published protocol (biases, pixel clip, before the projection), 5 seeds",
            "(`bench_adversarial.py --published`), beside the scripts' own, one seed:",
            "",
            "| epsilon | mean | standard deviation | scripts |",
            "|---|---|---|---|",
            *(
                f"| {row['epsilon']} | {row['mean']:.3f} | {row['std']:.3f} | {row['scripts']} |"
                for row in found["published protocol"]
            ),
            "",
        ]
    return lines


def figure(rows: list[dict[str, Any]]) -> alt.LayerChart:
    """The cost of a flip in units of its three products."""
    names = {"flip": "flip", "portable": "flip, portable path", "full sort": "full sort of all breakpoints"}
    points = [
        {"network": row["name"].replace("n = 2115, ", "").replace("n = 256, ", ""), "how": words, **row["ratios"][name]}
        for row in rows
        for name, words in names.items()
        if name in row["ratios"]
    ]
    scale = alt.Scale(type="log", domain=[0.8, 30], nice=False)
    x = alt.X("median:Q", title="CPU time / three products", scale=scale)
    x = x.axis(values=[1, 1.5, 2, 3, 5, 10, 20])
    y = alt.Y("network:N", title=None, sort=None)
    color = alt.Color("how:N", title=None, scale=alt.Scale(range=["#0072b2", "#d55e00", "#7a7a7a"]), sort=None)
    color = color.legend(orient="bottom")
    base = alt.Chart(pl.DataFrame(points)).encode(y=y, color=color)
    bars = base.mark_rule(strokeWidth=3).encode(
        x=alt.X("low:Q", title="CPU time / three products", scale=scale), x2="high:Q"
    )
    return alt.layer(bars, base.mark_point(filled=True, size=70).encode(x=x)).properties(width=460)


def main() -> None:
    """Read, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "benchmarks")
    given = parser.parse_args()
    names = ("bench_flip", "bench_train", "streamed_flip", "bench_random", "bench_adversarial")
    flips, trained, streamed, random, adversarial = (
        json.loads((given.folder / f"{name}.json").read_text()) for name in names
    )
    env = flips["environment"]
    figure(flips["against products"]).save(given.folder / "bench_flip.svg")
    goals = "; ".join(f"m = {m}, d = {d}: {cpu}, {portable}" for (m, d), (cpu, portable) in GOALS.items())
    agree, compared = trained["stop steps equal"]
    lines = [
        "# The cost of flips, lazy steps, random networks and attacks",
        "",
        "CPU time on one thread (wall time on two); contenders take turns in one run, and ratios are medians over its",
        f"rounds (range). {env['processor']}, {env['cores']} cores, torch {env['torch']}.",
        "`make bench` measures again and rewrites this page.",
        "",
        "## A flip against the three matrix products it needs",
        "",
        "![The cost of a flip in units of its three products](benchmarks/bench_flip.svg)",
        "",
        *flip_table(flips["against products"]),
        "",
        f"Goals, CPU and portable path: {goals}.",
        "The last column is the largest error of rho in float32.",
        f"Extra memory at n = 2115, m = 10,000, d = 784: {flips['extra memory, MB']:.0f} MB (goal 130).",
        "",
        "## How much faster than other searches, per image",
        "",
        *search_table(flips["against searches"]),
        "",
        "Goals: bisection 8 x, foolbox 20 x, published search 500 x. The published search takes a forward pass for",
        "every 0.001 of the perturbation, so its ratio grows in proportion to it; foolbox tries 20 budgets up to",
        "the largest perturbation, and resolves a step only to one of them.",
        "",
        "## A lazy SGD step with its exact stop test against its two matrix products",
        "",
        *train_table(trained["steps"]),
        "",
        "Goals: 1.6, 1.10, 1.05; against nn.Module with SGD and a check after every step 2.5 x, 1.5 x, 1.7 x. In",
        f"{agree} of {compared} runs training stopped at the same step as nn.Module with that check.",
        "",
        "## A network that is never in memory",
        "",
        f"Width {streamed['width']:,}, d = {streamed['dim']}, {streamed['images']} images (`streamed_flip.py`, which",
        f"`make bench` leaves out): {streamed['seconds']:.0f} s, {streamed['ratio']:.2f} times the cost of its draws",
        f"and products (goal 1.3), {streamed['extra memory, MB']:.0f} MB; {streamed['method']}.",
        f"Median rho sqrt(d): {streamed['median rho sqrt(d)']:.3f}.",
        "",
        *random_lines(random),
        *adversarial_lines(adversarial),
    ]
    (given.folder.parent / "benchmarks.md").write_text(
        "\n".join(lines).replace("](bench_flip.svg)", "](benchmarks/bench_flip.svg)")
    )


if __name__ == "__main__":
    main()
