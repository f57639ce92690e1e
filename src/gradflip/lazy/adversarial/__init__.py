"""Projected adversarial training within a lazy ball, and its variants."""

from gradflip.lazy.adversarial._training import train_adversarially, train_many_adversarially
from gradflip.lazy.adversarial._variants import PUBLISHED, TEXT, Variant

__all__ = ["PUBLISHED", "TEXT", "Variant", "train_adversarially", "train_many_adversarially"]
