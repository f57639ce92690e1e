"""What commands print: tables, a progress bar, and complaints of one sentence."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def console(stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, soft_wrap=True)


def complain(text: str) -> None:
    """Print one sentence to stderr, as plain text: it may contain markup."""
    print(f"gradflip: {' '.join(text.split())}", file=sys.stderr)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*[Text(cell) for cell in row])
    # a pipe has no width
    Console(width=None if sys.stdout.isatty() else 200).print(drawn)


@contextmanager
def status(what: str, show: bool) -> Iterator[None]:
    """Show a status line on a terminal while the block runs."""
    if not show or not sys.stderr.isatty():
        yield
        return
    with console(stderr=True).status(f"{what} ..."):
        yield


class Bar:
    """A progress bar with the running cells and the time left; shown on a terminal only."""

    def __init__(self, show: bool) -> None:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        self.done = 0
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[cells]} cells, {task.fields[left]}"),
            console=console(stderr=True),
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

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
