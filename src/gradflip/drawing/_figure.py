"""A figure: charts beside each other, the numbers behind them, a caption; written in every form a reader may want."""

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

Drawn: TypeAlias = alt.LayerChart | alt.FacetChart
"""A chart of layers, as `alt.layer` is typed to return it."""
_ABREAST = 3  # panels in a row of the figure's files


@dataclass(frozen=True)
class Figure:
    """A drawn figure.

    Attributes:
        name: Of its files, such as `wang2022-fig2`.
        panels: One chart per quantity, for a page that lays them out itself.
        numbers: What is plotted, one row per point.
        caption: What varies, how many draws, which interval, and the fitted constants of the theory curves.
        curve: The column that its curves are told apart by; a page that filters by it takes curves away.
        at: What each panel is about, for a page that filters by it; nothing if all are about everything.
        hint: What a reader can do with the figure on a page.
    """

    name: str
    panels: tuple[Drawn, ...]
    numbers: pl.DataFrame
    caption: str
    curve: str = ""
    at: tuple[Mapping[str, str], ...] = ()
    hint: str = ""

    def save(self, folder: Path) -> None:
        """Write PDF, SVG, PNG, Vega-Lite JSON and the plotted numbers as CSV.

        Args:
            folder: Where; it is made if need be.

        Raises:
            FileError: If a file cannot be written.
        """
        import vl_convert as vlc

        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{folder} cannot be made: {error.strerror}.") from error
        # to_dict checks the whole specification against the schema, which is slow and has nothing new to say here
        together = alt.hconcat if len(self.panels) <= _ABREAST else partial(alt.concat, columns=_ABREAST)
        spec = together(*self.panels, spacing=24).configure_view(stroke=None).to_dict(validate=False)
        if len({json.dumps(domain) for domain in _color_domains(spec)}) > 1:
            spec["resolve"] = {"scale": {"color": "independent"}}  # or panels would share colours, and one legend
        text = json.dumps(spec)
        atomic_write(folder / f"{self.name}.vl.json", json.dumps(spec, indent=1).encode())
        atomic_write(folder / f"{self.name}.svg", vlc.vegalite_to_svg(text).encode())
        atomic_write(folder / f"{self.name}.png", vlc.vegalite_to_png(text, scale=2))
        atomic_write(folder / f"{self.name}.pdf", vlc.vegalite_to_pdf(text))
        atomic_write(folder / f"{self.name}.csv", self.numbers.write_csv().encode())


def _color_domains(spec: Any) -> Iterator[Any]:
    """What the colours of a specification stand for, wherever in it they are used."""
    if isinstance(spec, list):
        for part in spec:
            yield from _color_domains(part)
    if isinstance(spec, dict):
        for name, part in spec.items():
            if name == "color" and isinstance(part, dict) and "field" in part:
                yield part.get("scale", {}).get("domain")
            else:
                yield from _color_domains(part)
