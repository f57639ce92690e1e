"""Attacks that search for a perturbation within a budget, where `rays` finds the smallest along one direction."""

from gradflip.attacks._ascent import TwoLayerAscent
from gradflip.attacks._pgd import Attack, ascend, pgd, rounded_budget

__all__ = ["Attack", "TwoLayerAscent", "ascend", "pgd", "rounded_budget"]
