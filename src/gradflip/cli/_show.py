"""`gradflip show`: one experiment and its presets."""

from __future__ import annotations

import json

from gradflip._errors import UsageError, unknown
from gradflip.cli._options import Json
from gradflip.cli._output import console, print_table


def show(name: str, /, *, as_json: Json = False) -> None:
    """Show the question of an experiment, and what each preset computes.

    Args:
        name: An experiment.
        as_json: Print JSON.

    Raises:
        UsageError: If there is no such experiment.
    """
    from gradflip.experiments import EXPERIMENTS, select_experiments

    if name not in EXPERIMENTS:
        raise UsageError(unknown("experiment", name, EXPERIMENTS))
    experiment = select_experiments([name])[0]
    if as_json:
        print(json.dumps(experiment.to_json(), indent=2))
        return
    console().print(
        f"[bold]{experiment.name}[/bold]  {experiment.title}\n{experiment.question}\nSource: {experiment.source}."
    )
    presets = experiment.presets()
    print_table(list(presets[0]), [list(preset.values()) for preset in presets])
    console().print(f"gradflip run {experiment.name}", style="bold")
