"""`gradflip report` and `gradflip figures`: redraw a run."""

from __future__ import annotations

from pathlib import Path

from gradflip._errors import UsageError


def report(*directories: Path, out: Path | None = None) -> None:
    """Redraw the figures and report of a run without computing anything; several runs are compared on one page.

    Args:
        directories: Run folders.
        out: The page; by default report.html in the folder of a single run, comparison.html in the first of several.

    Raises:
        UsageError: If no folder is named.
    """
    if not directories:
        raise UsageError("name at least one run folder, such as runs/wang2022-digits-quick.")
    from gradflip.report import write_report
    from gradflip.sweep import RunFolder

    print(write_report([RunFolder.open(directory) for directory in directories], out))


def figures(directory: Path, /) -> None:
    """Redraw the figures of a run without computing anything: PDF, SVG, PNG, Vega-Lite JSON and numbers as CSV.

    Args:
        directory: A run folder.
    """
    from gradflip.report import write_figures
    from gradflip.sweep import RunFolder

    for path in write_figures(RunFolder.open(directory)):
        print(path)
