"""The experiments of the papers as data: a question, a grid of cells, one pure function cell -> rows, how it is drawn.

Nothing here imports torch: declarations are read by the command line; the measures are imported by the workers.
"""

from gradflip.experiments._adversarial_cells import WAYS
from gradflip.experiments._adversarial_claims import ATTACKS
from gradflip.experiments._adversarial_experiment import AdversarialExperiment
from gradflip.experiments._ball_claims import CHOSEN, FIXED, IN_BALL, IN_CONE, INDEPENDENT, OUTSIDE
from gradflip.experiments._ball_experiment import BallExperiment
from gradflip.experiments._bibtex import bibtex
from gradflip.experiments._experiment import Experiment
from gradflip.experiments._family import Family
from gradflip.experiments._lazy_experiment import LazyExperiment
from gradflip.experiments._random_cells import Ensemble
from gradflip.experiments._random_experiment import RandomExperiment
from gradflip.experiments._random_shapes import GROWING, PAPERS, SHAPES, covered
from gradflip.experiments._registry import EXPERIMENTS, named
from gradflip.experiments._run import Outcome, Plan, environment, folder_settings, plan, prepare_data, run
from gradflip.experiments._settings import LazyGrid, Settings

__all__ = [
    "ATTACKS", "CHOSEN", "EXPERIMENTS", "FIXED", "GROWING", "INDEPENDENT", "IN_BALL", "IN_CONE", "OUTSIDE", "PAPERS",
    "SHAPES", "WAYS", "AdversarialExperiment", "BallExperiment", "Ensemble", "Experiment", "Family", "LazyExperiment",
    "LazyGrid", "Outcome", "Plan", "RandomExperiment", "Settings", "bibtex", "covered", "environment",
    "folder_settings", "named", "plan", "prepare_data", "run",
]  # fmt: skip
