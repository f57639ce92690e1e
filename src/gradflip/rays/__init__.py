"""From a network and a batch of inputs to gradient rays, and to the steps that flip the predictions."""

from gradflip.rays import _blocks as _blocks
from gradflip.rays import _streamed as _streamed
from gradflip.rays._abstract import AbstractRay
from gradflip.rays._bracketed import Bracketed
from gradflip.rays._files import flip_files
from gradflip.rays._flip import flip
from gradflip.rays._gradient_ray import gradient_ray
from gradflip.rays._newton import CertifiedNewton
from gradflip.rays._numba import bends_at_zero, left_slopes
from gradflip.rays._piecewise import PiecewiseLinear
from gradflip.rays._random_network import flip_draws
from gradflip.rays._ray import Ray
from gradflip.rays._result import Certainty, Flip, FlipStatus

__all__ = [
    "AbstractRay", "Bracketed", "Certainty", "CertifiedNewton", "Flip", "FlipStatus", "PiecewiseLinear", "Ray",
    "bends_at_zero", "flip", "flip_draws", "flip_files", "gradient_ray", "left_slopes",
]  # fmt: skip
