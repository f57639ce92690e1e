"""`gradflip env`: what numbers may depend on."""

from __future__ import annotations

import json

from gradflip.cli._options import Json
from gradflip.cli._output import print_table


def env(*, as_json: Json = False) -> None:
    """Print what the numbers may depend on: versions, machine, data folder.

    Args:
        as_json: Print JSON.
    """
    from gradflip.data import user_folder
    from gradflip.experiments import environment

    values = environment() | {"GRADFLIP_DATA": user_folder()}
    if as_json:
        print(json.dumps(values, indent=2))
        return
    print_table(["what", "value"], [[name, str(value)] for name, value in values.items()])
