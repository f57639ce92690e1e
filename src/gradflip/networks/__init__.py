"""The two-layer networks of the papers, their activations and scalings: value, gradient, products with W."""

from gradflip.networks._activation import ACTIVATIONS, Activation, activation
from gradflip.networks._streamed import NeuronBlock, StreamedTwoLayer
from gradflip.networks._two_layer import Scaling, TwoLayer

__all__ = ["ACTIVATIONS", "Activation", "NeuronBlock", "Scaling", "StreamedTwoLayer", "TwoLayer", "activation"]
