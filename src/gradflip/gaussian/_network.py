"""Networks at random initialisation, of any width and depth, whose weights need not be built."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, final, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._checks import array, finite, one_of, positive, positive_int
from gradflip._errors import UsageError
from gradflip._memory import free_memory
from gradflip._seeds import generator
from gradflip.gaussian._dense import DenseGaussian
from gradflip.gaussian._implicit import ImplicitGaussian
from gradflip.gaussian._matrix import GaussianMatrix
from gradflip.networks import Activation, Network, activation

Top = Literal["sign", "gaussian"]


@final
class RandomNetwork(Network):
    """A network at random initialisation, in `sqrt-d` scaling, accessed through products with its weights.

    f(x) = n_L^(-1/2) a . h_L with h_l = sigma(W_l h_(l-1)), h_0 = x; the entries of W_l are i.i.d.
    N(0, weight_variance / n_(l-1)).

    An implicit network never builds a W_l: its products are sampled conditionally on all earlier ones, so that all
    results have exactly the law of a network in memory. It remembers its queries and repeats its answers; the numbers
    drawn depend on the seed and on the order of the queries. float64 on the CPU.

    Args:
        widths: [d, n_1, ..., n_L]: the input dimension and the widths of the hidden layers.
        activation: sigma, by name or as an `Activation`.
        weight_variance: c_sigma; 2 is the initialisation of He et al. for relu.
        top: a_j of +-1, or N(0, 1).
        seed: Seed of the weights.
        implicit: Whether the matrices are never built, instead of drawn and stored.
        draws: Number of independent networks, each with its own inputs; `None` for a single one.

    Raises:
        UsageError: If widths are not positive integers, the activation has no derivative, or the
            network does not fit in memory.

    Shape:
        Memory O(k sum of widths) after k products with each matrix; for explicit matrices, the sum of their sizes.

    Source: Montanari & Wu (2022), Section 2; conditioning as in their proofs; docs/mathematics/random-networks.md,
        "Implicit matrices".
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: str | Activation = "relu",
        weight_variance: float = 1.0,
        top: Top = "sign",
        seed: int = 0,
        implicit: bool = True,
        draws: int | None = None,
    ) -> None:
        self.widths = _checked_widths(widths)
        self.activation = _checked_activation(activation)
        weight_variance = positive("weight_variance", weight_variance)
        one_of("top", top, get_args(Top))
        draws = None if draws is None else positive_int("draws", draws, expected="a positive integer or None")
        self.weight_variance, self.top, self.seed = float(weight_variance), top, seed
        self.implicit, self.draws = implicit, draws
        self._check_memory()
        lead = () if draws is None else (draws,)
        top_draw = generator(seed, "random network, top")
        if top == "sign":
            signs = torch.randint(2, (*lead, self.widths[-1]), generator=top_draw, dtype=torch.int8)
            self.a = signs.to(torch.float64).mul_(2).sub_(1)
        else:
            self.a = torch.randn(*lead, self.widths[-1], generator=top_draw, dtype=torch.float64)
        kind = ImplicitGaussian if implicit else DenseGaussian
        self.layers: tuple[GaussianMatrix, ...] = tuple(
            kind(
                (rows, columns),
                math.sqrt(weight_variance / columns),
                generator=generator(seed, f"random network, layer {index}"),
                draws=draws,
            )
            for index, (columns, rows) in enumerate(zip(self.widths, self.widths[1:], strict=False), start=1)
        )

    @property
    def dim(self) -> int:
        """Input dimension d."""
        return self.widths[0]

    @property
    def dtype(self) -> torch.dtype:
        """float64."""
        return torch.float64

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    @property
    def depth(self) -> int:
        """Number L of hidden layers."""
        return len(self.layers)

    def __call__(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """Values of f at a batch of inputs.

        Args:
            x: Inputs; separate ones for each of `draws` networks.

        Returns:
            Values.

        Raises:
            UsageError: If x has the wrong shape or is not finite.

        Shape:
            x `(n, d)`, or `(draws, n, d)`; result `(n,)`, or `(draws, n)`. One product with each matrix.
        """
        return self.value(x)

    def value(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch"]:
        """Values of f: the same as a call.

        Args:
            x: Inputs, as for a call.

        Returns:
            Values.

        Raises:
            UsageError: If x has the wrong shape or is not finite.
        """
        return self._top(self._pre_activations(self._checked(x))[-1])

    def gradient(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
        """The gradient of f at a batch of inputs.

        Args:
            x: Inputs, as for a call.

        Returns:
            Gradients.

        Raises:
            UsageError: If x has the wrong shape or is not finite.

        Shape:
            x and result `(n, d)`, or `(draws, n, d)`. Two products with each matrix.
        """
        return self.value_and_gradient(x)[1]

    def value_and_gradient(
        self, x: Float[Tensor, "*batch d"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch d"]]:
        """Values and gradients of f, sharing their products.

        Args:
            x: Inputs, as for a call.

        Returns:
            f and its gradient.

        Raises:
            UsageError: If x has the wrong shape or is not finite.
        """
        below = self._pre_activations(self._checked(x))
        value = self._top(below[-1])
        q = self.a.unsqueeze(-2) / math.sqrt(self.widths[-1])
        for W, z in zip(reversed(self.layers), reversed(below), strict=True):
            q = W.rmatvec(q * self.activation.derivative(z))
        return value, q

    def _pre_activations(self, x: Tensor) -> list[Tensor]:
        layers: list[Tensor] = []
        for W in self.layers:
            layers.append(W.matvec(x if not layers else self.activation(layers[-1])))
        return layers

    def _top(self, z: Tensor) -> Tensor:
        """n^(-1/2) a . sigma(z)."""
        value = (self.activation(z) @ self.a.unsqueeze(-1)).squeeze(-1)
        return value / math.sqrt(self.widths[-1])

    def _checked(self, x: Tensor) -> Tensor:
        x = array("x", x)
        form = ("n",) if self.draws is None else (self.draws, "n")
        if x.ndim != len(form) + 1 or x.shape[-1] != self.dim or (self.draws or x.shape[0]) != x.shape[0]:
            wanted = ", ".join(map(str, (*form, self.dim)))
            raise UsageError(f"x must have shape ({wanted}), one input a row, got {tuple(x.shape)}.")
        finite("x", x)
        return x.to(torch.float64)

    def _check_memory(self) -> None:
        """Refuse a network that cannot fit before allocating anything."""
        pairs = list(zip(self.widths, self.widths[1:], strict=False))
        one = sum(p * q for p, q in pairs) if not self.implicit else sum(2 * (p + q) for p, q in pairs)
        need, free = 8 * one * (self.draws or 1), free_memory(torch.device("cpu"))
        if free is None or need <= free:
            return
        what = "its first two products with each matrix" if self.implicit else "explicit matrices"
        instead = "fewer draws or smaller widths" if self.implicit else "implicit=True, fewer draws or smaller widths"
        raise UsageError(
            f"widths {list(self.widths)} need {need:.3g} bytes for {what}, and {free:.3g} are free; use {instead}."
        )


def _checked_widths(widths: Sequence[int]) -> tuple[int, ...]:
    given = tuple(widths) if isinstance(widths, list | tuple) else ()
    if len(given) < 2:
        raise UsageError(
            f"widths must list the input dimension and at least one hidden width, such as [100, 1000], got {widths!r}."
        )
    where = f" in {list(given)!r}"
    return tuple(positive_int("widths", width, expected="positive integers", hint=where) for width in given)


def _checked_activation(which: str | Activation) -> Activation:
    if not isinstance(which, str | Activation):
        raise UsageError(
            f"activation must be a name such as 'relu' or an Activation with its derivative, got {which!r}."
        )
    return activation(which)
