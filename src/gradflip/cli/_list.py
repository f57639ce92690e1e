"""`gradflip list`: the experiments."""

from __future__ import annotations

import json

from gradflip.cli._options import Json
from gradflip.cli._output import print_table


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
    print_table(["name", "what it shows", "source"], [[e.name, e.title, e.source] for e in EXPERIMENTS.values()])
