"""The slice of Figure 4 that compares protocols: the effect of the pixel box, the stop rule, the projection."""

from __future__ import annotations

import altair as alt
import polars as pl

from gradflip.drawing import (
    COLORS,
    PANEL,
    THEORY,
    Chart,
    around,
    colored,
    counted,
    faded,
    heading,
    log_x,
    selection,
)
from gradflip.experiments.adversarial._accuracy import OUTSIDE, accuracy_tooltip, averages, shares
from gradflip.experiments.adversarial._cells import VARIANTS

_PROTOCOLS = ("text", "published")
_COLORS = (THEORY, *COLORS[:3])  # the protocol itself, then each of its three effects replaced
_APART = 1.02  # curves that would coincide are drawn side by side


def protocol_numbers(rows: pl.DataFrame) -> pl.DataFrame:
    """Robust accuracy under PGD by protocol and budget.

    Args:
        rows: Rows of the slice.

    Returns:
        A row per point, with `outside`: whether the mean deviation is above C0.
    """
    if not len(rows):
        return pl.DataFrame(schema={"what": pl.String})
    means = averages(rows, ["protocol", "dim", "width", "C0", "epsilon"], "robust_pgd")
    return means.with_columns(
        pl.lit("protocol").alias("what"), (pl.col("scaled_deviation") > OUTSIDE * pl.col("C0")).alias("outside")
    )


def protocol_panels(numbers: pl.DataFrame) -> list[Chart]:
    """Draw a panel per protocol: the protocol itself, and with each of three effects taken from the other.

    Args:
        numbers: As `protocol_numbers` gives them.

    Returns:
        At most two panels.
    """
    if not len(numbers):
        return []
    parts = {name: numbers.filter(pl.col("protocol").str.starts_with(name)) for name in _PROTOCOLS}
    domain = around(numbers["epsilon"].to_list())
    return [_panel(part, name, domain) for name, part in parts.items() if len(part)]


def _panel(numbers: pl.DataFrame, protocol: str, domain: list[float]) -> Chart:
    names = [name for name in VARIANTS if name.startswith(protocol)]
    apart = pl.col("protocol").replace_strict({name: _APART ** (k - 1.5) for k, name in enumerate(names)})
    drawn = numbers.with_columns(pl.col("protocol").alias("curve"), (pl.col("epsilon") * apart).alias("place"))
    color = colored(names, "", columns=2, colors=_COLORS)
    x = log_x("place", "budget ε", domain)
    chosen = selection(protocol)
    tooltip = accuracy_tooltip(
        "protocol", alt.Tooltip("epsilon:Q", title="ε", format=".4g"),
        alt.Tooltip("scaled_deviation:Q", title="deviation, mean over seeds", format=".4g"), alt.Tooltip("C0:Q"),
    )  # fmt: skip

    def base(kept: pl.Expr) -> alt.Chart:
        chart: alt.Chart = alt.Chart(drawn.filter(kept)).encode(x=x, color=color, opacity=faded(chosen))
        return chart

    own, everything = pl.col("curve") == protocol, pl.lit(True)
    y = shares("robust")
    bars = base(everything).mark_rule(strokeWidth=1.2).encode(y=shares("low"), y2="high:Q")
    # curves may coincide: the protocol itself is broad and solid, the others are dashed on top of it
    solid = base(own).mark_line(strokeWidth=3.5).encode(y=y)
    dashed = base(~own).mark_line(strokeWidth=1.8, strokeDash=[5, 3]).encode(y=y)
    inside = base(~pl.col("outside")).mark_point(filled=True, size=40).encode(y=y, tooltip=tooltip)
    outside = base(pl.col("outside")).mark_point(filled=False, size=40, strokeWidth=1.8).encode(y=y, tooltip=tooltip)
    dim = numbers["dim"][0]
    title = heading(
        f"“{protocol}” and what makes it, d = {dim}",
        ["PGD; dashed: one of three effects at a time", "taken from the other protocol"],
    )
    return alt.layer(bars, solid, dashed, inside.add_params(chosen), outside).properties(**PANEL, title=title)


def protocol_caption(numbers: pl.DataFrame) -> list[str]:
    """The caption of the panels.

    Args:
        numbers: As `protocol_numbers` gives them.

    Returns:
        A sentence or more; none if there is no panel.
    """
    if not len(numbers):
        return []
    seeds, outside = numbers.select(pl.max("seeds"), pl.sum("outside")).row(0)
    return [
        f"Last panels: the slice d = {numbers['dim'][0]}, each network under PGD within the box it was trained in, "
        f"mean over {counted(seeds, 'seed')}, bars one standard deviation; points of one budget stand "
        "side by side. Grey and solid: the protocol as it is; dashed: with the pixel box [0, 1], the stop rule, or the "
        "time of the projection (after every step, or once an epoch after the network that is returned) of the other "
        "protocol. The published scripts differ in more: biases, images shrunk without antialiasing, examples attacked "
        "once an epoch, plain SGD.",
        f"Hollow: outside the ball, the mean deviation being above C0 ({outside} of {len(numbers)} points)."
        if outside
        else "Their mean deviation is at most C0 everywhere: none lies outside the ball.",
    ]
