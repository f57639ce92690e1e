"""A figure: charts side by side, the numbers behind them, a caption; saved in every form that readers use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import altair as alt
import polars as pl

from gradflip._atomic import atomic_write
from gradflip._errors import FileError

Chart: TypeAlias = alt.LayerChart | alt.FacetChart
"""A chart of layers, as `alt.layer` is typed to return it."""
_ABREAST = 3  # panels per row in the saved files


@dataclass(frozen=True)
class Figure:
    """A drawn figure.

    Attributes:
        name: Of its files, such as `wang2022-fig2`.
        panels: One chart per quantity, for a page that lays them out itself.
        numbers: The plotted numbers, one row per point.
        caption: What varies, how many draws, which interval, and the fitted constants of the theory curves.
        curve: The column that tells its curves apart; a page that filters by it removes curves.
        at: For each panel the values that a page filters it by; empty if no panel is filtered.
        hint: How readers interact with the figure on a page.
    """

    name: str
    panels: tuple[Chart, ...]
    numbers: pl.DataFrame
    caption: str
    curve: str = ""
    at: tuple[Mapping[str, str], ...] = ()
    hint: str = ""

    def save(self, folder: Path) -> None:
        """Write PDF, SVG, PNG, Vega-Lite JSON and the plotted numbers as CSV.

        Args:
            folder: Where; created if it does not exist.

        Raises:
            FileError: If a file cannot be written.
        """
        import vl_convert as vlc

        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{folder} cannot be made: {error.strerror}.") from error
        spec = self._spec()
        text = json.dumps(spec)
        atomic_write(folder / f"{self.name}.vl.json", json.dumps(spec, indent=1).encode())
        drawn = vlc.vegalite_to_svg(text)  # once: the other forms are made of it, to the same pixels
        atomic_write(folder / f"{self.name}.svg", drawn.encode())
        atomic_write(folder / f"{self.name}.png", vlc.svg_to_png(drawn, scale=2))
        atomic_write(folder / f"{self.name}.pdf", vlc.svg_to_pdf(drawn))
        atomic_write(folder / f"{self.name}.csv", self.numbers.write_csv().encode())

    def _spec(self) -> dict[str, Any]:
        """All panels as one Vega-Lite specification."""
        together = alt.hconcat if len(self.panels) <= _ABREAST else partial(alt.concat, columns=_ABREAST)
        chart = together(*self.panels, spacing=24).configure_view(stroke=None)
        spec: dict[str, Any] = chart.to_dict(validate=False)  # the check against the schema is slow
        if len({json.dumps(domain) for domain in _color_domains(spec)}) > 1:
            spec["resolve"] = {"scale": {"color": "independent"}}  # or panels would share colours, and one legend
        return spec


def _color_domains(spec: Any) -> Iterator[Any]:
    """The domains of all colour encodings of a specification."""
    if isinstance(spec, list):
        for part in spec:
            yield from _color_domains(part)
    if isinstance(spec, dict):
        for name, part in spec.items():
            if name == "color" and isinstance(part, dict) and "field" in part:
                yield part.get("scale", {}).get("domain")
            else:
                yield from _color_domains(part)
