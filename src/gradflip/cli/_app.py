"""The app: its commands, `--config`, and exit codes."""

from __future__ import annotations

import logging
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cyclopts import App, CycloptsError
from cyclopts.config import Dict

from gradflip._errors import FileError, UsageError
from gradflip._version import __version__
from gradflip.cli._certify import certify
from gradflip.cli._cite import cite
from gradflip.cli._env import env
from gradflip.cli._flip import flip
from gradflip.cli._list import list_experiments
from gradflip.cli._output import complain
from gradflip.cli._report import figures, report
from gradflip.cli._run import run
from gradflip.cli._show import show
from gradflip.cli._table import table
from gradflip.cli._verify import verify

if TYPE_CHECKING:
    from cyclopts import ArgumentCollection


def _from_file(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Read the options that the command line leaves out from `--config FILE.toml`."""
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
app.command(run)
app.command(list_experiments, name="list")
for _command in (show, table, report, figures, cite, env, flip, certify, verify):
    app.command(_command)


def main(tokens: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 ok, 1 input, output or a cell failed, 2 bad usage, 130 Ctrl-C.

    Args:
        tokens: Arguments; those of the process if not given.

    Raises:
        SystemExit: Always.
    """
    console = logging.StreamHandler()
    console.setLevel(logging.WARNING)  # the log file of a run records more
    logging.basicConfig(handlers=[console], format="gradflip: %(message)s")
    try:
        code = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
        raise SystemExit(code if isinstance(code, int) else 0)
    except (CycloptsError, UsageError) as error:
        complain(str(error))
        raise SystemExit(2) from None
    except BrokenPipeError:  # the reader closed the pipe, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        complain(str(error))
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        complain("interrupted.")
        raise SystemExit(130) from None
