"""Certificates: proofs that every network of a ball misclassifies points, one by one or jointly, and their checks."""

from gradflip.certificates._certificate import Certificate, certify
from gradflip.certificates._flip_budget import FlipBudget, flip_budget
from gradflip.certificates._groups import opposite_groups
from gradflip.certificates._joint import JointCertificate, certify_jointly
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
