"""An implicit network has the law of one in memory, and the tests that say so can tell when it has not."""

import pytest
import torch

from gradflip.gaussian import ImplicitGaussian
from gradflip.gaussian._observed import Observed
from joint_laws import COLUMNS, closed_form_sample, comparisons, joint_sample, smallest_p

WIDTHS = {1: [9, 23], 2: [12, 40, 5], 3: [8, 17, 31, 12], 4: [11, 24, 7, 19, 14]}
ALL = [(depth, activation) for depth in WIDTHS for activation in ("relu", "tanh", "abs", "gelu")]
USUAL = [(2, "relu"), (4, "tanh")]
LEVEL = 1e-3 / (len(ALL) * comparisons(len(COLUMNS)))


def samples(depth: int, activation: str) -> tuple[torch.Tensor, torch.Tensor]:
    dense = joint_sample(WIDTHS[depth], activation, implicit=False, seed=1)
    return dense, joint_sample(WIDTHS[depth], activation, implicit=True, seed=2)


@pytest.mark.parametrize(("depth", "activation"), USUAL)
def test_implicit_networks_have_the_joint_law_of_explicit_ones(depth, activation):
    assert smallest_p(*samples(depth, activation)) > LEVEL


@pytest.mark.laws
@pytest.mark.parametrize(("depth", "activation"), [case for case in ALL if case not in USUAL])
def test_implicit_networks_have_the_joint_law_of_explicit_ones_everywhere(depth, activation):
    assert smallest_p(*samples(depth, activation)) > LEVEL


@pytest.mark.parametrize("activation", ["relu", pytest.param("gelu", marks=pytest.mark.laws)])
def test_the_closed_form_of_two_layers_has_the_law_of_explicit_networks(activation):
    widths = WIDTHS[1]
    dense = joint_sample(widths, activation, implicit=False, seed=1)[:, :4]
    assert smallest_p(dense, closed_form_sample(*widths, activation, seed=3)) > LEVEL


def without_projection(self, g):
    """(I - Q^T Q) left out."""
    return g


def without_earlier_products(self, x, *, seen, other):
    """The term Q_L (Z^T e) left out."""
    C, L, E = seen.split(x)
    image = C @ seen.images
    if E.shape[-2]:
        We = other.reject(self._normal(E, other.basis.shape[-1]))
        seen.append(E, We)
        image += L @ We
    return image


def with_too_much_variance(normal):
    """5 % more variance."""
    return lambda self, *rest: normal(self, *rest) * 1.05**0.5


MUTANTS = {
    "no projection off the left basis": (Observed, "reject", without_projection),
    "no term of earlier left products": (ImplicitGaussian, "_multiply", without_earlier_products),
    "variance wrong by 5 %": (ImplicitGaussian, "_normal", with_too_much_variance(ImplicitGaussian._normal)),
}


@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize(("depth", "activation"), USUAL)
def test_a_wrong_conditional_law_is_caught(mutant, depth, activation, monkeypatch):
    monkeypatch.setattr(*MUTANTS[mutant])
    assert smallest_p(*samples(depth, activation)) < LEVEL
