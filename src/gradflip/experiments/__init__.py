"""Experiments as values: a question, a grid of cells, a pure function from a cell to rows, and a figure.

Nothing here imports torch: the command line reads declarations only, and workers import the measures.
"""

from gradflip.experiments._bibtex import bibtex
from gradflip.experiments._environment import environment
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._family import Chapter, Family
from gradflip.experiments._group import COMPARED, MAIN, Group
from gradflip.experiments._plan import Plan, plan, plan_of
from gradflip.experiments._registry import EXPERIMENTS, MEASURES, select_experiments
from gradflip.experiments._run import Outcome, prepare_data, run
from gradflip.experiments._settings import Settings
from gradflip.experiments.adversarial._cells import VARIANTS
from gradflip.experiments.adversarial._claims import ATTACKS
from gradflip.experiments.ball._claims import CHOSEN, FIXED, IN_BALL, IN_CONE, INDEPENDENT, OUTSIDE
from gradflip.experiments.random._shapes import GROWING, PAPERS, SHAPES, covered

__all__ = [
    "ATTACKS", "CHOSEN", "COMPARED", "EXPERIMENTS", "FIXED", "GROWING", "INDEPENDENT", "IN_BALL", "IN_CONE", "MAIN",
    "MEASURES", "OUTSIDE", "PAPERS", "SHAPES", "VARIANTS", "Chapter", "Experiment", "Family", "Group", "Outcome",
    "Plan", "Settings", "bibtex", "covered", "environment", "plan", "plan_of", "prepare_data", "run",
    "select_experiments",
]  # fmt: skip
