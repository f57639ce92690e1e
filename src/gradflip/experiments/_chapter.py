"""What a page says of one family of experiments: its first words, its theory, its tables, by what it is filtered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from gradflip.drawing import Table
from gradflip.experiments import Plan


@dataclass(frozen=True)
class Chapter:
    """What a page says of one family.

    Attributes:
        subject: What is flipped, in words that end the heading of the page.
        template: Its macros: `opening` of a run, `theory` of the claims.
        choices: The columns that a reader may choose the networks by, and what they are called.
        rows: The rows of a table that are of this family.
        summary: The few numbers of the first paragraph, from those rows.
        theory: What the paragraph on the theory needs, from the rows of all runs.
        listings: The tables of a run.
    """

    subject: str
    template: str
    choices: Mapping[str, str]
    rows: Callable[[pl.DataFrame], pl.DataFrame]
    summary: Callable[[pl.DataFrame], dict[str, Any]]
    theory: Callable[[list[pl.DataFrame]], dict[str, Any]]
    listings: Callable[[Plan, pl.DataFrame], list[Table]]
