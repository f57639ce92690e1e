"""Attacks that search for a perturbation within a budget, where `rays` finds the smallest along one direction."""

from gradflip.attacks._pgd import Attack, ascend, pgd, rounded_budget
from gradflip.attacks._steps import AttackSteps, attack_steps
from gradflip.networks._stacked import TwoLayerStack

__all__ = ["Attack", "AttackSteps", "TwoLayerStack", "ascend", "attack_steps", "pgd", "rounded_budget"]
