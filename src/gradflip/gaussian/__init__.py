"""Random weights that are never stored, and networks built on them."""

from gradflip.gaussian._dense import DenseGaussian
from gradflip.gaussian._implicit import ImplicitGaussian
from gradflip.gaussian._matrix import GaussianMatrix
from gradflip.gaussian._network import RandomNetwork
from gradflip.gaussian._two_layer import TwoLayerDraws, draw_two_layer

__all__ = [
    "DenseGaussian", "GaussianMatrix", "ImplicitGaussian", "RandomNetwork", "TwoLayerDraws", "draw_two_layer",
]  # fmt: skip
