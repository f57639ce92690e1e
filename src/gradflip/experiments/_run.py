"""Runs: compute a plan into a folder and write its tables."""

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
        folder: The run folder.
        summary: How many cells were computed, and which failed.
        rows: Number of rows in the table.
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
    """Compute the cells of a plan that the folder lacks, and write the tables.

    Args:
        planned: The plan.
        out: The run folder; if it holds the same run, that run is resumed.
        workers: Number of processes; a cell runs on one thread whatever their number, so that rows do not depend on it.
        force: Whether to discard what is in the run folder.
        report: Called with the progress.

    Returns:
        The folder and what was computed.

    Raises:
        UsageError: If the folder holds a different run.
        FileError: If something cannot be read or written.
        KeyboardInterrupt: If interrupted; finished cells are kept.
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
    """Load the data set once before any cell does: find it, download it if necessary, and check it.

    Args:
        settings: The settings, which name the data set.
        data_dir: Where to look; workers receive it as `$GRADFLIP_DATA`, so that no cell depends on a path.

    Raises:
        UsageError: If the classes do not exist.
        FileError: If a file is missing, damaged, or cannot be downloaded.
    """
    from gradflip.data import load_data

    load_data(settings.data, settings.classes, data_dir=data_dir)
    if data_dir is not None:
        os.environ["GRADFLIP_DATA"] = str(data_dir.resolve())
