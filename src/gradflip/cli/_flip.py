"""`gradflip flip`: exact flips of the user's own network."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

from gradflip._errors import UsageError
from gradflip.cli._options import Json
from gradflip.cli._output import print_table


def flip(
    weights: Path,
    inputs: Path,
    /,
    *,
    key: str = "x",
    activation: str | None = None,
    out: Path | None = None,
    as_json: Json = False,
) -> None:
    """Find the exact flip of each input of your own two-layer network.

    Args:
        weights: .npz or .safetensors with W (m, d), a (m,) of +-1; optionally bias, output_bias, scaling, activation.
        inputs: .npy, .npz or .safetensors with an array of shape (n, d).
        key: Name of that array if the file holds several.
        activation: The activation if the file does not name it; by default relu.
        out: Write all rows to this .parquet or .csv file instead of printing the first ones.
        as_json: Print all rows as JSON.

    Raises:
        UsageError: If --out ends in neither .parquet nor .csv.
    """
    if out is not None and out.suffix not in (".parquet", ".csv"):
        raise UsageError(f"--out must end in .parquet or .csv, got {out}.")
    from gradflip._atomic import atomic_write
    from gradflip.rays import flip_files

    frame = flip_files(weights, inputs, key=key, activation=activation).to_frame()
    if out is not None:
        buffer = io.BytesIO()
        frame.write_parquet(buffer) if out.suffix == ".parquet" else frame.write_csv(buffer)
        atomic_write(out, buffer.getvalue())
        print(out)
    elif as_json:
        rows = [{k: None if v in (math.inf, -math.inf) else v for k, v in row.items()} for row in frame.to_dicts()]
        print(json.dumps(rows, indent=2, allow_nan=False))
    else:
        shown = frame.head(20)
        cells = [[f"{c:.6g}" if isinstance(c, float) else str(c) for c in row] for row in shown.rows()]
        print_table(shown.columns, cells)
        if len(frame) > len(shown):
            print(f"{len(frame) - len(shown)} more rows: write them all with --out FILE.parquet")
