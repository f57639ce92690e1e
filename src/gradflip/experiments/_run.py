"""A run: a plan is computed into a folder, and its tables are written."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gradflip.experiments._environment import environment
from gradflip.experiments._log import logged_to
from gradflip.experiments._plan import Plan
from gradflip.experiments._settings import Settings
from gradflip.sweep import Progress, RunFolder, RunSummary, run_cells

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        folder: Where everything is.
        summary: How many cells were computed, and which failed.
        rows: Rows in the table.
    """

    folder: RunFolder
    summary: RunSummary
    rows: int


def run(
    planned: Plan,
    out: Path,
    *,
    workers: int = 1,
    force: bool = False,
    report: Callable[[Progress], None] | None = None,
) -> Outcome:
    """Compute what is not yet in the folder, and write its tables.

    Args:
        planned: What.
        out: The run folder; one that holds the same run is gone on with.
        workers: Processes; each cell is computed on one thread whatever their number, so that rows are the same.
        force: Throw away what is in the run folder.
        report: Called with the progress.

    Returns:
        The folder and what happened.

    Raises:
        UsageError: If the folder holds another run.
        FileError: If something cannot be read or written.
        KeyboardInterrupt: If interrupted; what was computed is kept.
    """
    folder = RunFolder.create(out, planned.spec, force=force)
    folder.write_env(environment())
    with logged_to(out / "log.jsonl"):
        names = ", ".join(experiment.name for experiment in planned.experiments)
        logger.info("%s: %d cells, %d workers", names, len(planned.cells), workers)
        try:
            summary = run_cells(planned.cells, folder, workers=workers, report=report)
        except KeyboardInterrupt:
            logger.info("interrupted")
            raise
        for result in summary.failed:
            logger.error("cell %s failed (%s): %s", result.cell.hash, result.cell.label, result.reason)
        rows = folder.write_tables(planned.cells)
        logger.info("%d computed, %d taken over, %d rows", summary.done, summary.skipped, rows)
    return Outcome(folder, summary, rows)


def prepare_data(settings: Settings, data_dir: Path | None) -> None:
    """Load the data once before any cell does: find them, fetch them if need be, and check them.

    Args:
        settings: Which data.
        data_dir: Where to look; handed on to the workers as `$GRADFLIP_DATA`, so that no cell depends on a path.

    Raises:
        UsageError: If the classes do not exist.
        FileError: If a file is missing, damaged, or cannot be fetched.
    """
    from gradflip.data import load_data

    load_data(settings.data, settings.classes, data_dir=data_dir)
    if data_dir is not None:
        os.environ["GRADFLIP_DATA"] = str(data_dir.resolve())
