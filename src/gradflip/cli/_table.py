"""`gradflip table`: the rows of a run."""

from __future__ import annotations

from pathlib import Path

from gradflip.cli._options import Flag, Json
from gradflip.cli._output import print_table


def table(directory: Path, /, *, csv: Flag = False, as_json: Json = False) -> None:
    """Print the table of a run: one row per network or, for random networks, per quantity of an ensemble.

    Args:
        directory: A run folder.
        csv: Print all columns as CSV.
        as_json: Print all columns as JSON.
    """
    from gradflip.experiments import plan_of
    from gradflip.report import listings, read_table
    from gradflip.sweep import RunFolder

    folder = RunFolder.open(directory)
    rows = read_table(folder)
    if csv:
        print(rows.write_csv(), end="")
        return
    if as_json:
        print(rows.write_json())
        return
    for listing in listings(plan_of(folder), rows):
        cells = [
            ["–" if c is None else f"{c:.4g}" if isinstance(c, float) else str(c) for c in row]
            for row in listing.values()
        ]
        print_table(listing.names, cells)
