"""The bracket of Figure 4: a bound on every network of the ball, and the best network that was trained."""

from __future__ import annotations

import altair as alt
import polars as pl

from gradflip.claims import ratios
from gradflip.drawing import (
    HINT,
    PANEL,
    QUARTERS,
    THEORY,
    Chart,
    Figure,
    around,
    colored,
    counted,
    extent,
    faded,
    heading,
    listed,
    log_scale,
    log_x,
    selection,
    share_y,
)
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._lattice import edges
from gradflip.experiments._settings import Settings

LEVELS = (0.5, 0.75)
_EDGES = {"certified_accuracy": "no network does better (proved)", "attainable_accuracy": "the best network found"}
_SINGLY = "certified one by one"


def certified_figure(
    experiment: Experiment, rows: pl.DataFrame, observations: pl.DataFrame, settings: Settings
) -> Figure:
    """Draw two panels per shape: the bracket by C0, and the certified robust error over C0 and budget.

    Args:
        experiment: The experiment.
        rows: Its rows.
        observations: Not drawn.
        settings: The settings of the run.

    Returns:
        A figure.
    """
    numbers = _averages(rows)
    shapes = sorted(set(numbers.select("width", "dim").rows()))
    groups = {(width, dim): numbers.filter(width=width, dim=dim) for width, dim in shapes}
    panels = [_bracket(own, width, dim) for (width, dim), own in groups.items()]
    panels += [_map(own, width, dim) for (width, dim), own in groups.items() if own["C0"].n_unique() > 1]
    return Figure(experiment.name, tuple(panels), numbers, _caption(rows, numbers), hint=HINT)


def _averages(rows: pl.DataFrame) -> pl.DataFrame:
    """Means over seeds at each budget."""
    columns = ("certified_accuracy", "attainable_accuracy", "certified_single", "certified_error", "robust_both")
    kept = rows.group_by("width", "dim", "C0", "epsilon", maintain_order=True).agg(
        *(pl.col(column).mean() for column in columns), pl.col("epsilon_sqrt_d").first(),
        pl.col("seed").n_unique().cast(pl.Int64).alias("seeds"), pl.col("best").mode().sort().first(),
        pl.col("points").max(),
    )  # fmt: skip
    return kept.sort("width", "dim", "C0", "epsilon").with_columns(
        pl.col("C0").map_elements(lambda C0: f"{C0:g}", return_dtype=pl.String).alias("curve")
    )


def _bracket(numbers: pl.DataFrame, width: int, dim: int) -> Chart:
    """Both edges over the budget, with the area between them shaded and a colour per C0."""
    drawn = numbers.unpivot(
        on=list(_EDGES), index=["curve", "C0", "epsilon", "epsilon_sqrt_d", "seeds", "best"], variable_name="edge",
        value_name="accuracy",
    ).with_columns(pl.col("edge").replace_strict(_EDGES))  # fmt: skip
    x = log_x("epsilon_sqrt_d", "budget ε √d", around(numbers["epsilon_sqrt_d"], 1.1))
    chosen = selection(f"bracket_{width}_{dim}")
    color = colored([f"{C0:g}" for C0 in sorted(set(numbers["C0"].to_list()))], "C0", columns=5)
    dashes = alt.Scale(domain=list(_EDGES.values()), range=[[6, 3], [1, 0]])
    dash = alt.StrokeDash(
        "edge:N", title=None, scale=dashes, legend=alt.Legend(orient="bottom", columns=1, labelLimit=230)
    )
    tooltip = [
        alt.Tooltip("curve:N", title="C0"), alt.Tooltip("edge:N", title="edge"),
        alt.Tooltip("epsilon:Q", format=".3g", title="budget ε"),
        alt.Tooltip("accuracy:Q", format=".1%", title="robust accuracy, mean over seeds"),
        alt.Tooltip("best:N", title="the best network was trained on"), alt.Tooltip("seeds:Q", title="seeds"),
    ]  # fmt: skip
    y = share_y("accuracy", "robust accuracy")
    base = alt.Chart(drawn).encode(x=x, y=y, color=color, opacity=faded(chosen))
    band = alt.Chart(numbers).mark_area().encode(
        x=x, y=share_y("attainable_accuracy", "robust accuracy"), y2="certified_accuracy:Q", color=color,
        opacity=faded(chosen, 0.15, 0.02),
    )  # fmt: skip
    lines = base.mark_line(strokeWidth=2).encode(strokeDash=dash)
    points = base.mark_point(filled=True, size=30).encode(tooltip=tooltip)
    title = heading(f"the bracket, d = {dim}, m = {width:,}", ["between the edges: not known"])
    return alt.layer(band, lines, points.add_params(chosen)).properties(**PANEL, title=title)


def _map(numbers: pl.DataFrame, width: int, dim: int) -> Chart:
    """Certified robust error over C0 and budget; each cell reaches halfway to its neighbours."""
    places = {C0: own["epsilon_sqrt_d"].sort().to_list() for (C0,), own in numbers.group_by("C0")}
    upright = [edges(place, places[C0]) for C0, place in numbers.select("C0", "epsilon_sqrt_d").iter_rows()]
    cells = numbers.with_columns(
        pl.Series("bottom", [low for low, _ in upright]), pl.Series("top", [high for _, high in upright])
    )
    scale = log_scale([extent(cells["bottom"])[0], extent(cells["top"])[1]])
    order = [f"{C0:g}" for C0 in sorted(set(numbers["C0"].to_list()))]
    legend = alt.Legend(orient="bottom", values=QUARTERS, format=".2~f", gradientLength=180)
    color = alt.Color("certified_error:Q", title="certified robust error", legend=legend).scale(
        domain=[0, 1], scheme="viridis"
    )
    tooltip = [
        alt.Tooltip("curve:N", title="C0"), alt.Tooltip("epsilon:Q", format=".3g", title="budget ε"),
        alt.Tooltip("certified_error:Q", format=".1%", title="every network is wrong about at least"),
        alt.Tooltip("certified_single:Q", format=".1%", title=_SINGLY),
    ]  # fmt: skip
    chart = alt.Chart(cells).mark_rect(stroke=THEORY, strokeWidth=0.5).encode(
        x=alt.X("curve:N", title="C0", sort=order, axis=alt.Axis(labelAngle=0)),
        y=alt.Y("bottom:Q", title="budget ε √d", scale=scale, axis=alt.Axis(format="~g", grid=False, tickCount=6)),
        y2="top:Q", color=color, tooltip=tooltip,
    )  # fmt: skip
    title = heading(f"proved for every network, d = {dim}, m = {width:,}", ["share of points it is wrong about"])
    return alt.layer(chart).properties(**PANEL, title=title)


def _caption(rows: pl.DataFrame, numbers: pl.DataFrame) -> str:
    first, seeds = rows.row(0, named=True), rows["seed"].n_unique()
    broken = int(rows["violations"].sum())
    sound = f"{broken} networks contradict a certificate." if broken else "No network contradicts a certificate."
    open_ = []
    for level in LEVELS:
        factors = [
            ratio
            for _, own in rows.group_by("line", maintain_order=True)
            for ratio in ratios(
                own, below="attainable_accuracy", above="certified_accuracy", along="epsilon", level=level
            )
        ]
        if factors:
            open_.append(f"{min(factors):.2f} to {max(factors):.2f} at {level:.0%}")
    width = f" The edges are apart, in ε, by factors {'; '.join(open_)}." if open_ else ""
    return (
        f"{first['data']} {first['classes'].replace('/', ' against ')}, inputs of norm 1, no biases, "
        f"{listed([f'{count:,}' for count in rows['points'].to_list()])} test images, "
        f"{counted(seeds, 'seed')} (means). Dashed: what the certificates leave, the largest of those for single "
        "points and of joint ones for groups of 2, 4, 8 and all points; no network of the ball does better. Solid: the "
        "best of three networks trained adversarially at each budget, on both classes or on one alone, under PGD (100 "
        "steps, five starts) and at the points of the certificates, in the same ball without a pixel box; an attack "
        f"only bounds robust accuracy from above. {sound}{width}"
    )
