"""Run folders that hold results measured before."""

from gradflip.experiments import Settings, plan
from gradflip.sweep import CellResult, RunFolder

SETTINGS = Settings()


def folder_with(path, results, names=("montanari2022",), settings=SETTINGS, changed=lambda row: row):
    planned = plan(names, settings)
    folder = RunFolder.create(path, planned.spec)
    folder.write_env({"gradflip": "0", "machine": "<img src=x onerror=alert(1)>"})
    for cell in planned.cells:
        found = results[cell.hash]
        if isinstance(found, str):
            folder.write(CellResult(cell, "failed", error=found))
        else:
            rows = [changed(dict(row)) for row in found.rows]
            folder.write(CellResult(cell, "ok", rows=rows, observations=found.observations, seconds=1.5))
    folder.write_tables(planned.cells)
    return folder
