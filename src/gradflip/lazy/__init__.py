"""The lazy regime: the ball around an initialisation, and training that stays inside it."""

from gradflip.lazy._adversarial import train_adversarially, train_many_adversarially
from gradflip.lazy._ball import LazyBall
from gradflip.lazy._cone import ConeDistance
from gradflip.lazy._diagnostics import SignChanges, linearization_error, neuron_distances, sign_changes
from gradflip.lazy._fit import Fit, StopReason
from gradflip.lazy._sgd import train, train_through
from gradflip.lazy._variants import PUBLISHED, TEXT, Variant

__all__ = [
    "PUBLISHED",
    "TEXT",
    "ConeDistance",
    "Fit",
    "LazyBall",
    "SignChanges",
    "StopReason",
    "Variant",
    "linearization_error",
    "neuron_distances",
    "sign_changes",
    "train",
    "train_adversarially",
    "train_many_adversarially",
    "train_through",
]
