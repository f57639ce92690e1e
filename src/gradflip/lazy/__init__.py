"""The lazy regime: the ball around an initialisation, and training that stays inside it."""

from gradflip.lazy._adversarial import PUBLISHED, TEXT, Protocol, train_adversarially, train_many_adversarially
from gradflip.lazy._ball import ConeDistance, LazyBall
from gradflip.lazy._sgd import Fit, StopReason, train, train_through

__all__ = [
    "PUBLISHED",
    "TEXT",
    "ConeDistance",
    "Fit",
    "LazyBall",
    "Protocol",
    "StopReason",
    "train",
    "train_adversarially",
    "train_many_adversarially",
    "train_through",
]
