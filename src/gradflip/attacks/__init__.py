"""Attacks that search for a perturbation within a budget, where `rays` finds the smallest along one direction."""

from gradflip.attacks._pgd import Attack, ascend, pgd, rounded_budget
from gradflip.attacks._stack import TwoLayerStack

__all__ = ["Attack", "TwoLayerStack", "ascend", "pgd", "rounded_budget"]
