"""Figure 4: robust accuracy over two axes under three attacks, its 50 % contour, and whether the curves collapse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import altair as alt
import polars as pl

from gradflip.drawing import (
    HINT,
    PANEL,
    QUARTERS,
    Chart,
    Figure,
    around,
    colored,
    faded,
    heading,
    log_scale,
    log_x,
    selection,
    ticks,
)
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._group import COMPARED, MAIN
from gradflip.experiments._lattice import edges
from gradflip.experiments._settings import Settings
from gradflip.experiments.adversarial._accuracy import (
    SURVIVING,
    accuracy_tooltip,
    averages,
    data_words,
    sample_words,
    shares,
)
from gradflip.experiments.adversarial._claims import ATTACK_NAMES
from gradflip.experiments.adversarial._half_lost import AXES, Axes, Contour, half_lost
from gradflip.experiments.adversarial._protocols_figure import protocol_caption, protocol_numbers, protocol_panels


def dim_budget_figure(
    experiment: Experiment, rows: pl.DataFrame, observations: pl.DataFrame, settings: Settings
) -> Figure:
    """Draw heat maps of robust accuracy over dimension and budget, and the slice that compares protocols.

    Args:
        experiment: The experiment.
        rows: Its rows, at least one; `part` marks those of the slice.
        observations: Not drawn.
        settings: The settings of the run.

    Returns:
        A figure.
    """
    return _heat_maps(experiment, rows, settings, AXES["dim-budget"])


def width_radius_figure(
    experiment: Experiment, rows: pl.DataFrame, observations: pl.DataFrame, settings: Settings
) -> Figure:
    """Draw heat maps of robust accuracy over width and radius.

    Args:
        experiment: The experiment.
        rows: Its rows, at least one.
        observations: Not drawn.
        settings: The settings of the run.

    Returns:
        A figure.
    """
    return _heat_maps(experiment, rows, settings, AXES["width-radius"])


def _heat_maps(experiment: Experiment, rows: pl.DataFrame, settings: Settings, axes: Axes) -> Figure:
    """A heat map per attack, the curves of one of them, and the slice if protocols are compared."""
    slices = protocol_numbers(rows.filter(part=COMPARED) if "part" in rows.columns else rows.clear())
    rows = rows.filter(part=MAIN).drop("part") if "part" in rows.columns else rows
    cells = pl.concat([averages(rows, _by(axes), attack) for attack in ATTACK_NAMES])
    planned = _planned(experiment, axes, settings)
    cells = _with_edges(cells.with_columns(pl.lit("cell").alias("what")), planned, axes)
    contours = {attack: half_lost(rows, axes, attack) for attack in ATTACK_NAMES}
    drawn = [attack for attack in ATTACK_NAMES if len(cells.filter(attack=attack))]
    domains = _domains(cells)
    panels: list[Chart] = [
        _heat_map(cells.filter(attack=attack), axes, contours[attack], domains, attack, legend=attack == drawn[0])
        for attack in drawn
    ]
    panels += [_curves(cells.filter(attack="robust_pgd"), axes), *protocol_panels(slices)]
    parts = [cells.drop("left", "right", "bottom", "top"), _contour_numbers(contours, axes), slices]
    numbers = pl.concat(parts, how="diagonal_relaxed").select("what", pl.exclude("what"))
    caption = _caption(rows, axes, contours, planned, drawn, settings)
    caption = " ".join([caption, *protocol_caption(slices)])
    return Figure(experiment.name, tuple(panels), numbers, caption, hint=HINT)


def _by(axes: Axes) -> list[str]:
    return [axes.over, axes.along, *(["C0"] if axes.along == "radius" else [])]


def _planned(experiment: Experiment, axes: Axes, settings: Settings) -> dict[float, list[float]]:
    """The cells of the preset: places of the vertical axis by places of the horizontal one."""
    places: dict[float, set[float]] = {}
    for group in experiment.groups[settings.preset]:
        if group.part != MAIN:
            continue
        size, width, runs = (group.parameters[name] for name in ("size", "width", "runs"))
        x = settings.data_set.dim(size) if axes.over == "dim" else width
        for epsilon, C0 in runs:
            y = epsilon if axes.along == "epsilon" else C0 / math.sqrt(width)
            if y is not None:
                places.setdefault(float(x), set()).add(y)
    return {x: sorted(places[x]) for x in sorted(places)}


def _with_edges(cells: pl.DataFrame, planned: Mapping[float, Sequence[float]], axes: Axes) -> pl.DataFrame:
    pairs = cells.select(axes.over, axes.along).rows()
    across = [edges(x, list(planned)) for x, _ in pairs]
    upright = [edges(y, planned[x]) for x, y in pairs]
    return cells.with_columns(
        pl.Series("left", [low for low, _ in across], dtype=pl.Float64),
        pl.Series("right", [high for _, high in across], dtype=pl.Float64),
        pl.Series("bottom", [low for low, _ in upright], dtype=pl.Float64),
        pl.Series("top", [high for _, high in upright], dtype=pl.Float64),
    )


def _domains(cells: pl.DataFrame) -> tuple[list[float], list[float]]:
    """The ranges of both axes, those of all attacks."""
    ends = cells.select(pl.min("left"), pl.max("right"), pl.min("bottom"), pl.max("top")).row(0)
    return [ends[0], ends[1]], [ends[2], ends[3]]


def _contour_numbers(contours: Mapping[str, Contour], axes: Axes) -> pl.DataFrame:
    """A row per point of a contour: the mean over seeds, the lowest and the highest of them."""
    schema = {"what": pl.String, "attack": pl.String, axes.over: pl.Int64, axes.along: pl.Float64}
    schema |= {"robust": pl.Float64, "seeds": pl.Int64, "lowest": pl.Float64, "highest": pl.Float64}
    lines = [
        ("contour", attack, int(x), sum(own) / len(own), 0.5, len(own), min(own), max(own))
        for attack, contour in contours.items()
        for x, own in contour.places.items()
    ]
    return pl.DataFrame(lines, schema=schema, orient="row")


def _heat_map(
    cells: pl.DataFrame,
    axes: Axes,
    contour: Contour,
    domains: tuple[list[float], list[float]],
    attack: str,
    *,
    legend: bool,
) -> Chart:
    x_domain, y_domain = domains
    values = sorted(set(cells[axes.over].to_list()))

    def x(column: str) -> alt.X:
        return log_x(column, axes.over_title, x_domain, values)

    def y(column: str) -> alt.Y:
        axis = alt.Axis(values=ticks(y_domain), format="~g", grid=False)
        return alt.Y(f"{column}:Q", title=axes.along_title, scale=log_scale(y_domain), axis=axis)

    # thin lines around cells: the darkest colour would vanish on a dark page, the lightest on a white one
    rectangles = alt.Chart(cells).mark_rect(stroke="#7a7a7a", strokeWidth=0.6).encode(
        x=x("left"), x2="right:Q", y=y("bottom"), y2="top:Q", color=_brightness(legend=legend),
        tooltip=_cell_tooltip(axes, with_C0="C0" in cells.columns),
    )  # fmt: skip
    layers: list[alt.Chart] = [rectangles]
    if contour.constant is not None:
        ends = pl.DataFrame({"x": x_domain, "y": [contour.constant / math.sqrt(end) for end in x_domain]})
        layers += _theory(alt.Chart(ends).encode(x=x("x"), y=y("y")))
    if contour.places:
        points = alt.Chart(_contour_numbers({attack: contour}, axes)).encode(x=x(axes.over))
        layers += _contour_marks(points, y(axes.along), y("lowest"), axes)
    title = heading(ATTACK_NAMES[attack], _words(contour, axes))
    return alt.layer(*layers).properties(**PANEL, title=title)


def _brightness(*, legend: bool) -> alt.Color:
    """The colour of a cell, its robust accuracy."""
    bar = alt.Legend(orient="bottom", titleAnchor="start", titleLimit=260, gradientLength=220, gradientThickness=9,
                     format=".2~f", values=QUARTERS)  # fmt: skip
    color = alt.Color("robust:Q", title=SURVIVING, legend=bar if legend else None)
    return color.scale(scheme="viridis", domain=[0, 1])


def _cell_tooltip(axes: Axes, *, with_C0: bool) -> list[alt.Tooltip]:
    return [
        alt.Tooltip(f"{axes.over}:Q", title=axes.letter),
        alt.Tooltip(f"{axes.along}:Q", title=axes.symbol, format=".4g"),
        *([alt.Tooltip("C0:Q", format=".4g")] if with_C0 else []),
        *accuracy_tooltip("")[1:],
    ]


def _theory(curve: alt.Chart) -> list[alt.Chart]:
    """The law of the theorem, dashed on a dark line so that it stands out from every colour."""
    return [
        curve.mark_line(color="black", strokeWidth=4, opacity=0.55, clip=True),
        curve.mark_line(color="#ff7f2a", strokeWidth=2, strokeDash=[6, 4], clip=True),
    ]


def _contour_marks(points: alt.Chart, mean: alt.Y, lowest: alt.Y, axes: Axes) -> list[alt.Chart]:
    """The contour in white on black: a line through the means, a bar over the seeds at each."""
    tooltip = [
        alt.Tooltip(f"{axes.over}:Q", title=axes.letter),
        alt.Tooltip(f"{axes.along}:Q", title=f"{axes.symbol} at 50 %, mean over seeds", format=".4g"),
        alt.Tooltip("lowest:Q", title="lowest seed", format=".4g"),
        alt.Tooltip("highest:Q", title="highest seed", format=".4g"),
        alt.Tooltip("seeds:Q", title="seeds"),
    ]
    return [
        points.mark_line(color="black", strokeWidth=3.5).encode(y=mean),
        points.mark_rule(color="black", strokeWidth=4).encode(y=lowest, y2="highest:Q"),
        points.mark_line(color="white", strokeWidth=1.5).encode(y=mean),
        points.mark_rule(color="white", strokeWidth=2).encode(y=lowest, y2="highest:Q"),
        points.mark_point(filled=True, color="white", stroke="black", strokeWidth=1, size=44, opacity=1).encode(
            y=mean, tooltip=tooltip
        ),
    ]


def _words(contour: Contour, axes: Axes) -> list[str]:
    """The subtitle of a heat map: its exponent and the constant of the dashed line."""
    interval = contour.exponent
    if interval is None:
        where = f"at one {axes.letter} only" if contour.places else f"at no {axes.letter}"
        return [f"crosses 50 % for every seed {where}:", "no curve is fitted"]
    number = f"50 %: {axes.symbol} ~ {axes.letter}^{interval.estimate:.3f}"
    ends = f" ({interval.low:.3f}, {interval.high:.3f})" if math.isfinite(interval.low) else ", one seed"
    return [(number + ends).replace("-", "−"), f"dashed: c / √{axes.letter}, c = {contour.constant:.3g}"]


def _curves(cells: pl.DataFrame, axes: Axes) -> Chart:
    """Robust accuracy against the scaled axis, over which the curves collapse in theory."""
    scaled = pl.col("C0") if axes.along == "radius" else pl.col(axes.along) * pl.col(axes.over).sqrt()
    drawn = cells.with_columns(pl.col(axes.over).cast(pl.String).alias("curve"), scaled.alias("scaled"))
    names = [str(value) for value in sorted(set(cells[axes.over].to_list()))]
    color = colored(names, axes.over_title, len(names) if len(names) < 5 else -(-len(names) // 2))
    x = log_x("scaled", axes.scaled, around(drawn["scaled"]))
    chosen = selection(axes.over)
    base = alt.Chart(drawn).encode(x=x, color=color, opacity=faded(chosen))
    tooltip = accuracy_tooltip(
        axes.letter,
        alt.Tooltip(f"{axes.along}:Q", title=axes.symbol, format=".4g"),
        alt.Tooltip("scaled:Q", title=axes.scaled, format=".4g"),
    )
    band = base.mark_area().encode(y=shares("low"), y2="high:Q", opacity=faded(chosen, 0.15, 0.02))
    line = base.mark_line(strokeWidth=2).encode(y=shares("robust"))
    points = base.mark_point(filled=True, size=36).encode(y=shares("robust"), tooltip=tooltip).add_params(chosen)
    about = ["by the theory one curve", "bands: one standard deviation over seeds"]
    return alt.layer(band, line, points).properties(**PANEL, title=heading(f"PGD against {axes.scaled}", about))


def _caption(
    rows: pl.DataFrame,
    axes: Axes,
    contours: Mapping[str, Contour],
    planned: Mapping[float, Sequence[float]],
    drawn: Sequence[str],
    settings: Settings,
) -> str:
    """The caption: what varies, how many seeds and images, which interval, where cells are missing."""
    first = rows.row(0, named=True)
    held = f"C0 = {first['C0']:g} and m = {first['width']:,}" if axes.over == "dim" else f"d = {first['dim']}"
    held += f" and ε = {first['epsilon']:g}" if axes.along == "radius" else ""
    clipped = "" if "robust_ray" in drawn else ", pixels within [0, 1], so that there is no exact flip along the ray"
    left_out = sum(map(len, planned.values())) - len(rows.select(axes.over, axes.along).unique())
    lost = f" {left_out} of the cells failed." if left_out else ""
    return (
        f"Networks trained adversarially at {held}, each attacked at the ε it was trained against; "
        f"{data_words(rows, settings)}{clipped}. Colour: {sample_words(rows)}; where there is no colour nothing was "
        f"trained.{lost} {_contour_words(contours, planned, axes, drawn)}"
    )


def _contour_words(
    contours: Mapping[str, Contour], planned: Mapping[float, Sequence[float]], axes: Axes, drawn: Sequence[str]
) -> str:
    if not any(contours[attack].places for attack in drawn):
        return f"At no {axes.letter} does every seed cross one half among its cells: there is no contour."
    return (
        f"White points and bars: where it is one half, linear in log {axes.symbol} between cells, mean and range over "
        f"seeds, at each {axes.letter} where every seed crosses it among its cells"
        f"{_missing(contours, planned, axes, drawn)}. Exponents are least squares on the log scale, their intervals "
        "95 % bootstraps over seeds; the dashed line has the exponent −1/2, its c is fitted to the white points."
    )


def _missing(
    contours: Mapping[str, Contour], planned: Mapping[float, Sequence[float]], axes: Axes, drawn: Sequence[str]
) -> str:
    """The places at which an attack has no point of its contour."""
    gaps = []
    for attack in drawn:
        without = [f"{x:g}" for x in planned if x not in contours[attack].places]
        if without:
            gaps.append(f"{ATTACK_NAMES[attack]}: not at {axes.letter} = {', '.join(without)}")
    return f" ({'; '.join(gaps)})" if gaps else ""
