"""What no network of the ball can do: proofs for single points and for groups, and their verification."""

from gradflip.certificates._certificate import Certificate, certify
from gradflip.certificates._flip_budget import FlipBudget, flip_budget
from gradflip.certificates._joint import JointCertificate, certify_jointly, opposite_groups
from gradflip.certificates._verify import JointVerification, Verification, verify

__all__ = [
    "Certificate",
    "FlipBudget",
    "JointCertificate",
    "JointVerification",
    "Verification",
    "certify",
    "certify_jointly",
    "flip_budget",
    "opposite_groups",
    "verify",
]
