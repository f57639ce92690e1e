"""Random networks wider than memory: every pass draws the weights again, block by block."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._checks import inputs
from gradflip._errors import UsageError
from gradflip._memory import rows_per_block
from gradflip._seeds import generator
from gradflip.networks._activation import Activation, activation
from gradflip.networks._form import Scaling, checked_form, random_output_bias
from gradflip.networks._network import Network
from gradflip.networks._two_layer import TwoLayer

_BLOCK = 2**21  # weights, or pre-activations


class NeuronBlock(NamedTuple):
    """Consecutive neurons of a network and their weights."""

    part: slice
    W: Tensor
    a: Tensor
    bias: Tensor | None


@final
class StreamedTwoLayer(Network):
    """The network of `TwoLayer.random` with the same arguments, to the last bit, without storing its weights.

    Each pass draws the neurons again from the seed, in the order of `TwoLayer.random`. `flip` takes two such passes.
    Only time limits the width: 10^7 neurons on 784 pixels take 8 x 10^9 numbers per pass.

    Attributes:
        dim: Input dimension d.
        width: Number m of hidden units.
        scaling: `"unit"` or `"sqrt-d"`.
        bias: Whether there are hidden biases.
        output_bias: The constant c, or `None`.
        activation: sigma, an `Activation`.
        seed: Seed of the weights.
        dtype: Type of the weights, float32 or float64.

    Source: Wang et al. (2022), Definition 2.1.
    """

    __slots__ = ("activation", "bias", "dim", "dtype", "output_bias", "scaling", "seed", "width")

    activation: Activation
    bias: bool
    dim: int
    dtype: torch.dtype
    output_bias: float | None
    scaling: Scaling
    seed: int
    width: int

    def __init__(
        self,
        dim: int,
        width: int,
        *,
        scaling: Scaling = "unit",
        bias: bool = False,
        output_bias: bool = False,
        activation: str | Activation = "relu",
        seed: int = 0,
        dtype: torch.dtype | None = None,
    ) -> None:
        """Fix the network without drawing it.

        Args:
            dim: Input dimension d.
            width: Number m of hidden units.
            scaling: `"unit"` or `"sqrt-d"`.
            bias: Whether there are hidden biases b_j ~ N(0, 1).
            output_bias: Whether there is a constant c = +-1/sqrt(m).
            activation: A name or an `Activation`.
            seed: Seed of the weights.
            dtype: float32 or float64; torch's default type if not given.

        Raises:
            UsageError: If dim or width is not a positive integer, or there is no such scaling or type.
        """
        dim, width = checked_form(dim, width, scaling)
        dtype = dtype or torch.get_default_dtype()
        if dtype not in (torch.float32, torch.float64):
            raise UsageError(f"dtype must be torch.float32 or torch.float64, got {dtype}.")
        fields = {
            "dim": dim,
            "width": width,
            "scaling": scaling,
            "bias": bias,
            "output_bias": random_output_bias(width, seed) if output_bias else None,
            "activation": _activation(activation),
            "seed": seed,
            "dtype": dtype,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a StreamedTwoLayer is frozen; build another with {name} changed.")

    def __repr__(self) -> str:
        parts = [f"dim={self.dim}", f"width={self.width}", f"activation={self.activation.name!r}", f"seed={self.seed}"]
        return f"StreamedTwoLayer({', '.join(parts)}, scaling={self.scaling!r}, bias={self.bias}, dtype={self.dtype})"

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def value(self, x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
        """f(x), in one pass over the neurons.

        Args:
            x: Inputs.

        Returns:
            One value per input, in the type of the weights; summed over blocks of neurons in float64.

        Raises:
            UsageError: If x has the wrong shape or is not finite.
        """
        return self.value_and_gradient(x)[0]

    def value_and_gradient(self, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, " n"], Float[Tensor, "n d"]]:
        """f(x) and grad_x f(x), in one pass over the neurons.

        Args:
            x: Inputs.

        Returns:
            One value and one gradient per input, in the type of the weights; summed over blocks of neurons in float64.

        Raises:
            UsageError: If x has the wrong shape or is not finite.
        """
        x = inputs(x, self.dim, self.device).to(self.dtype)
        value = x.new_zeros(len(x), dtype=torch.float64)
        gradient = torch.zeros_like(x, dtype=torch.float64)
        for _, W, a, bias in self.blocks(rows=rows_per_block(_BLOCK, len(x))):
            u = x @ W.mT if bias is None else torch.addmm(bias, x, W.mT)
            value += self.activation(u) @ a
            gradient += (self.activation.derivative(u) * a) @ W
        root = math.sqrt(self.width)
        return (value / root + (self.output_bias or 0.0)).to(self.dtype), (gradient / root).to(self.dtype)

    def blocks(self, dtype: torch.dtype | None = None, *, rows: int | None = None) -> Iterator[NeuronBlock]:
        """Draw all neurons, block by block.

        Args:
            dtype: Type of the weights, if not the network's, to which they are rounded first.
            rows: Most neurons per block.

        Yields:
            Blocks in shared memory: each overwrites the previous one.
        """
        dtype = dtype or self.dtype
        draws = {name: generator(self.seed, name) for name in ("weights", "top", "bias")}
        ends = _ends(self.width, rows_per_block(_BLOCK, self.dim, most=rows or self.width))
        largest = max(end - start for start, end in ends)
        drawn = torch.empty((largest, self.dim), dtype=torch.float64)
        W = torch.empty_like(drawn, dtype=self.dtype)
        for start, end in ends:
            count = end - start
            numbers = drawn[:count].normal_(generator=draws["weights"])
            if self.scaling == "sqrt-d":
                numbers /= math.sqrt(self.dim)
            W[:count].copy_(numbers)
            a = torch.randint(0, 2, (count,), generator=draws["top"]).to(self.dtype) * 2 - 1
            b = torch.randn(count, generator=draws["bias"], dtype=torch.float64) if self.bias else None
            b = None if b is None else b.to(self.dtype).to(dtype)
            yield NeuronBlock(slice(start, end), W[:count].to(dtype), a.to(dtype), b)

    def stored(self) -> TwoLayer:
        """The same network with its weights in memory.

        Returns:
            The network of `TwoLayer.random`.
        """
        form: dict[str, Any] = {
            name: getattr(self, name) for name in ("scaling", "bias", "activation", "seed", "dtype")
        }
        return TwoLayer.random(self.dim, self.width, output_bias=self.output_bias is not None, **form)


# inside the class, the name denotes an attribute
_activation = activation


def _ends(width: int, rows: int) -> list[tuple[int, int]]:
    # torch draws normal numbers in groups of sixteen: cut at multiples of 16 neurons, with the last piece at least that
    # long, the pieces agree with one long draw
    rows = max(16, rows // 16 * 16)
    starts = list(range(0, width, rows))
    if len(starts) > 1 and width - starts[-1] < 16:
        starts.pop()
    return list(zip(starts, [*starts[1:], width], strict=True))
