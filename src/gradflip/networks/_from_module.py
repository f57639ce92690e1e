"""The weights of a two-layer network from a PyTorch module."""

from __future__ import annotations

import math

from torch import Tensor, nn

from gradflip._errors import UsageError
from gradflip.networks._activation import Activation, activation


def weights_of(module: nn.Module) -> tuple[Tensor, Tensor, Tensor | None, float | None, Activation]:
    """W, a, bias, output bias and activation of `Sequential(Linear(d, m), activation, Linear(m, 1))`.

    Args:
        module: The module; it is not changed.

    Returns:
        Copies of the weights, with the top weights multiplied by sqrt(m).

    Raises:
        UsageError: If the module has another form.
    """
    layers = [layer for layer in module.children() if not isinstance(layer, nn.Flatten)]
    form = "Sequential(Linear(d, m), activation, Linear(m, 1))"
    if not isinstance(module, nn.Sequential) or len(layers) != 3:
        raise UsageError(f"module must be {form}, got {type(module).__name__} of {len(layers)} layers.")
    first, middle, top = layers
    if not isinstance(first, nn.Linear) or not isinstance(top, nn.Linear) or top.out_features != 1:
        raise UsageError(f"module must be {form}, got {', '.join(map(repr, layers))}.")
    c = None if top.bias is None else float(top.bias.detach())
    a = top.weight.detach()[0] * math.sqrt(first.out_features)
    bias = None if first.bias is None else first.bias.detach().clone()
    return first.weight.detach().clone(), a, bias, c, _activation_of(middle)


def _activation_of(layer: nn.Module) -> Activation:
    """The activation that a PyTorch layer computes."""
    if isinstance(layer, nn.LeakyReLU):
        return activation(f"leaky_relu({float(layer.negative_slope)!r})")
    if isinstance(layer, nn.GELU) and layer.approximate != "none":
        raise UsageError(f"the activation of module must be an exact GELU, got approximate={layer.approximate!r}.")
    if isinstance(layer, nn.Softplus) and (layer.beta != 1 or layer.threshold != 20):
        raise UsageError(f"the activation of module must be Softplus(beta=1, threshold=20), got {layer!r}.")
    names = {
        nn.ReLU: "relu", nn.Identity: "identity", nn.Tanh: "tanh", nn.GELU: "gelu", nn.Softplus: "softplus",
        nn.SiLU: "swish",
    }  # fmt: skip
    if type(layer) not in names:
        known = ", ".join(sorted(kind.__name__ for kind in [*names, nn.LeakyReLU]))
        raise UsageError(f"the activation of module must be one of {known}, got {type(layer).__name__}.")
    return activation(names[type(layer)])
