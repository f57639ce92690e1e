"""Figure 1: the ball and its cone in a plane, the iterates of training, the invariants along a ray."""

from __future__ import annotations

import altair as alt
import polars as pl

from gradflip.drawing import (
    COLORS,
    HINT,
    PANEL,
    THEORY,
    Chart,
    Figure,
    colored,
    extent,
    faded,
    heading,
    linear_x,
    linear_y,
    log_y,
    power_x,
    selection,
    ticks,
)
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._settings import Settings
from gradflip.experiments.ball._claims import IN_BALL, IN_CONE, OUTSIDE

_WHERE = {IN_BALL: COLORS[0], IN_CONE: COLORS[2], OUTSIDE: COLORS[1]}
_QUANTITIES = {"gradient_norm": "|g|", "step": "s*", "perturbation": "s*|g|"}
_MULTIPLES = (0.25, 0.5, 0.75, 1.25, 1.5)  # of the last iterate in the ball; they lie in the cone, far from the ball
_END = 1.6  # the multiple of W0 up to which the cone is drawn
_LEGEND = alt.Legend(orient="bottom", columns=3, symbolType="circle", symbolOpacity=1)


def cone_figure(experiment: Experiment, rows: pl.DataFrame, observations: pl.DataFrame, settings: Settings) -> Figure:
    """Draw the plane from the origin, the ball enlarged, and the invariants along the ray of the last iterate.

    Args:
        experiment: The experiment.
        rows: Its rows, at least one.
        observations: The outline of the ball and the iterates, for each seed.
        settings: The settings of the run.

    Returns:
        A figure; the picture is that of the first seed.
    """
    seed = int(extent(rows["seed"])[0])
    own = observations.filter(pl.col("seed") == seed)
    ball = own.filter(pl.col("what") == "ball").sort("place").select("what", "place", "along", "across")
    iterates = _located(own.filter(pl.col("what") == "iterate").sort("steps"))
    multiples, wedge = _multiples(iterates), _wedge(ball)
    tallest = 1.15 * max(abs(end) for end in extent([*wedge["across"], *iterates["across"]]))
    panels = (
        _plane(
            "whole", (wedge, ball), (iterates, multiples), ([0.0, _END], [-tallest, tallest]),
            heading("the plane through 0, W0 and the last iterate", "dark: the ball; light: its cone"),
        ),
        _plane(
            "near", (wedge, ball), (iterates,), _near(ball, iterates),
            heading("the same near W0", f"C0 = {float(rows['C0'][0]):g}"),
        ),
        _invariants(rows),
    )  # fmt: skip
    numbers = pl.concat([wedge, ball, iterates, multiples], how="diagonal_relaxed")
    return Figure(experiment.name, panels, numbers, _caption(rows, iterates, seed), hint=HINT)


def _wedge(ball: pl.DataFrame) -> pl.DataFrame:
    """The section of the cone, from the origin to `_END`."""
    slopes = [t / s for s, t in ball.select("along", "across").iter_rows()]
    corners = [("cone", 0, 0.0, 0.0), ("cone", 1, _END, min(slopes) * _END), ("cone", 2, _END, max(slopes) * _END)]
    return pl.DataFrame(corners, schema=ball.schema, orient="row")


def _located(iterates: pl.DataFrame) -> pl.DataFrame:
    where = (
        pl.when(pl.col("in_ball")).then(pl.lit(IN_BALL)).when(pl.col("in_cone")).then(pl.lit(IN_CONE))
    ).otherwise(pl.lit(OUTSIDE))  # fmt: skip
    return iterates.select(
        "what", "place", "along", "across", "steps", pl.lit(1.0).alias("scale"), "outside", where.alias("curve")
    )


def _multiples(iterates: pl.DataFrame) -> pl.DataFrame:
    """The last iterate in the ball times c; nothing if it is W_0."""
    last = iterates.filter(pl.col("curve") == IN_BALL, pl.col("steps") > 0).tail(1)
    return pl.concat([
        iterates.clear(),
        *(
            last.with_columns(
                pl.lit("multiple").alias("what"), pl.col("along") * c, pl.col("across") * c, pl.lit(c).alias("scale"),
                pl.lit(IN_CONE).alias("curve"),
            )
            for c in _MULTIPLES
        ),
    ])  # fmt: skip


def _near(ball: pl.DataFrame, iterates: pl.DataFrame) -> tuple[list[float], list[float]]:
    """Ranges that contain the ball and the iterates, with some of the cone around them."""
    wide = 1.6 * max(abs(s - 1) for s in ball["along"].to_list())
    low, high = extent([*ball["across"], *iterates["across"]])
    margin = 0.08 * (high - low)
    return [1 - wide, 1 + wide], [low - margin, high + margin]


def _plane(
    name: str,
    areas: tuple[pl.DataFrame, pl.DataFrame],
    points: tuple[pl.DataFrame, ...],
    ranges: tuple[list[float], list[float]],
    title: alt.TitleParams,
) -> Chart:
    wedge, ball = areas
    x = linear_x("along", "multiple of W0", ranges[0])
    y = linear_y("across", "displacement, √m max |·|", ranges[1], count=6)
    tooltip = [
        alt.Tooltip("curve:N", title="where"),
        alt.Tooltip("steps:Q", title="steps of SGD", format=","),
        alt.Tooltip("scale:Q", title="times", format="~g"),
        alt.Tooltip("across:Q", title="displacement in the plane", format=".3g"),
        alt.Tooltip("outside:Q", title="share of W - W0 outside of the plane", format=".0%"),
    ]

    def filled(corners: pl.DataFrame, fill: str, opacity: float) -> alt.Chart:
        mark: alt.Chart = alt.Chart(corners).mark_line(
            interpolate="linear-closed", fill=fill, fillOpacity=opacity, stroke=fill, strokeWidth=1, clip=True
        )
        return mark.encode(x=x, y=y, order="place:Q")

    path = alt.Chart(points[0]).mark_line(color=THEORY, strokeWidth=1.2, clip=True)
    marks = alt.Chart(pl.concat(points)).mark_point(filled=True, size=46, clip=True, stroke="white", strokeWidth=0.5)
    chosen = selection(name)
    color = colored(list(_WHERE), "", colors=list(_WHERE.values()), legend=_LEGEND)
    layers = [
        filled(wedge, COLORS[2], 0.14),
        filled(ball, COLORS[0], 0.35),
        path.encode(x=x, y=y, order="steps:Q"),
        marks.encode(x=x, y=y, color=color, opacity=faded(chosen), tooltip=tooltip).add_params(chosen),
    ]
    return alt.layer(*layers).properties(**PANEL, title=title)


def _invariants(rows: pl.DataFrame) -> Chart:
    """Step, gradient norm and their product along the ray of the last iterate, means over seeds."""
    last = rows.filter(pl.col("steps") == pl.col("steps").max())
    means = last.group_by("scale", maintain_order=True).agg(pl.mean(name) for name in _QUANTITIES).sort("scale")
    names = list(_QUANTITIES.values())
    drawn = means.rename(_QUANTITIES).unpivot(on=names, index="scale", variable_name="curve", value_name="mean")
    drawn = drawn.drop_nulls("mean")
    x = power_x("scale", "scale c", [10.0**-3 / 1.5, 10.0**3 * 1.5])
    floor, top = drawn["mean"].min() or 1e-3, drawn["mean"].max() or 1e3  # also where all are zero or null
    domain = [float(floor) / 2, float(top) * 2]  # type: ignore[arg-type]
    y = log_y("mean", "mean over test images", domain, ticks(domain)[::2])
    color = colored(names, "", colors=COLORS[3:6], legend=_LEGEND)
    chosen = selection("invariants")
    tooltip = [
        alt.Tooltip("curve:N", title="quantity"),
        alt.Tooltip("scale:Q", title="c", format="~g"),
        alt.Tooltip("mean:Q", format=".6g", title="mean over test images and seeds"),
    ]
    base = alt.Chart(drawn).encode(x=x, y=y, color=color, opacity=faded(chosen))
    points = base.mark_point(filled=True, size=40).encode(tooltip=tooltip).add_params(chosen)
    off = float(rows.select(pl.max_horizontal(pl.max("step_off", "perturbation_off", "relative_off"))).item() or 0.0)
    about = f"c s*, s*|g| and ρ the same to {off:.0e} at every image"
    return alt.layer(base.mark_line(strokeWidth=2), points).properties(
        **PANEL, title=heading("the last iterate, times c", about)
    )


def _caption(rows: pl.DataFrame, iterates: pl.DataFrame, seed: int) -> str:
    first = rows.row(0, named=True)
    steps = [f"{count:,}" for count in iterates["steps"].to_list()]
    inside = int((iterates["curve"] == IN_BALL).sum())
    return (
        f"A relu network without biases, d = {first['dim']}, m = {first['width']:,}, C0 = {first['C0']:g}, trained by "
        f"SGD on images of norm 1 beyond its ball; iterates after {', '.join(steps)} steps (seed {seed}), {inside} of "
        "them in the ball. The ball's section by the plane is exact, an intersection of an ellipse per neuron, and its "
        "cone is what the origin sees of it; iterates before the last lie outside of the plane and are drawn where "
        "they project to, coloured by where they are. Green: multiples of the last iterate in the ball. Right: what "
        "flips the test images along the ray of the last iterate, as long in |x(s) - x| at every scale c."
    )
