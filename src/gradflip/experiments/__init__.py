"""The experiments of the papers as data: a question, a grid of cells, one pure function cell -> rows, how it is drawn.

Nothing here imports torch: declarations are read by the command line; the measures are imported by the workers.
"""

from gradflip.experiments._bibtex import bibtex
from gradflip.experiments._environment import environment
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._family import Family
from gradflip.experiments._plan import Plan, folder_settings, plan
from gradflip.experiments._registry import EXPERIMENTS, named
from gradflip.experiments._run import Outcome, prepare_data, run
from gradflip.experiments._settings import LazyGrid, Settings
from gradflip.experiments.adversarial._cells import WAYS
from gradflip.experiments.adversarial._claims import ATTACKS
from gradflip.experiments.adversarial._experiment import AdversarialExperiment
from gradflip.experiments.ball._claims import CHOSEN, FIXED, IN_BALL, IN_CONE, INDEPENDENT, OUTSIDE
from gradflip.experiments.ball._experiment import BallExperiment
from gradflip.experiments.lazy._experiment import LazyExperiment
from gradflip.experiments.random._cells import Ensemble
from gradflip.experiments.random._experiment import RandomExperiment
from gradflip.experiments.random._shapes import GROWING, PAPERS, SHAPES, covered

__all__ = [
    "ATTACKS", "CHOSEN", "EXPERIMENTS", "FIXED", "GROWING", "INDEPENDENT", "IN_BALL", "IN_CONE", "OUTSIDE", "PAPERS",
    "SHAPES", "WAYS", "AdversarialExperiment", "BallExperiment", "Ensemble", "Experiment", "Family", "LazyExperiment",
    "LazyGrid", "Outcome", "Plan", "RandomExperiment", "Settings", "bibtex", "covered", "environment",
    "folder_settings", "named", "plan", "prepare_data", "run",
]  # fmt: skip
