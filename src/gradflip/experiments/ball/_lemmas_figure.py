"""The steps of the proof against d and m: what was measured, what is extreme over the ball, what the lemmas say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt
import polars as pl

from gradflip.drawing import COLORS, HINT, THEORY, Drawn, Figure, heading, listed, log_axis, powers, ticks

_AXES = {"dim": "input dimension d", "width": "width m"}


@dataclass(frozen=True)
class _Panel:
    """One panel: curves of means, bands over seeds, the theory dashed.

    Attributes:
        name: Of the selection by its legend.
        over: The column of the horizontal axis.
        quantity: Of the vertical axis.
        title: Of the panel.
        about: A line below it.
        numbers: `curve`, the axis, `mean low high seeds`.
        theory: `law`, the axis, `mean`: a dashed line each.
    """

    name: str
    over: str
    quantity: str
    title: str
    about: str
    numbers: pl.DataFrame
    theory: pl.DataFrame


def lemmas_figure(name: str, rows: pl.DataFrame) -> Figure:
    """A panel per lemma; of Lemma 4.3 one at inputs fixed beforehand and one at perturbed ones.

    Args:
        name: Of the experiment.
        rows: Of the measure `_ball_lemmas`.

    Returns:
        A figure.
    """
    found = [_rise(rows), _gradients(rows), _differences(rows), _fixed(rows), _moved(rows)]
    panels = [panel for panel in found if panel is not None]
    numbers = pl.concat(
        [
            panel.numbers.select(
                pl.lit(panel.title).alias("panel"), "curve", pl.lit(panel.over).alias("over"),
                pl.col(panel.over).cast(pl.Float64).alias("position"), "mean", "low", "high", "seeds",
            )
            for panel in panels
        ]
    )  # fmt: skip
    return Figure(name, tuple(_drawn(panel) for panel in panels), numbers, _caption(rows), hint=HINT)


def _rise(rows: pl.DataFrame) -> _Panel | None:
    own = _over(rows, "ball", "dim")
    if not len(own):
        return None
    numbers = _means(own, "rise", "C0 = {}", "dim")
    laws = [(f"C0/2 = {C0 / 2:g}", C0 / 2) for C0 in sorted(set(own["C0"].to_list()))]
    theory = _lines("dim", own["dim"].to_list(), {law: (half, 0.0) for law, half in laws})
    largest = float(rows["rise_share"].max())  # type: ignore[arg-type]
    return _Panel(
        "rise", "dim", "sup |f| - |f(x; W0)| over the ball", "Lemma 4.1: what the ball adds to |f|",
        f"exact; dashed: C0/2; at no input above {largest:.2f} C0", numbers, theory,
    )  # fmt: skip


def _gradients(rows: pl.DataFrame) -> _Panel | None:
    parts = [
        _means(_over(rows, "start", "dim"), "gradient0", "at W0", "dim"),
        _means(_largest_C0(_over(rows, "trained", "dim")), "gradient", "trained, C0 = {}", "dim"),
        _means(_over(rows, "ball", "dim"), "minimum", "least, C0 = {}", "dim"),
    ]
    numbers = pl.concat(parts).filter(pl.col("mean") > 0)
    if not len(numbers):
        return None
    theory = _lines("dim", numbers["dim"].to_list(), {"√(d/2)": (math.sqrt(0.5), 0.5)})
    return _Panel(
        "gradient", "dim", "gradient norm |g|", "Lemma 4.2: the gradient norm", "dashed: √(d/2); least: over the ball",
        numbers, theory,
    )  # fmt: skip


def _differences(rows: pl.DataFrame) -> _Panel | None:
    parts = [
        _means(_over(rows, "start", "dim"), "difference0", "at W0", "dim"),
        _means(_over(rows, "trained", "dim"), "difference", "trained, C0 = {}", "dim"),
    ]
    numbers = pl.concat(parts)
    if not len(numbers):
        return None
    theory = _lines("dim", numbers["dim"].to_list(), {"√(d/2)": (math.sqrt(0.5), 0.5)})
    constant = rows["constant"].drop_nulls()[0]
    return _Panel(
        "difference", "dim", "|g(x + δ) - g(x)|", "Lemma 4.4: how much the gradient changes",
        f"|δ| ≤ {constant:g}/√d, most found; dashed: √(d/2)", numbers, theory,
    )  # fmt: skip


def _fixed(rows: pl.DataFrame) -> _Panel | None:
    own = rows.filter(pl.col("part") == "fixed")
    if not len(own):
        return None
    gamma = sorted(set(own["gamma"].to_list()))[0]
    own = own.filter(pl.col("gamma") == gamma)
    numbers = _means(own, "neurons", "C0 = {}", "width")
    laws = pl.Series("law", [f"C0 = {C0:g}" for C0 in own["C0"].to_list()])  # in the colours of the curves
    theory = own.select(laws, "width", pl.col("bound").alias("mean")).unique()
    return _Panel(
        "fixed", "width", "neurons that can change sign", "Lemma 4.3 at x", f"dashed: the bound, γ = {gamma:g}",
        numbers, theory.sort("law", "width"),
    )  # fmt: skip


def _moved(rows: pl.DataFrame) -> _Panel | None:
    own = rows.filter(pl.col("part") == "moved")
    if not len(own):
        return None
    # the dimension with the most widths, the length in the middle
    dim = own.group_by("dim").agg(pl.n_unique("width")).sort("width", "dim")["dim"][-1]
    constants = sorted(set(own["constant"].to_list()))
    constant = constants[len(constants) // 2]
    own = own.filter(pl.col("dim") == dim, pl.col("constant") == constant)
    own = own.with_columns((pl.col("neurons") / pl.col("bound")).alias("of_bound"))
    numbers = _means(own.with_columns(pl.col("line").alias("named")), "of_bound", None, "width")
    theory = _lines("width", own["width"].to_list(), {"the bound": (1.0, 0.0)})
    return _Panel(
        "moved", "width", "neurons that can change sign / bound", "Lemma 4.3 at x + δ",
        f"|δ| = {constant:g}/√d, d = {dim}; dashed: the bound, γ = {own['gamma'][0]:g}", numbers, theory,
    )  # fmt: skip


def _over(rows: pl.DataFrame, part: str, over: str) -> pl.DataFrame:
    if "over" not in rows.columns:
        return rows.clear()
    return rows.filter(pl.col("part") == part, pl.col("over") == over)


def _largest_C0(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("C0") == pl.col("C0").max())


def _means(rows: pl.DataFrame, column: str, curve: str | None, over: str) -> pl.DataFrame:
    """Mean and standard deviation over seeds by curve, curves in the order of C0."""
    schema = {"curve": pl.String, over: pl.Int64, "mean": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    if not len(rows):
        return pl.DataFrame(schema=schema | {"seeds": pl.Int64})
    if curve is not None:
        names = [curve.replace("{}", f"{C0:g}") if C0 is not None else curve for C0 in rows["C0"].to_list()]
        rows = rows.with_columns(pl.Series("named", names)).sort("C0", over)
    mean, std = pl.col(column).mean(), pl.col(column).std().fill_null(0.0)
    spread = {"mean": mean, "low": mean - std, "high": mean + std, "seeds": pl.len().cast(pl.Int64)}
    found = rows.group_by("named", over, maintain_order=True).agg(**spread)
    return found.rename({"named": "curve"}).with_columns(pl.col(over).cast(pl.Int64)).drop_nulls("mean")


def _lines(over: str, places: Sequence[int], laws: Mapping[str, tuple[float, float]]) -> pl.DataFrame:
    """Powers c x^e between the ends of the axis."""
    ends = [min(places), max(places)]
    return pl.DataFrame(
        [(law, x, c * x**e) for law, (c, e) in laws.items() for x in ends],
        schema={"law": pl.String, over: pl.Int64, "mean": pl.Float64},
        orient="row",
    )


def _drawn(panel: _Panel) -> Drawn:
    numbers, over = panel.numbers, panel.over
    curves = list(dict.fromkeys(numbers["curve"].to_list()))
    places = sorted({*numbers[over].to_list(), *panel.theory[over].to_list()})
    domain = [places[0] / 1.15, places[-1] * 1.15]
    values: list[float] = [*places] if len(places) < 7 else [*places[::2]]
    axis = log_axis(powers(*domain) if over == "width" and len(places) > 4 else values, grid=False)
    x = alt.X(f"{over}:Q", title=_AXES[over], scale=alt.Scale(type="log", domain=domain, nice=False), axis=axis)
    floor = float(min(numbers["mean"].min(), panel.theory["mean"].min())) / 1.3  # type: ignore[type-var, arg-type]
    top = float(max(numbers["high"].max(), panel.theory["mean"].max())) * 1.15  # type: ignore[type-var, arg-type]
    scale = alt.Scale(type="log", domain=[floor, top], nice=False)
    y_axis = alt.Axis(values=ticks([floor, top]), format="~g", gridOpacity=0.4)

    def y(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", title=panel.quantity, scale=scale, axis=y_axis)

    legend = alt.Legend(orient="bottom", columns=2 if len(curves) > 3 or len(max(curves, key=len)) > 12 else 3,
                        symbolType="circle", symbolOpacity=1, labelLimit=230)  # fmt: skip
    color = alt.Color("curve:N", title="", sort=curves, legend=legend).scale(
        domain=curves, range=[COLORS[i % len(COLORS)] for i in range(len(curves))]
    )
    drawn = numbers.with_columns(pl.max_horizontal("low", pl.lit(floor)).alias("bottom"))
    chosen = alt.selection_point(name=f"chosen_{panel.name}", fields=["curve"], bind="legend")
    faint = alt.when(chosen).then(alt.value(1)).otherwise(alt.value(0.1))
    tooltip = [
        alt.Tooltip("curve:N", title="curve"),
        alt.Tooltip(f"{over}:Q", title=_AXES[over].split()[-1], format=","),
        alt.Tooltip("mean:Q", format=".4g"),
        alt.Tooltip("low:Q", format=".4g", title="one standard deviation below"),
        alt.Tooltip("high:Q", format=".4g", title="above"),
        alt.Tooltip("seeds:Q", title="seeds"),
    ]
    base = alt.Chart(drawn).encode(x=x, color=color, opacity=faint)
    band = alt.Chart(drawn).mark_area(clip=True).encode(
        x=x, y=y("bottom"), y2="high:Q", color=color,
        opacity=alt.when(chosen).then(alt.value(0.18)).otherwise(alt.value(0.02)),
    )  # fmt: skip
    laws = alt.Chart(panel.theory.rename({"law": "curve"})).mark_line(strokeDash=[6, 4], color=THEORY, strokeWidth=1.5)
    if set(panel.theory["law"].to_list()) <= set(curves):  # a law for each curve
        laws = laws.encode(color=color)
    return alt.layer(
        band,
        base.mark_line(strokeWidth=2, clip=True).encode(y=y("mean")),
        laws.encode(x=x, y=y("mean"), detail="curve:N"),
        base.mark_point(filled=True, size=40, clip=True).encode(y=y("mean"), tooltip=tooltip).add_params(chosen),
    ).properties(width=250, height=220, title=heading(panel.title, panel.about))


def _caption(rows: pl.DataFrame) -> str:
    parts = []
    own = _over(rows, "ball", "dim")
    if len(own):
        seeds = own["seed"].n_unique()
        parts.append(
            f"relu networks without biases, m = {listed(own['width'].to_list())} in the panels over d, mean over "
            f"{seeds} seed{'s' if seeds > 1 else ''} of means over inputs uniform on the sphere (trained networks: "
            "over test images), bands one standard deviation. The supremum of |f| over the ball is exact. The least "
            "gradient norm is that of a network in the ball, and none has one lower by more than "
            f"{_tightness(own)} of the fall from W0; where it is 0 nothing is drawn. Lemma 4.4 is a supremum over δ "
            "that was searched: what is drawn bounds it from below."
        )
    counted = rows.filter(pl.col("part") == "fixed")
    if len(counted):
        parts.append(
            f"Lemma 4.3 at x: mean of {_fewest(counted)} draws; its bound holds with probability 1 - γ for an input "
            "fixed before W0 is drawn."
        )
    moved = rows.filter(pl.col("part") == "moved")
    if len(moved):
        parts.append(
            f"At x + δ, {_fewest(moved)} initialisations each: with δ drawn apart from W0, along the gradient, and "
            "chosen from W0 to bring as many neurons as it can to where they change sign."
        )
    return " ".join(parts)


def _fewest(rows: pl.DataFrame) -> str:
    return f"{int(min(rows['draws'].to_list())):,}"


def _tightness(rows: pl.DataFrame) -> str:
    """By what share of the drop the bracket of the least gradient is open, at most."""
    own = rows.drop_nulls("drop")
    if not len(own):
        return "all"
    gaps = (own["minimum"] - own["minimum_low"]) / own["drop"]
    return f"{100 * float(gaps.max()):.1g} %"  # type: ignore[arg-type]
