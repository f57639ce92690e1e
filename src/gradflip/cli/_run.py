"""`gradflip run`: compute experiments and write a run folder."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gradflip._errors import UsageError
from gradflip.cli._options import DATA_HELP, Device, Flag, Json, Preset, Protocol, cores, settings_of
from gradflip.cli._output import Bar, complain, console, print_table

if TYPE_CHECKING:
    from gradflip.experiments import Plan
    from gradflip.sweep import RunFolder


def run(
    *names: str,
    preset: Preset = "quick",
    data: Annotated[str, Parameter(help=f"{DATA_HELP} Random networks use none.")] = "digits",
    classes: str = "0,1",
    data_dir: Path | None = None,
    protocol: Protocol = "text",
    out: Path | None = None,
    device: Device = "auto",
    seeds: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    config: Path | None = None,
    force: Flag = False,
    dry_run: Flag = False,
    quiet: Flag = False,
    as_json: Json = False,
) -> int:
    """Run experiments and write a run folder: tables, figures and report.html. Resumes an interrupted run.

    Args:
        names: Experiments such as wang2022-fig2, or papers, wang2022 or montanari2022, for all of their experiments.
        preset: Amount of computation: quick (3 minutes), standard (2 hours on 2 cores) or paper (a GPU).
        data: Name of the data set. Random networks use none.
        classes: The two classes; the first is labelled -1, the second +1.
        data_dir: Folder with the data files; also $GRADFLIP_DATA. Without a folder, MNIST is downloaded.
        protocol: Follow the paper's text, or its published scripts where the two differ.
        out: The run folder; by default named after the experiments, data and preset, in runs/.
        device: Device that trains the networks.
        seeds: Number of initialisations (for random networks, of ensembles), in place of the preset's.
        seed: The first seed.
        workers: Number of processes, by default one per core. Rows do not depend on it.
        config: TOML file with any of these options; the command line takes precedence.
        force: Overwrite the contents of the run folder.
        dry_run: Print what would be computed, and compute nothing.
        quiet: Show no progress bar.
        as_json: Print the outcome as JSON.

    Returns:
        The exit status.

    Raises:
        UsageError: If a name or a setting does not exist.
    """
    from gradflip.experiments import plan

    _ = config  # read by _from_file before this is called
    if not names:
        raise UsageError(f"name at least one experiment; there are: {', '.join(_experiment_names())}.")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1, got {workers}.")
    planned = plan(names, settings_of(preset, data, classes, protocol, seeds, seed, device))
    out = out or planned.default_folder
    workers = workers or cores()
    if dry_run:
        _say_plan(planned, out, as_json)
        return 0
    return _run(planned, out, workers, data_dir, force, quiet, as_json)


def _run(planned: Plan, out: Path, workers: int, data_dir: Path | None, force: bool, quiet: bool, as_json: bool) -> int:
    from gradflip.experiments import prepare_data
    from gradflip.experiments import run as run_plan
    from gradflip.report import write_report

    if planned.uses_data:
        prepare_data(planned.settings, data_dir)
    bar = Bar(show=not quiet and not as_json)
    try:
        with bar:
            outcome = run_plan(planned, out, workers=workers, force=force, report=bar.update, data_dir=data_dir)
    except KeyboardInterrupt:
        again = [word for word in sys.argv[1:] if word != "--force"]
        again += [] if "--out" in again else ["--out", str(out)]
        complain(f"interrupted; {bar.done} of {len(planned.cells)} cells are kept. Go on with:")
        print(f"gradflip {shlex.join(again)}", file=sys.stderr)
        return 130
    failed = outcome.summary.failed
    page = write_report([outcome.folder])
    for result in failed:
        complain(f"cell failed: {result.cell.label}: {result.reason}")
    if as_json:
        done = {"computed": outcome.summary.done, "skipped": outcome.summary.skipped, "rows": outcome.rows}
        failures = [{"cell": result.cell.hash, "label": result.cell.label, "error": result.reason} for result in failed]
        print(json.dumps({"out": str(out), "report": str(page), **done, "failed": failures}, indent=2))
    else:
        if not quiet:
            console().print(
                f"{outcome.rows} rows in {outcome.folder.path / 'table.parquet'}; "
                f"{outcome.summary.done} cells computed in {outcome.summary.seconds:.0f} s, "
                f"{outcome.summary.skipped} taken over.",
                highlight=False,
            )
            _say_claims(outcome.folder)
        print(page)
    return 1 if failed else 0


def _say_claims(folder: RunFolder) -> None:
    from gradflip.experiments import plan_of
    from gradflip.report import findings, read_table

    rows = [
        [
            experiment,
            curve,
            f"{finding.claim.column}: {finding.claim.name}",
            f"{finding.interval.estimate:.3f} ({finding.interval.low:.3f}, {finding.interval.high:.3f})",
            finding.verdict.value,
        ]
        for experiment, curve, finding in findings(plan_of(folder), read_table(folder))
        if finding.verdict is not None
    ]
    if rows:
        print_table(["experiment", "curve", "claim", "found (interval)", "verdict"], rows)


def _experiment_names() -> list[str]:
    from gradflip.experiments import EXPERIMENTS

    return list(EXPERIMENTS)


def _say_plan(planned: Plan, out: Path, as_json: bool) -> None:
    if as_json:
        cells = [cell.to_json() | {"hash": cell.hash} for cell in planned.cells]
        print(json.dumps({"out": str(out), "spec": planned.spec, "cells": cells}, indent=2))
        return
    for family in planned.families:
        rows = [[str(say(cell)) for say in family.columns.values()] for cell in planned.cells_of(family)]
        print_table(list(family.columns), rows)
    console().print(f"{len(planned.cells)} cells would go to {out}; nothing was computed.", highlight=False)
