"""The two-layer networks of the papers: activations, scalings, values and gradients."""

from gradflip.networks._activation import ACTIVATIONS, Activation, activation
from gradflip.networks._form import Scaling
from gradflip.networks._network import Network
from gradflip.networks._streamed import NeuronBlock, StreamedTwoLayer
from gradflip.networks._two_layer import TwoLayer

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Network",
    "NeuronBlock",
    "Scaling",
    "StreamedTwoLayer",
    "TwoLayer",
    "activation",
]
