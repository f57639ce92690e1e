"""`gradflip env`: what numbers may depend on."""

from __future__ import annotations

import json
import os

from gradflip.cli._options import Json
from gradflip.cli._output import print_table


def env(*, as_json: Json = False) -> None:
    """Print what the numbers may depend on: versions, machine, data folder.

    Args:
        as_json: Print JSON.
    """
    from gradflip.experiments import environment

    values = environment() | {"GRADFLIP_DATA": os.environ.get("GRADFLIP_DATA")}
    if as_json:
        print(json.dumps(values, indent=2))
        return
    print_table(["what", "value"], [[name, str(value)] for name, value in values.items()])
