"""The steps of the proof over d and m: measurements, extremes over the ball, the bounds of the lemmas."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt
import polars as pl

from gradflip.drawing import (
    DASHED,
    HINT,
    Chart,
    Figure,
    around,
    colored,
    counted,
    extent,
    faded,
    heading,
    listed,
    log_y,
    power_x,
    selection,
)
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._settings import Settings

_AXES = {"dim": "input dimension d", "width": "width m"}


@dataclass(frozen=True)
class _Panel:
    """One panel: curves of means, bands over seeds, the theory dashed.

    Attributes:
        name: The name of the selection by its legend.
        over: The column of the horizontal axis.
        quantity: The title of the vertical axis.
        title: The title of the panel.
        about: The line below the title.
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


def lemmas_figure(experiment: Experiment, rows: pl.DataFrame, observations: pl.DataFrame, settings: Settings) -> Figure:
    """Draw a panel per lemma; for Lemma 4.3 two, at inputs fixed beforehand and at perturbed ones.

    Args:
        experiment: The experiment.
        rows: Its rows.
        observations: Not drawn.
        settings: The settings of the run.

    Returns:
        A figure.
    """
    lemmas = [_rise(rows), _gradients(rows), _differences(rows), _fixed(rows), _moved(rows)]
    panels = [panel for panel in lemmas if panel is not None]
    numbers = pl.concat(
        [
            panel.numbers.select(
                pl.lit(panel.title).alias("panel"), "curve", pl.lit(panel.over).alias("over"),
                pl.col(panel.over).cast(pl.Float64).alias("position"), "mean", "low", "high", "seeds",
            )
            for panel in panels
        ]
    )  # fmt: skip
    return Figure(experiment.name, tuple(_drawn(panel) for panel in panels), numbers, _caption(rows), hint=HINT)


def _rise(rows: pl.DataFrame) -> _Panel | None:
    own = _over(rows, "ball", "dim")
    if not len(own):
        return None
    numbers = _means(own, "rise", "C0 = {}", "dim")
    laws = [(f"C0/2 = {C0 / 2:g}", C0 / 2) for C0 in sorted(set(own["C0"].to_list()))]
    theory = _lines("dim", own["dim"].to_list(), {law: (half, 0.0) for law, half in laws})
    largest = extent(rows["rise_share"])[1]
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
    means = rows.group_by("named", over, maintain_order=True).agg(**spread)
    return means.rename({"named": "curve"}).with_columns(pl.col(over).cast(pl.Int64)).drop_nulls("mean")


def _lines(over: str, places: Sequence[int], laws: Mapping[str, tuple[float, float]]) -> pl.DataFrame:
    """Powers c x^e between the ends of the axis."""
    ends = [min(places), max(places)]
    return pl.DataFrame(
        [(law, x, c * x**e) for law, (c, e) in laws.items() for x in ends],
        schema={"law": pl.String, over: pl.Int64, "mean": pl.Float64},
        orient="row",
    )


def _drawn(panel: _Panel) -> Chart:
    numbers, over = panel.numbers, panel.over
    curves = list(dict.fromkeys(numbers["curve"].to_list()))
    floor = min(extent(numbers["mean"])[0], extent(panel.theory["mean"])[0]) / 1.3
    top = max(extent(numbers["high"])[1], extent(panel.theory["mean"])[1]) * 1.15

    def y(column: str) -> alt.Y:
        return log_y(column, panel.quantity, [floor, top])

    x, chosen = _x(panel), selection(panel.name)
    columns = 2 if len(curves) > 3 or len(max(curves, key=len)) > 12 else 3
    legend = alt.Legend(orient="bottom", columns=columns, symbolType="circle", symbolOpacity=1, labelLimit=230)
    color = colored(curves, "", legend=legend)
    drawn = numbers.with_columns(pl.max_horizontal("low", pl.lit(floor)).alias("bottom"))
    base = alt.Chart(drawn).encode(x=x, color=color, opacity=faded(chosen))
    band = base.mark_area(clip=True).encode(y=y("bottom"), y2="high:Q", opacity=faded(chosen, 0.18, 0.02))
    laws = alt.Chart(panel.theory.rename({"law": "curve"})).mark_line(**DASHED)
    if set(panel.theory["law"].to_list()) <= set(curves):  # one law per curve
        laws = laws.encode(color=color)
    points = base.mark_point(filled=True, size=40, clip=True).encode(y=y("mean"), tooltip=_tooltip(over))
    return alt.layer(
        band,
        base.mark_line(strokeWidth=2, clip=True).encode(y=y("mean")),
        laws.encode(x=x, y=y("mean"), detail="curve:N"),
        points.add_params(chosen),
    ).properties(width=250, height=220, title=heading(panel.title, panel.about))


def _x(panel: _Panel) -> alt.X:
    """The axis of d or m: a tick at each place or at every second one, at powers of ten where there are many widths."""
    places = sorted({*panel.numbers[panel.over].to_list(), *panel.theory[panel.over].to_list()})
    values = places if len(places) < 7 else places[::2]
    many = panel.over == "width" and len(places) > 4
    return power_x(panel.over, _AXES[panel.over], around(places, 1.15), () if many else values)


def _tooltip(over: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip("curve:N", title="curve"),
        alt.Tooltip(f"{over}:Q", title=_AXES[over].split()[-1], format=","),
        alt.Tooltip("mean:Q", format=".4g"),
        alt.Tooltip("low:Q", format=".4g", title="one standard deviation below"),
        alt.Tooltip("high:Q", format=".4g", title="above"),
        alt.Tooltip("seeds:Q", title="seeds"),
    ]


def _caption(rows: pl.DataFrame) -> str:
    parts = []
    own = _over(rows, "ball", "dim")
    if len(own):
        seeds = own["seed"].n_unique()
        parts.append(
            f"relu networks without biases, m = {listed(own['width'].to_list())} in the panels over d, mean over "
            f"{counted(seeds, 'seed')} of means over inputs uniform on the sphere (trained networks: "
            "over test images), bands one standard deviation. The supremum of |f| over the ball is exact. The least "
            "gradient norm is that of a network in the ball, and none has one lower by more than "
            f"{_tightness(own)} of the fall from W0; where it is 0 nothing is drawn. Lemma 4.4 is a supremum over δ "
            "that was searched: what is drawn bounds it from below."
        )
    beforehand = rows.filter(pl.col("part") == "fixed")
    if len(beforehand):
        parts.append(
            f"Lemma 4.3 at x: mean of {_fewest(beforehand)} draws; its bound holds with probability 1 - γ for an input "
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
    """The largest width of the bracket of the least gradient, as a share of the drop."""
    own = rows.drop_nulls("drop")
    if not len(own):
        return "all"
    gaps = (own["minimum"] - own["minimum_low"]) / own["drop"]
    return f"{100 * float(gaps.max()):.1g} %"  # type: ignore[arg-type]
