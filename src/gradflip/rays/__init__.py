"""A network and a batch of inputs -> the ray along the gradient -> the step that flips the prediction."""

from gradflip.rays._auto import flip
from gradflip.rays._bracketed import Bracketed
from gradflip.rays._compiled import bends_at_zero, left_slopes
from gradflip.rays._files import flip_files
from gradflip.rays._flip import Certainty, Flip, FlipStatus
from gradflip.rays._newton import CertifiedNewton
from gradflip.rays._piecewise import PiecewiseLinear
from gradflip.rays._products import gradient_ray
from gradflip.rays._random import flip_draws
from gradflip.rays._ray import Ray

__all__ = [
    "Bracketed", "Certainty", "CertifiedNewton", "Flip", "FlipStatus", "PiecewiseLinear", "Ray", "bends_at_zero",
    "flip", "flip_draws", "flip_files", "gradient_ray", "left_slopes",
]  # fmt: skip
