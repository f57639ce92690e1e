"""What no network of the ball can do, beside the best one found: the bracket of Figure 4."""

from __future__ import annotations

import altair as alt
import polars as pl

from gradflip.claims import ratios
from gradflip.drawing import HINT, THEORY, Drawn, Figure, colored, listed
from gradflip.experiments._lattice import edges
from gradflip.experiments.adversarial._accuracy import QUARTERS, SIDE, log_x, titled

LEVELS = (0.5, 0.75)
_EDGES = {"certified_accuracy": "no network does better (proved)", "attainable_accuracy": "the best network found"}
_SINGLY = "certified one by one"


def certified_figure(name: str, rows: pl.DataFrame) -> Figure:
    """Two panels for each shape: the bracket by C0, and the certified robust error over C0 and budget.

    Args:
        name: Of the experiment.
        rows: Its rows, at least one.

    Returns:
        A figure.
    """
    numbers = _averages(rows)
    panels: list[Drawn] = []
    for width, dim in sorted(set(numbers.select("width", "dim").rows())):
        own = numbers.filter(width=width, dim=dim)
        panels.append(_bracket(own, width, dim, first=not panels))
    for width, dim in sorted(set(numbers.select("width", "dim").rows())):
        own = numbers.filter(width=width, dim=dim)
        if own["C0"].n_unique() > 1:
            panels.append(_map(own, width, dim))
    return Figure(name, tuple(panels), numbers, _caption(rows, numbers), hint=HINT)


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


def _bracket(numbers: pl.DataFrame, width: int, dim: int, *, first: bool) -> Drawn:
    constants = sorted(set(numbers["C0"].to_list()))
    drawn = numbers.unpivot(
        on=list(_EDGES), index=["curve", "C0", "epsilon", "epsilon_sqrt_d", "seeds", "best"], variable_name="edge",
        value_name="accuracy",
    ).with_columns(pl.col("edge").replace_strict(_EDGES))  # fmt: skip
    places = numbers["epsilon_sqrt_d"].to_list()
    x = log_x("epsilon_sqrt_d", "budget ε √d", [min(places) / 1.1, max(places) * 1.1])
    chosen = alt.selection_point(name=f"chosen_bracket_{width}_{dim}", fields=["curve"], bind="legend")
    faint = alt.when(chosen)
    color = colored([f"{C0:g}" for C0 in constants], "C0", columns=5)
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(gridOpacity=0.4, values=QUARTERS, format=".2~f")
    y = alt.Y("accuracy:Q", title="robust accuracy", scale=scale, axis=axis)
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
    base = alt.Chart(drawn).encode(x=x, color=color, opacity=faint.then(alt.value(1)).otherwise(alt.value(0.1)))
    band = alt.Chart(numbers).mark_area().encode(
        x=x, y=alt.Y("attainable_accuracy:Q", title="robust accuracy", scale=scale, axis=axis),
        y2="certified_accuracy:Q", color=color, opacity=faint.then(alt.value(0.15)).otherwise(alt.value(0.02)),
    )  # fmt: skip
    lines = base.mark_line(strokeWidth=2).encode(y=y, strokeDash=dash)
    points = base.mark_point(filled=True, size=30).encode(y=y, tooltip=tooltip)
    return alt.layer(band, lines, points.add_params(chosen)).properties(
        **SIDE, title=titled(f"the bracket, d = {dim}, m = {width:,}", "between the edges: not known")
    )


def _map(numbers: pl.DataFrame, width: int, dim: int) -> Drawn:
    """Certified robust error over C0 and budget; each cell reaches half-way to its neighbours."""
    places = {C0: own["epsilon_sqrt_d"].sort().to_list() for (C0,), own in numbers.group_by("C0")}
    upright = [edges(place, places[C0]) for C0, place in numbers.select("C0", "epsilon_sqrt_d").iter_rows()]
    cells = numbers.with_columns(
        pl.Series("bottom", [low for low, _ in upright]), pl.Series("top", [high for _, high in upright])
    )
    domain = [float(cells["bottom"].min()), float(cells["top"].max())]  # type: ignore[arg-type]
    y_scale = alt.Scale(type="log", domain=domain, nice=False)
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
        y=alt.Y("bottom:Q", title="budget ε √d", scale=y_scale, axis=alt.Axis(format="~g", grid=False, tickCount=6)),
        y2="top:Q", color=color, tooltip=tooltip,
    )  # fmt: skip
    title = titled(f"proved for every network, d = {dim}, m = {width:,}", "share of points it is wrong about")
    return alt.layer(chart).properties(**SIDE, title=title)


def _caption(rows: pl.DataFrame, numbers: pl.DataFrame) -> str:
    first, seeds = rows.row(0, named=True), rows["seed"].n_unique()
    broken = int(rows["violations"].sum())
    sound = f"{broken} networks contradict a certificate." if broken else "No network contradicts a certificate."
    open_ = []
    for level in LEVELS:
        found = [
            ratio
            for _, own in rows.group_by("line", maintain_order=True)
            for ratio in ratios(
                own, below="attainable_accuracy", above="certified_accuracy", along="epsilon", level=level
            )
        ]
        if found:
            open_.append(f"{min(found):.2f} to {max(found):.2f} at {level:.0%}")
    width = f" The edges are apart, in ε, by factors {'; '.join(open_)}." if open_ else ""
    return (
        f"{first['data']} {first['classes'].replace('/', ' against ')}, inputs of norm 1, no biases, "
        f"{listed([f'{count:,}' for count in rows['points'].to_list()])} test images, {seeds} "
        f"seed{'s' if seeds > 1 else ''} (means). Dashed: what the certificates leave, the largest of those for single "
        "points and of joint ones for groups of 2, 4, 8 and all points; no network of the ball does better. Solid: the "
        "best of three networks trained adversarially at each budget, on both classes or on one alone, under PGD (100 "
        "steps, five starts) and at the points of the certificates, in the same ball without a pixel box; an attack "
        f"only bounds robust accuracy from above. {sound}{width}"
    )
