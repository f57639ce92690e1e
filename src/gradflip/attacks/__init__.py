"""Attacks: search for a flip within a budget, where `rays` computes the smallest flip along one direction."""

from gradflip.attacks._budget import rounded_budget
from gradflip.attacks._pgd import Attack, ascend, pgd
from gradflip.attacks._steps import AttackSteps, attack_steps
from gradflip.networks._stacked import TwoLayerStack

__all__ = ["Attack", "AttackSteps", "TwoLayerStack", "ascend", "attack_steps", "pgd", "rounded_budget"]
