"""The plan of a run: from experiments and settings to cells, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydantic

from gradflip._errors import FileError
from gradflip._version import __version__
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._family import Family
from gradflip.experiments._registry import select_experiments
from gradflip.experiments._settings import Settings
from gradflip.sweep import Cell, RunFolder


@dataclass(frozen=True)
class Plan:
    """The plan of a run.

    Attributes:
        experiments: The experiments that it serves.
        settings: The user's choice.
        cells: The cells to compute, each trajectory or ensemble once.
    """

    experiments: tuple[Experiment, ...]
    settings: Settings
    cells: tuple[Cell, ...]

    @property
    def families(self) -> tuple[Family, ...]:
        """The families of its experiments, each once."""
        return _families(self.experiments)

    def cells_of(self, family: Family) -> tuple[Cell, ...]:
        """Select the cells of a family.

        Args:
            family: The family.

        Returns:
            Its cells, in order.
        """
        own = {cell.measure for e in self.experiments if e.family is family for cell in e.cells(self.settings)}
        return tuple(cell for cell in self.cells if cell.measure in own)

    @property
    def uses_data(self) -> bool:
        """Whether any cell reads a data set."""
        return any(family.uses_data for family in self.families)

    @property
    def spec(self) -> dict[str, Any]:
        """The content of `spec.toml`: everything that decides the rows, and nothing else."""
        relevant = {name for family in self.families for name in family.settings}
        chosen = self.settings.model_dump(exclude_none=True, include=relevant)
        if "classes" in chosen:
            chosen["classes"] = list(chosen["classes"])
        return {
            "experiments": [experiment.name for experiment in self.experiments],
            "settings": chosen,
            "versions": {"gradflip": __version__} | {cell.measure.name: cell.measure.version for cell in self.cells},
        }

    @property
    def default_folder(self) -> Path:
        """The run folder where the user names none."""
        names = [experiment.name for experiment in self.experiments]
        shown = []
        for paper in dict.fromkeys(name.split("-")[0] for name in names):
            own = [name for name in names if name.split("-")[0] == paper]
            shown += [paper] if own == [experiment.name for experiment in select_experiments([paper])] else own
        data = f"-{self.settings.data}" if self.uses_data else ""
        protocol = "-published" if self.uses_data and self.settings.protocol == "published" else ""
        return Path("runs") / f"{'+'.join(shown)}{data}-{self.settings.preset}{protocol}"


def plan(names: Sequence[str], settings: Settings) -> Plan:
    """Plan a run of some experiments; a trajectory that several of them need is computed once.

    Args:
        names: Experiments or papers.
        settings: The user's choice.

    Returns:
        A plan.

    Raises:
        UsageError: If there is no such experiment.
    """
    experiments = select_experiments(names)
    cells: list[Cell] = []
    for family in _families(experiments):
        own = [experiment for experiment in experiments if experiment.family is family]
        cells += family.merge([cell for experiment in own for cell in experiment.cells(settings)])
    return Plan(tuple(experiments), settings, tuple(cells))


def plan_of(folder: RunFolder) -> Plan:
    """The plan of a run folder, read back from its `spec.toml`.

    Args:
        folder: A run folder.

    Returns:
        Its plan.

    Raises:
        FileError: If this version of gradflip cannot read it.
    """
    try:
        return plan(folder.spec["experiments"], Settings(**folder.spec["settings"]))
    except (KeyError, TypeError, ValueError, pydantic.ValidationError) as error:
        raise FileError(f"{folder.path / 'spec.toml'} is not of this version of gradflip: {error}.") from error


def _families(experiments: Sequence[Experiment]) -> tuple[Family, ...]:
    by_name = {experiment.family.name: experiment.family for experiment in experiments}
    return tuple(by_name.values())
