"""Runs: compute a plan into a folder and write its tables."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gradflip.experiments._environment import environment
from gradflip.experiments._log import logged_to
from gradflip.experiments._plan import Plan
from gradflip.experiments._settings import Settings
from gradflip.sweep import Context, Engine, Progress, RunFolder, RunSummary, run_cells

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
    engine: Engine | None = None,
    data_dir: Path | None = None,
) -> Outcome:
    """Compute the cells of a plan that the folder lacks, and write the tables.

    Args:
        planned: The plan.
        out: The run folder; if it holds the same run, that run is resumed.
        workers: Number of processes; a cell runs on one thread whatever their number, so that rows do not depend on it.
        force: Whether to discard what is in the run folder.
        report: Called with the progress.
        engine: Computes the cells in place of `workers`.
        data_dir: Folder from which workers read data files; it is part of no cell, and rows do not depend on it.

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
            summary = run_cells(
                planned.cells, folder, workers=workers, report=report, engine=engine, context=_reading_from(data_dir)
            )
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
        data_dir: Folder with the data files, as for `run`.

    Raises:
        UsageError: If the classes do not exist.
        FileError: If a file is missing, damaged, or cannot be downloaded.
    """
    from gradflip.data import load_data

    load_data(settings.data, settings.classes, data_dir=data_dir)


def _reading_from(data_dir: Path | None) -> Context | None:
    if data_dir is None:
        return None
    return Context("gradflip.data:data_folder", (str(data_dir.expanduser().resolve()),))
