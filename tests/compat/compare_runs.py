"""`python tests/compat/compare_runs.py OLD NEW`: do two run folders hold the same numbers, to the bit?

OLD may be of gradflip 0.1: its columns `kind` and `ball_kind` are dropped, `deviation` is `scaled_deviation` now, and
the column `measure` of NEW is left out.
"""

import sys
from pathlib import Path

import polars as pl
from polars.testing import assert_frame_equal

RENAMED = {"deviation": "scaled_deviation"}
GONE = ("kind", "ball_kind")


def differences(old: Path, new: Path) -> list[str]:
    """Return a line for each table that differs."""
    lines = []
    for name in ("table", "observations"):
        before, after = (pl.read_parquet(folder / f"{name}.parquet") for folder in (old, new))
        if "measure" not in before.columns:
            before = before.drop(column for column in GONE if column in before.columns)
            before = before.rename(RENAMED, strict=False)
            after = after.drop("measure", strict=False)
        try:
            assert_frame_equal(before, after, check_exact=True)
        except AssertionError as error:
            lines.append(f"{name}: {str(error).splitlines()[0]}")
        else:
            print(f"{name}: {before.height} rows, {before.width} columns, equal to the bit")
    return lines


if __name__ == "__main__":
    different = differences(*map(Path, sys.argv[1:]))
    print("\n".join(different))
    sys.exit(bool(different))
