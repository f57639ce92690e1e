"""The lazy regime: the ball around an initialisation, and training that stays inside it."""

from gradflip.lazy._ball import LazyBall
from gradflip.lazy._cone import ConeDistance
from gradflip.lazy._diagnostics import SignChanges, linearization_error, neuron_distances, sign_changes
from gradflip.lazy._fit import Fit, StopReason
from gradflip.lazy._gradient_change import largest_gradient_change
from gradflip.lazy._plane_section import PlanePoint, WeightPlane
from gradflip.lazy._sgd import train, train_through
from gradflip.lazy._sign_changes import crowding_perturbation, sign_change_bound, switchable_neurons
from gradflip.lazy._smallest_gradient import SmallestGradient, smallest_gradient
from gradflip.lazy.adversarial import PUBLISHED, TEXT, Variant, train_adversarially, train_many_adversarially

__all__ = [
    "PUBLISHED",
    "TEXT",
    "ConeDistance",
    "Fit",
    "LazyBall",
    "PlanePoint",
    "SignChanges",
    "SmallestGradient",
    "StopReason",
    "Variant",
    "WeightPlane",
    "crowding_perturbation",
    "largest_gradient_change",
    "linearization_error",
    "neuron_distances",
    "sign_change_bound",
    "sign_changes",
    "smallest_gradient",
    "switchable_neurons",
    "train",
    "train_adversarially",
    "train_many_adversarially",
    "train_through",
]
