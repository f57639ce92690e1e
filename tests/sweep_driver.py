"""`python sweep_driver.py FOLDER WORKERS MEASURE CELLS PARAMETERS`: a run in a process of its own."""

import json
import sys

from gradflip.sweep import Cell, Measure, RunFolder, run_cells


def main():
    path, workers, measure, count, parameters = sys.argv[1:]
    cells = [Cell(Measure(f"sweep_measures:{measure}"), json.loads(parameters), seed=i) for i in range(int(count))]
    folder = RunFolder.create(path, {"measure": measure, "cells": int(count)})
    summary = run_cells(cells, folder, workers=int(workers), report=lambda progress: print("at", progress.fraction))
    folder.write_tables(cells)
    print("summary", summary.done, summary.skipped, len(summary.failed))


if __name__ == "__main__":
    main()
