"""One gradient step against many: robust accuracy under each attack, a panel for each way of training."""

from __future__ import annotations

import altair as alt
import polars as pl

from gradflip.drawing import (
    COLORS,
    DASHED,
    HINT,
    PANEL,
    Chart,
    Figure,
    around,
    colored,
    faded,
    heading,
    log_x,
    selection,
)
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._settings import Settings
from gradflip.experiments.adversarial._accuracy import (
    accuracy_tooltip,
    averages,
    data_words,
    sample_words,
    shares,
)
from gradflip.experiments.adversarial._claims import ATTACK_NAMES

FREE = 1e4
"""From this C0 on, the ball is no constraint."""
_BY = ["training", "trained_epsilon", "C0", "epsilon"]
_COLORS = {"robust_one_step": COLORS[1], "robust_ray": COLORS[2], "robust_pgd": COLORS[0]}


def attacks_figure(
    experiment: Experiment, rows: pl.DataFrame, observations: pl.DataFrame, settings: Settings
) -> Figure:
    """Draw a panel per training and ball, with a curve per attack.

    Args:
        experiment: The experiment.
        rows: Its rows.
        observations: Not drawn.
        settings: The settings of the run.

    Returns:
        A figure.
    """
    means = [averages(rows, _BY, attack) for attack in _COLORS]
    numbers = pl.concat(means).with_columns(pl.col("attack").replace_strict(ATTACK_NAMES).alias("curve"))
    kinds = (
        numbers.select("training", "trained_epsilon", "C0").unique().sort("training", "C0", descending=[True, False])
    )
    domain = around(numbers["epsilon"].to_list())
    panels = [
        _panel(numbers.filter(pl.col("training") == training, pl.col("C0") == C0), training, epsilon, C0, domain)
        for training, epsilon, C0 in kinds.iter_rows()
    ]
    caption = _caption(rows, numbers, settings)
    return Figure(experiment.name, tuple(panels), numbers.drop("curve"), caption, hint=HINT)


def _panel(numbers: pl.DataFrame, training: str, epsilon: float | None, C0: float, domain: list[float]) -> Chart:
    present = [attack for attack in _COLORS if len(numbers.filter(attack=attack))]
    names = [ATTACK_NAMES[attack] for attack in present]
    color = colored(names, "", columns=3, colors=[_COLORS[attack] for attack in present])
    x = log_x("epsilon", "budget ε", domain)
    chosen = selection(f"{training}_{C0:.0f}")
    tooltip = accuracy_tooltip(
        "attack", alt.Tooltip("epsilon:Q", title="ε", format=".4g"),
        alt.Tooltip("scaled_deviation:Q", title="deviation, mean over seeds", format=".4g"),
    )  # fmt: skip

    def base(kept: pl.Expr, opacity: float = 1) -> alt.Chart:
        chart: alt.Chart = alt.Chart(numbers.filter(kept))
        return chart.encode(x=x, color=color, opacity=faded(chosen, opacity, opacity / 10))

    everything, step, ray = pl.lit(True), pl.col("attack") == "robust_one_step", pl.col("attack") == "robust_ray"
    layers = [
        base(everything, 0.18).mark_area().encode(y=shares("low"), y2="high:Q"),
        # the exact flip and the single step mostly agree: one is dashed on top of the other, so that both are visible
        base(step).mark_line(strokeWidth=3.5).encode(y=shares("robust")),
        base(ray).mark_line(strokeWidth=2, strokeDash=[4, 4]).encode(y=shares("robust")),
        base(~step & ~ray).mark_line(strokeWidth=2).encode(y=shares("robust")),
        base(everything)
        .mark_point(filled=True, size=24)
        .encode(y=shares("robust"), tooltip=tooltip)
        .add_params(chosen),
    ]
    if epsilon is not None:
        at = alt.Chart(pl.DataFrame({"epsilon": [epsilon]}))
        layers.insert(0, at.mark_rule(**DASHED).encode(x=x))
    how = "trained plainly" if epsilon is None else f"trained against ε = {epsilon:g}"
    right = numbers.select(pl.mean("correct")).item()
    title = heading(f"{how}, {_ball(C0)}", [f"right without an attack: {100 * right:.3g} %"])
    return alt.layer(*layers).properties(**PANEL, title=title)


def _ball(C0: float) -> str:
    return "no ball" if C0 >= FREE else f"C0 = {C0:g}"


def _caption(rows: pl.DataFrame, numbers: pl.DataFrame, settings: Settings) -> str:
    first = rows.row(0, named=True)
    balls = ", ".join(_ball(C0) for C0 in sorted(set(rows["C0"].to_list())))
    rule = "; the vertical line is the ε that was trained against" if numbers["trained_epsilon"].count() else ""
    clipped = "" if rows["robust_ray"].count() else " Pixels stay within [0, 1]: there is no exact flip along the ray."
    return (
        f"Networks of d = {first['dim']} and m = {first['width']:,}, trained plainly or adversarially, {balls}; "
        f"{data_words(rows, settings)}. Lines: {sample_words(rows)}, bands one standard deviation{rule}. The exact ray "
        "flip counts an image as lost if its sign turns anywhere on the gradient ray within ε, the single step only if "
        f"it has turned at ε; PGD takes 100 steps from each of five starts.{clipped}"
    )
