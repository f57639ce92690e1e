"""The command line: parse, call one library function, print. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import io
import json
import logging
import math
import os
import shlex
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, cast, get_args

from cyclopts import App, CycloptsError, Parameter
from cyclopts.config import Dict

from gradflip._errors import FileError, UsageError, unknown
from gradflip._version import __version__

if TYPE_CHECKING:
    from cyclopts import ArgumentCollection
    from rich.console import Console

    from gradflip.experiments import Plan, Settings
    from gradflip.sweep import RunFolder

Preset = Literal["quick", "standard", "paper"]
Protocol = Literal["text", "published"]
Device = Literal["auto", "cpu", "cuda"]
Quiet = Annotated[bool, Parameter(negative="")]
Json = Annotated[bool, Parameter(name="--json", negative="")]


def _from_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """`--config FILE.toml`: options not given on the command line are taken from the file."""
    given = [token.value for argument in arguments if argument.name == "--config" for token in argument.tokens]
    if not given:
        return
    path = Path(given[0])
    if not path.is_file():
        raise FileError(
            f"{path} does not exist; --config takes a TOML file with options of `run`, such as preset = 'quick'."
        )
    try:
        chosen = tomllib.loads(path.read_text())
    except ValueError as error:
        raise FileError(f"{path} is not TOML: {error}.") from error
    Dict(chosen, use_commands_as_keys=False, source=str(path))(app, commands, arguments)


app = App(
    name="gradflip",
    help="How small a single step along the input gradient flips a network's prediction?",
    version=__version__,
    config=_from_file,
    help_on_error=False,
)
app.register_install_completion_command()


@app.command
def run(
    *names: str,
    preset: Preset = "quick",
    data: str = "digits",
    classes: str = "0,1",
    data_dir: Path | None = None,
    protocol: Protocol = "text",
    out: Path | None = None,
    device: Device = "auto",
    seeds: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    config: Path | None = None,
    force: Annotated[bool, Parameter(negative="")] = False,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Run experiments and write a run folder: tables, figures and report.html. A run that was stopped is gone on with.

    Args:
        names: Experiments, such as wang2022-fig2, or papers, wang2022 or montanari2022, for all of theirs.
        preset: How much: quick (3 minutes), standard (2 hours on 2 cores) or paper (a GPU).
        data: digits (embedded), mnist, fashion-mnist or sphere. Random networks need none.
        classes: The two classes, the first labelled -1 and the second +1.
        data_dir: Folder with the data files; also $GRADFLIP_DATA. MNIST is downloaded if no folder is named.
        protocol: The paper's text, or its published scripts where they differ.
        out: The run folder; by default one named for the experiments, data and preset, in runs/.
        device: Where networks are trained.
        seeds: How many initialisations, instead of the preset's number; of random networks, how many ensembles each.
        seed: The first seed.
        workers: Processes, by default one per core. Rows do not depend on it.
        config: TOML file with any of these options; the command line wins.
        force: Replace what the run folder holds.
        dry_run: Say what would be computed, and compute nothing.
        quiet: No progress bar.
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
    planned = plan(names, _settings(preset, data, classes, protocol, seeds, seed, device))
    out = out or planned.default_folder
    workers = workers or _cores()
    if dry_run:
        _say_plan(planned, out, as_json)
        return 0
    return _run(planned, out, workers, data_dir, force, quiet, as_json)


@app.command(name="list")
def list_experiments(*, as_json: Json = False) -> None:
    """List the experiments.

    Args:
        as_json: Print JSON.
    """
    from gradflip.experiments import EXPERIMENTS

    if as_json:
        print(
            json.dumps([{"name": e.name, "title": e.title, "source": e.source} for e in EXPERIMENTS.values()], indent=2)
        )
        return
    _print_table(["name", "what it shows", "source"], [[e.name, e.title, e.source] for e in EXPERIMENTS.values()])


@app.command
def show(name: str, /, *, as_json: Json = False) -> None:
    """Show what an experiment asks, and what each preset computes.

    Args:
        name: An experiment.
        as_json: Print JSON.

    Raises:
        UsageError: If there is no such experiment.
    """
    from dataclasses import asdict

    from gradflip.experiments import EXPERIMENTS, named

    if name not in EXPERIMENTS:
        raise UsageError(unknown("experiment", name, EXPERIMENTS))
    experiment = named([name])[0]
    if as_json:
        print(json.dumps(asdict(experiment), indent=2))
        return
    console = _console()
    console.print(
        f"[bold]{experiment.name}[/bold]  {experiment.title}\n{experiment.question}\nSource: {experiment.source}."
    )
    presets = experiment.presets()
    _print_table(list(presets[0]), [list(preset.values()) for preset in presets])
    console.print(f"gradflip run {experiment.name}", style="bold")


@app.command
def table(directory: Path, /, *, csv: Annotated[bool, Parameter(negative="")] = False, as_json: Json = False) -> None:
    """Print the table of a run: a row per network, or per question asked of an ensemble of random ones.

    Args:
        directory: A run folder.
        csv: All columns, as CSV.
        as_json: All columns, as JSON.
    """
    from gradflip.experiments import folder_settings
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
    for listing in listings(folder_settings(folder), rows):
        cells = [
            ["–" if c is None else f"{c:.4g}" if isinstance(c, float) else str(c) for c in row]
            for row in listing.values()
        ]
        _print_table(listing.names, cells)


@app.command
def report(*directories: Path, out: Path | None = None) -> None:
    """Draw figures and report of a run again, without computing anything; several runs are compared on one page.

    Args:
        directories: Run folders.
        out: The page: report.html in the folder of a single run, comparison.html in the first of several.

    Raises:
        UsageError: If no folder is named.
    """
    if not directories:
        raise UsageError("name at least one run folder, such as runs/wang2022-digits-quick.")
    from gradflip.report import write_report
    from gradflip.sweep import RunFolder

    print(write_report([RunFolder.open(directory) for directory in directories], out))


@app.command
def figures(directory: Path, /) -> None:
    """Draw the figures of a run again, without computing anything: PDF, SVG, PNG, Vega-Lite JSON and numbers as CSV.

    Args:
        directory: A run folder.
    """
    from gradflip.report import write_figures
    from gradflip.sweep import RunFolder

    for path in write_figures(RunFolder.open(directory)):
        print(path)


@app.command
def cite(name: str | None = None, /) -> None:
    """Print BibTeX for an experiment or a paper, or for all.

    Args:
        name: Such as wang2022-fig2 or montanari2022.
    """
    from gradflip.experiments import bibtex

    print(bibtex(name))


@app.command
def env(*, as_json: Json = False) -> None:
    """Print what numbers may depend on: versions, machine, data folder.

    Args:
        as_json: Print JSON.
    """
    from gradflip.experiments import environment

    found = environment() | {"GRADFLIP_DATA": os.environ.get("GRADFLIP_DATA")}
    if as_json:
        print(json.dumps(found, indent=2))
        return
    _print_table(["what", "value"], [[name, str(value)] for name, value in found.items()])


@app.command
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
        key: Name of that array, if the file has several.
        activation: The activation, if the file does not name it: relu by default.
        out: Write all rows there, .parquet or .csv, instead of printing the first ones.
        as_json: Print all rows as JSON.

    Raises:
        UsageError: If --out has another ending.
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
        _print_table(shown.columns, cells)
        if len(frame) > len(shown):
            print(f"{len(frame) - len(shown)} more rows: write them all with --out FILE.parquet")


@app.command
def certify(
    *,
    data: str = "digits",
    classes: str = "0,1",
    size: int | None = None,
    width: int = 1000,
    C0: Annotated[float, Parameter(name="--C0")] = 1.0,
    epsilon: float | None = None,
    points: int = 200,
    seed: int = 0,
    steps: int = 50,
    joint: Annotated[bool, Parameter(negative="")] = False,
    curve: bool = True,
    data_dir: Path | None = None,
    out: Path | None = None,
    force: Annotated[bool, Parameter(negative="")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> int:
    """Prove how many test images, moved a little, every network near an initialisation gets wrong, however trained.

    Args:
        data: digits (embedded), mnist, fashion-mnist or sphere; inputs are scaled to norm 1.
        classes: The two classes, the first labelled -1 and the second +1.
        size: Side of the images; by default that of the data.
        width: Neurons m of the initialisation.
        C0: Each neuron may move by C0 / √m.
        epsilon: How far each image may be moved; by default 2 / √d.
        points: How many test images, the first of the file.
        seed: Of the initialisation.
        steps: Steps of the search.
        joint: Also certify together the images that cannot be certified one by one.
        curve: Also find the smallest budget of each image, which takes some ten times as long.
        data_dir: Folder with the data files; also $GRADFLIP_DATA.
        out: The folder; by default one named for the settings, in runs/.
        force: Replace certificates that are there.
        quiet: Print no table.
        as_json: Print the outcome as JSON.

    Returns:
        The exit status.

    Raises:
        UsageError: If a setting is not as it must be, or certificates are there already.
    """
    for name, count in (("points", points), ("steps", steps)):
        if count < 1:
            raise UsageError(f"--{name} must be at least 1, got {count}.")
    if epsilon is not None and not 0 < epsilon < math.inf:
        raise UsageError(f"--epsilon must be positive and finite, got {epsilon:g}.")
    import torch

    from gradflip.certificates._ball_wide import certify_ball_wide, clear_folder, files_in
    from gradflip.data import load_data
    from gradflip.lazy import LazyBall
    from gradflip.networks import TwoLayer
    from gradflip.report._ball_wide_figure import ball_wide_figure

    split = load_data(data, _two_digits(classes), size, normalize=True, data_dir=data_dir)
    ball = LazyBall(TwoLayer.random(split.dim, width, seed=seed, dtype=torch.float32), C0)
    epsilon = 2 / math.sqrt(split.dim) if epsilon is None else epsilon
    name = f"certify-{data}-{split.size}x{split.size}-m{width}-C{C0:g}-epsilon{epsilon:.4g}-seed{seed}"
    out = clear_folder(out or Path("runs") / name, force=force)
    x, y = split.x_test[:points], split.y_test[:points]
    with _doing(f"certifying {len(x)} points", show=not quiet and not as_json):
        found = certify_ball_wide(ball, x, y, epsilon, steps=steps, joint=joint, curve=curve)
        found.save(out)
        if found.single.share:
            ball_wide_figure(found.single).save(out)
    files = files_in(out)
    if as_json:
        print(json.dumps(found.to_json() | {"files": [str(path) for path in files]}, indent=2, allow_nan=False))
        return 0
    if not quiet:
        listed = found.table()
        _print_table(list(listed[0]), [list(row.values()) for row in listed])
    print(found.statement)
    print(out)
    return 0


@app.command
def verify(file: Path, /, *, as_json: Json = False) -> int:
    """Check a certificate by other means, from the weights and inputs in it alone; exit 1 if it does not hold.

    Args:
        file: As gradflip certify, Certificate.save or JointCertificate.save wrote it.
        as_json: Print the outcome as JSON.

    Returns:
        The exit status.
    """
    from gradflip.certificates import Verification
    from gradflip.certificates import verify as verify_file

    checked = verify_file(file)
    if isinstance(checked, Verification):
        kind, claimed, verified = "single", int(checked.certified.sum()), int(checked.verified[checked.certified].sum())
    else:
        kind, claimed = "joint", int(checked.claimed.sum())
        verified = int(checked.errors.clip(max=checked.claimed).sum())
    if as_json:
        found = {"kind": kind, "claimed": claimed, "verified": verified, "holds": checked.holds}
        print(json.dumps(found | {"statement": checked.statement}, indent=2))
    else:
        print(f"{verified} of {claimed} certain errors that {file} claims were verified.")
        print(checked.statement)
    if not checked.holds:
        _complain(f"{file} does not hold: {claimed - verified} of the {claimed} errors it claims were not verified.")
    return 0 if checked.holds else 1


def main(tokens: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 ok, 1 input, output or a cell failed, 2 bad usage, 130 Ctrl-C.

    Args:
        tokens: Arguments; those of the process if not given.

    Raises:
        SystemExit: Always.
    """
    console = logging.StreamHandler()
    console.setLevel(logging.WARNING)  # the log file of a run takes more
    logging.basicConfig(handlers=[console], format="gradflip: %(message)s")
    try:
        code = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        raise SystemExit(code if isinstance(code, int) else 0)
    except (CycloptsError, UsageError) as error:
        _complain(str(error))
        raise SystemExit(2) from None
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        _complain(str(error))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        _complain("interrupted.")
        raise SystemExit(130) from None


def _run(planned: Plan, out: Path, workers: int, data_dir: Path | None, force: bool, quiet: bool, as_json: bool) -> int:
    from gradflip.experiments import prepare_data
    from gradflip.experiments import run as run_plan
    from gradflip.report import write_report

    if planned.uses_data:
        prepare_data(planned.settings, data_dir)
    bar = _Bar(show=not quiet and not as_json)
    try:
        with bar:
            outcome = run_plan(planned, out, workers=workers, force=force, report=bar.update)
    except KeyboardInterrupt:
        again = [word for word in sys.argv[1:] if word != "--force"]
        again += [] if "--out" in again else ["--out", str(out)]
        _complain(f"interrupted; {bar.done} of {len(planned.cells)} cells are kept. Go on with:")
        print(f"gradflip {shlex.join(again)}", file=sys.stderr)
        return 130
    failed = outcome.summary.failed
    page = write_report([outcome.folder])
    for result in failed:
        _complain(f"cell failed: {result.cell.label}: {result.reason}")
    if as_json:
        done = {"computed": outcome.summary.done, "skipped": outcome.summary.skipped, "rows": outcome.rows}
        failures = [{"cell": result.cell.hash, "label": result.cell.label, "error": result.reason} for result in failed]
        print(json.dumps({"out": str(out), "report": str(page), **done, "failed": failures}, indent=2))
    else:
        if not quiet:
            _console().print(
                f"{outcome.rows} rows in {outcome.folder.path / 'table.parquet'}; "
                f"{outcome.summary.done} cells computed in {outcome.summary.seconds:.0f} s, "
                f"{outcome.summary.skipped} taken over.",
                highlight=False,
            )
            _say_claims(outcome.folder)
        print(page)
    return 1 if failed else 0


def _say_claims(folder: RunFolder) -> None:
    from gradflip.experiments import folder_settings
    from gradflip.report import findings, read_table

    rows = [
        [
            experiment,
            curve,
            f"{finding.claim.column}: {finding.claim.name}",
            f"{finding.interval.estimate:.3f} ({finding.interval.low:.3f}, {finding.interval.high:.3f})",
            finding.verdict.value,
        ]
        for experiment, curve, finding in findings(folder_settings(folder), read_table(folder))
        if finding.verdict is not None
    ]
    if rows:
        _print_table(["experiment", "curve", "claim", "found (interval)", "verdict"], rows)


def _settings(
    preset: Preset, data: str, classes: str, protocol: Protocol, seeds: int | None, seed: int, device: Device
) -> Settings:
    """The settings, each of them checked."""
    from pydantic import ValidationError

    from gradflip.experiments import Settings

    known = get_args(Settings.model_fields["data"].annotation)
    if data not in known:
        raise UsageError(unknown("data set", data, known))
    first, second = _two_digits(classes)
    if data == "sphere" and (first, second) != (0, 1):
        raise UsageError(f"--classes must be left out for the sphere, whose labels are planted, got {classes!r}.")
    try:
        return Settings(
            preset=preset, data=cast(Any, data), classes=(first, second), protocol=protocol, seeds=seeds, seed=seed,
            device=_device(device),
        )  # fmt: skip
    except ValidationError as error:
        what = error.errors()[0]
        name = "--" + "-".join(str(part) for part in what["loc"])
        raise UsageError(f"{name}: {what['msg'].removeprefix('Value error, ')}, got {what['input']}.") from None


def _two_digits(classes: str) -> tuple[int, int]:
    try:
        first, second = (int(part) for part in classes.split(","))
    except ValueError:
        raise UsageError(f"--classes must be two digits such as 0,1, got {classes!r}.") from None
    return first, second


def _device(device: Device) -> Literal["cpu", "cuda"]:
    if device == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if device == "cuda":
        raise UsageError("--device cuda needs a CUDA GPU that PyTorch can see; there is none, use --device cpu.")
    return "cpu"


def _experiment_names() -> list[str]:
    from gradflip.experiments import EXPERIMENTS

    return list(EXPERIMENTS)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _say_plan(planned: Plan, out: Path, as_json: bool) -> None:
    if as_json:
        cells = [cell.to_json() | {"hash": cell.hash} for cell in planned.cells]
        print(json.dumps({"out": str(out), "spec": planned.spec, "cells": cells}, indent=2))
        return
    for family in planned.families:
        rows = [[str(say(cell)) for say in family.columns.values()] for cell in planned.cells_of(family)]
        _print_table(list(family.columns), rows)
    _console().print(f"{len(planned.cells)} cells would go to {out}; nothing was computed.", highlight=False)


def _console(stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, soft_wrap=True)


def _complain(text: str) -> None:
    """One sentence on the error stream, as plain text: it may hold anything."""
    print(f"gradflip: {' '.join(text.split())}", file=sys.stderr)


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*[Text(cell) for cell in row])
    # a pipe has no width to fit into
    Console(width=None if sys.stdout.isatty() else 200).print(drawn)


@contextmanager
def _doing(what: str, show: bool) -> Iterator[None]:
    """Say what is being done while it is; silent when not on a terminal."""
    if not show or not sys.stderr.isatty():
        yield
        return
    with _console(stderr=True).status(f"{what} ..."):
        yield


class _Bar:
    """A progress bar that says what is being done and the time left; silent when not on a terminal."""

    def __init__(self, show: bool) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self.done = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[cells]} cells, {task.fields[left]}"),
            console=_console(stderr=True),
            disable=not show or not sys.stderr.isatty(),
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=1.0, cells="0", left="estimating the time left")

    def update(self, progress: Any) -> None:
        self.done = progress.done_cells
        seconds = progress.seconds_left
        left = "estimating the time left" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d} left"
        doing = "; ".join(progress.running) or "writing tables"
        cells = f"{progress.done_cells}/{progress.total_cells}"
        self._bar.update(
            self._task,
            completed=progress.fraction,
            description=f"computing: {doing}",
            cells=cells,
            left=left,
        )

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


if __name__ == "__main__":
    main()
