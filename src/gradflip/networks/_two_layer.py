"""Two-layer networks f(x) = m^(-1/2) sum_j a_j sigma(w_j . x + b_j) + c, in either of the papers' scalings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast, final, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gradflip._checks import array, finite
from gradflip._errors import FileError, UsageError
from gradflip._memory import rows_per_block
from gradflip._seeds import generator
from gradflip.networks._activation import Activation, activation, is_built_in
from gradflip.networks._files import read_arrays, write_tensors
from gradflip.networks._form import Scaling, checked_form, one_number, random_output_bias, signs
from gradflip.networks._from_module import weights_of
from gradflip.networks._network import Network

_BLOCK = 2**25  # pre-activations of a forward or backward pass


@final
class TwoLayer(Network):
    """The network f(x) = m^(-1/2) sum_j a_j sigma(w_j . x + b_j) + c of width m on inputs of dimension d.

    A frozen value that computes in the type of its weights. `gradient_ray` and `flip` take products in that type too
    (float32 for float16 weights) and sums over neurons in float64; for smooth activations, and on rows that float32
    cannot settle, `flip` takes both in float64.

    Attributes:
        W: First-layer weights, `(m, d)`.
        a: Top weights, `(m,)`; +-1 in the papers.
        bias: First-layer biases, `(m,)`, or `None`.
        output_bias: The constant c, or `None`.
        activation: sigma, an `Activation`.
        scaling: `"unit"` (w_j ~ N(0, I_d), inputs of norm 1) or `"sqrt-d"` (w_j ~ N(0, I_d / d), inputs of norm sqrt
            d).

    Source: Montanari & Wu (2022); Wang et al. (2022), Section 2.1; docs/mathematics/model.md, "Networks".
    """

    __slots__ = ("W", "a", "activation", "bias", "output_bias", "scaling")

    W: Tensor
    a: Tensor
    bias: Tensor | None
    output_bias: float | None
    activation: Activation
    scaling: Scaling

    def __init__(
        self,
        W: Tensor,
        a: Tensor,
        bias: Tensor | None = None,
        output_bias: float | Tensor | None = None,
        activation: str | Activation = "relu",
        scaling: Scaling = "unit",
    ) -> None:
        """Take the weights without a copy; they must not change afterwards.

        Args:
            W: First-layer weights.
            a: Top weights, without the factor m^(-1/2).
            bias: First-layer biases, or `None`.
            output_bias: The constant c, or `None`.
            activation: A name or an `Activation`.
            scaling: Scaling of the weights.

        Raises:
            UsageError: If shapes or types do not fit together, or a weight is not finite.

        Shape:
            W `(m, d)`, a `(m,)`, bias `(m,)`, output_bias a number.
        """
        if W.ndim != 2 or not W.numel():
            raise UsageError(f"W must have shape (width, dim) with both at least 1, got {tuple(W.shape)}.")
        if not W.is_floating_point():
            raise UsageError(f"W must hold floating-point numbers, got {W.dtype}; convert it with W.float().")
        for name, row in (("a", a), ("bias", bias)):
            if row is None:
                continue
            if row.shape != W.shape[:1]:
                raise UsageError(
                    f"{name} must have shape ({W.shape[0]},), one entry per row of W, got {tuple(row.shape)}."
                )
            if row.device != W.device:
                raise UsageError(f"{name} must be on the device of W, {W.device}, got {row.device}.")
        constant = None if output_bias is None else one_number(output_bias)
        for name, given in (("W", W), ("a", a), ("bias", bias)):
            if given is not None:
                finite(name, given)
        if scaling not in get_args(Scaling):
            raise UsageError(f"scaling must be 'unit' or 'sqrt-d', got {scaling!r}.")
        fields = {
            "W": W.detach(),
            "a": a.detach().to(W.dtype),
            "bias": None if bias is None else bias.detach().to(W.dtype),
            "output_bias": constant,
            "activation": _activation(activation),
            "scaling": scaling,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a TwoLayer is frozen; build another with {name} changed.")

    def __reduce__(self) -> tuple[Any, ...]:
        which = self.activation.name if is_built_in(self.activation) else self.activation
        return TwoLayer, (self.W, self.a, self.bias, self.output_bias, which, self.scaling)

    def __repr__(self) -> str:
        parts = [f"dim={self.dim}", f"width={self.width}", f"activation={self.activation.name!r}"]
        parts += [f"scaling={self.scaling!r}", f"bias={self.bias is not None}", f"output_bias={self.output_bias}"]
        return f"TwoLayer({', '.join(parts)}, dtype={self.W.dtype}, device={str(self.W.device)!r})"

    @property
    def dim(self) -> int:
        """Input dimension d."""
        return self.W.shape[1]

    @property
    def width(self) -> int:
        """Number m of hidden units."""
        return self.W.shape[0]

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return self.W.dtype

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.W.device

    def __call__(self, x: Float[Tensor, "... d"]) -> Float[Tensor, ...]:
        """f(x): see `value`."""
        return self.value(x)

    def value(self, x: Float[Tensor, "... d"]) -> Float[Tensor, ...]:
        """f(x), in the type of the weights.

        Args:
            x: Inputs.

        Returns:
            One value per input.

        Raises:
            UsageError: If x has the wrong dimension or is not finite.

        Shape:
            x `(..., d)`, result `(...)`.
        """
        rows = self._rows(x)
        out = rows.new_empty(len(rows))
        for block in self._blocks(len(rows)):
            out[block] = self.activation(self._preactivations(rows[block])) @ self.a
        return (out / math.sqrt(self.width) + (self.output_bias or 0.0)).reshape(x.shape[:-1])

    def gradient(self, x: Float[Tensor, "... d"]) -> Float[Tensor, "... d"]:
        """grad_x f(x), in the type of the weights.

        Args:
            x: Inputs.

        Returns:
            One gradient per input.

        Raises:
            UsageError: If x has the wrong dimension or is not finite.

        Shape:
            x and result `(..., d)`.
        """
        rows = self._rows(x)
        out = torch.empty_like(rows)
        for block in self._blocks(len(rows)):
            out[block] = (self.activation.derivative(self._preactivations(rows[block])) * self.a) @ self.W
        return (out / math.sqrt(self.width)).reshape(x.shape)

    def value_and_gradient(self, x: Float[Tensor, "... d"]) -> tuple[Float[Tensor, ...], Float[Tensor, "... d"]]:
        """f(x) and grad_x f(x), in the type of the weights.

        Args:
            x: Inputs.

        Returns:
            One value and one gradient per input.

        Raises:
            UsageError: If x has the wrong dimension or is not finite.

        Shape:
            x and the gradients `(..., d)`, the values `(...)`.
        """
        rows, root = self._rows(x), math.sqrt(self.width)
        value, gradient = rows.new_empty(len(rows)), torch.empty_like(rows)
        for block in self._blocks(len(rows)):
            u = self._preactivations(rows[block])
            value[block] = self.activation(u) @ self.a
            gradient[block] = (self.activation.derivative(u) * self.a) @ self.W
        return (value / root + (self.output_bias or 0.0)).reshape(x.shape[:-1]), (gradient / root).reshape(x.shape)

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> TwoLayer:
        """The same network on another device or in another type.

        Args:
            device: The device, or `None` to keep it.
            dtype: Type of the weights, or `None` to keep it.

        Returns:
            The network; this object if nothing changes.
        """
        device, dtype = device or self.W.device, dtype or self.W.dtype
        if torch.device(device) == self.W.device and dtype == self.W.dtype:
            return self
        bias = None if self.bias is None else self.bias.to(device, dtype)
        return self._with(W=self.W.to(device, dtype), a=self.a.to(device, dtype), bias=bias)

    def rescale(self, to: Scaling) -> TwoLayer:
        """The same function in the other scaling: f'(x') = f(x) for the rescaled input x'.

        From `unit` to `sqrt-d`, x' = sqrt(d) x and W' = W / sqrt(d); biases do not rescale (docs/mathematics/model.md,
        "Scalings").

        Args:
            to: `"unit"` or `"sqrt-d"`.

        Returns:
            The network; this object if it already has that scaling.

        Raises:
            UsageError: If there is no such scaling.
        """
        if to not in get_args(Scaling):
            raise UsageError(f"to must be 'unit' or 'sqrt-d', got {to!r}.")
        if to == self.scaling:
            return self
        factor = math.sqrt(self.dim)
        return self._with(W=self.W * factor if to == "unit" else self.W / factor, scaling=to)

    @staticmethod
    def random(
        dim: int,
        width: int,
        *,
        scaling: Scaling = "unit",
        bias: bool = False,
        output_bias: bool = False,
        activation: str | Activation = "relu",
        seed: int = 0,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
    ) -> TwoLayer:
        """A network at random initialisation: w_j ~ N(0, I_d) (`unit`) or N(0, I_d / d) (`sqrt-d`), a_j = +-1.

        One seed gives the same function in both scalings, in every type and on every device.

        Args:
            dim: Input dimension d.
            width: Number m of hidden units.
            scaling: `"unit"` or `"sqrt-d"`.
            bias: Whether there are hidden biases b_j ~ N(0, 1).
            output_bias: Whether there is a constant c = +-1/sqrt(m), as in the published runs.
            activation: A name or an `Activation`.
            seed: Seed of the weights.
            dtype: Type of the weights; torch's default type if not given.
            device: Device of the network. The numbers are drawn on the CPU.

        Returns:
            A network.

        Raises:
            UsageError: If dim or width is not a positive integer, or there is no such scaling.

        Source: Wang et al. (2022), Definition 2.1; docs/mathematics/published-protocol.md, "Standard training" for the
            biases.
        """
        dim, width = checked_form(dim, width, scaling)
        dtype = dtype or torch.get_default_dtype()
        draw = generator(seed, "weights")
        W = torch.randn(width, dim, generator=draw, dtype=torch.float64)
        a = signs(width, seed, "top")
        b = torch.randn(width, generator=generator(seed, "bias"), dtype=torch.float64) if bias else None
        c = random_output_bias(width, seed) if output_bias else None
        network = TwoLayer(W, a, b, c, activation).rescale(scaling)
        return network.to(device=device, dtype=dtype)

    @staticmethod
    def from_module(module: nn.Module) -> TwoLayer:
        """The network that a PyTorch module computes: `Sequential(Linear(d, m), activation, Linear(m, 1))`.

        A leading `Flatten` is allowed. The top weights are multiplied by sqrt(m), since f carries the factor m^(-1/2).

        Args:
            module: The module; it is not changed.

        Returns:
            A network in `unit` scaling (its weights as they are).

        Raises:
            UsageError: If the module has another form.
        """
        return TwoLayer(*weights_of(module))

    def save(self, path: str | Path, *, about: Mapping[str, str] | None = None) -> None:
        """Write weights and form to a safetensors file (no pickle).

        Args:
            path: The file, `.safetensors`.
            about: Further entries of its header, which `load` ignores.

        Raises:
            UsageError: If the activation is not a built-in one: its code cannot be saved.
            FileError: If the file cannot be written.
        """
        if not is_built_in(self.activation):
            raise UsageError(f"only built-in activations can be saved, got {self.activation.name!r}.")
        tensors = {"W": self.W, "a": self.a}
        if self.bias is not None:
            tensors["bias"] = self.bias
        if self.output_bias is not None:
            tensors["output_bias"] = torch.tensor(self.output_bias, dtype=torch.float64)
        own = {"format": "gradflip.TwoLayer/1", "activation": self.activation.name, "scaling": self.scaling}
        write_tensors(path, tensors, {**(about or {}), **own})

    @staticmethod
    def load(path: str | Path, *, activation: str | Activation | None = None) -> TwoLayer:
        """Read a network from a safetensors or npz file with keys W, a, and optionally bias, output_bias, scaling.

        Args:
            path: The file, `.safetensors` (as written by `save`) or `.npz`.
            activation: The activation if the file does not name it; relu if neither does.

        Returns:
            A network.

        Raises:
            FileError: If the file is missing or damaged, or lacks a key, or its arrays do not form a network.
            UsageError: If there is no such activation, or the file names another.
        """
        asked = None if activation is None else _activation(activation)
        arrays, about = read_arrays(Path(path))
        for key in ("W", "a"):
            if key not in arrays:
                raise FileError(f"{path} has no array {key!r}; it must hold W (m, d) and a (m,), got {sorted(arrays)}.")
        named, scaling = about.get("activation"), about.get("scaling", "unit")
        if named and asked and named != asked.name:
            raise UsageError(f"{path} names activation {named!r}, got activation={asked.name!r}; leave it out.")
        if scaling not in get_args(Scaling):
            raise FileError(f"{path}: scaling must be 'unit' or 'sqrt-d', got {scaling!r}.")
        try:
            return TwoLayer(
                arrays["W"],
                arrays["a"],
                arrays.get("bias"),
                arrays.get("output_bias"),
                named or asked or "relu",
                cast(Scaling, scaling),
            )
        except UsageError as error:
            raise FileError(f"{path}: {error}") from error

    def _with(self, **changed: Any) -> TwoLayer:
        fields = {name: getattr(self, name) for name in self.__slots__}
        return TwoLayer(**(fields | changed))

    def _preactivations(self, rows: Tensor) -> Tensor:
        return rows @ self.W.mT if self.bias is None else torch.addmm(self.bias, rows, self.W.mT)

    def _rows(self, x: Tensor) -> Tensor:
        """The inputs as an `(n, d)` matrix of the weights' type and device."""
        x = array("x", x)
        if x.ndim == 0 or x.shape[-1] != self.dim:
            raise UsageError(f"x must have shape (..., {self.dim}), the dimension of W, got {tuple(x.shape)}.")
        if x.device != self.W.device:
            raise UsageError(f"x must be on the device of the network, {self.W.device}, got {x.device}.")
        finite("x", x)
        return x.reshape(-1, self.dim).to(self.W.dtype)

    def _blocks(self, n: int) -> Iterator[slice]:
        size = rows_per_block(_BLOCK, self.width)
        return (slice(start, start + size) for start in range(0, n, size))


# inside the functions above, `activation` is a parameter
_activation = activation
