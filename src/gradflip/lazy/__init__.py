"""The lazy regime: the ball around an initialisation, and training that stays inside it."""

from gradflip.lazy._adversarial import PUBLISHED, TEXT, Protocol, train_adversarially, train_many_adversarially
from gradflip.lazy._ball import ConeDistance, LazyBall
from gradflip.lazy._budget import FlipBudget, flip_budget
from gradflip.lazy._certificate import Certificate, certify
from gradflip.lazy._joint import JointCertificate, certify_jointly, opposite_groups
from gradflip.lazy._sgd import Fit, StopReason, train, train_through
from gradflip.lazy._verify import JointVerification, Verification, verify

__all__ = [
    "PUBLISHED",
    "TEXT",
    "Certificate",
    "ConeDistance",
    "Fit",
    "FlipBudget",
    "JointCertificate",
    "JointVerification",
    "LazyBall",
    "Protocol",
    "StopReason",
    "Verification",
    "certify",
    "certify_jointly",
    "flip_budget",
    "opposite_groups",
    "train",
    "train_adversarially",
    "train_many_adversarially",
    "train_through",
    "verify",
]
