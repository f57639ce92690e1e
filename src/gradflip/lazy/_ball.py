"""The lazy regime B_(2,inf)(W_0, C0 / sqrt m): networks whose neurons are each within C0 / sqrt m of their start."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gradflip._errors import UsageError
from gradflip.lazy._cone import ConeDistance, cone_distance
from gradflip.lazy._extrema import checked_points, largest_margins, maximiser
from gradflip.lazy._row_ball import RowBall
from gradflip.lazy._rows import comparable, rows, with_rows
from gradflip.networks import TwoLayer


@dataclass(frozen=True, eq=False, repr=False, init=False, slots=True)
class LazyBall:
    """All networks each of whose neurons is within a radius of its start: max_j |w_j - w_(j,0)|_2 <= C0 / sqrt(m).

    With biases the rows are those of [W, b]. The ball is defined in `unit` scaling, to which `sqrt-d` networks are
    converted. Top weights and output bias are not trained: networks that differ in them share no ball.

    Args:
        network0: The initialisation, the centre.
        C0: The constant; the radius is C0 / sqrt(m).
        radius: The radius itself, instead of C0.

    Attributes:
        network0: The centre, in `unit` scaling.
        C0: The constant C0.
        radius: The radius.

    Raises:
        UsageError: If C0 or radius is not a positive finite number, or both are given.

    Source: Wang et al. (2022), Definition 2.1; docs/mathematics/lazy-training.md, "The ball".
    """

    network0: TwoLayer
    C0: float
    radius: float

    def __init__(self, network0: TwoLayer, C0: float | None = None, *, radius: float | None = None) -> None:
        """Fix the centre and the size."""
        if C0 is not None and radius is not None:
            raise UsageError("give C0 or radius, not both; the radius is C0 / sqrt(width).")
        given, name = (radius, "radius") if radius is not None else (10.0 if C0 is None else C0, "C0")
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < math.inf:
            raise UsageError(f"{name} must be positive and finite, got {given}.")
        root = math.sqrt(network0.width)
        object.__setattr__(self, "network0", network0.rescale("unit"))
        object.__setattr__(self, "radius", float(given) if radius is not None else given / root)
        object.__setattr__(self, "C0", given * root if radius is not None else float(given))

    def __repr__(self) -> str:
        return f"LazyBall(C0={self.C0:g}, radius={self.radius:g}, width={self.network0.width}, dim={self.network0.dim})"

    def deviations(self, network: TwoLayer) -> Float[Tensor, " m"]:
        """Distance of each neuron from its start, |w_j - w_(j,0)|, in float64 and `unit` scaling.

        Args:
            network: A network of the shape of the centre.

        Returns:
            One distance per neuron.

        Raises:
            UsageError: If the network cannot be compared with the centre.

        Shape:
            `(m,)`.
        """
        return self._geometry().distances((self._rows(network),))[0]

    def deviation(self, network: TwoLayer) -> float:
        """max_j |w_j - w_(j,0)|, in which distance the ball is round.

        Args:
            network: A network of the shape of the centre.

        Returns:
            The distance; the network is in the ball if it is at most `radius`.
        """
        return float(self.deviations(network).max())

    def contains(self, network: TwoLayer) -> bool:
        """Whether the network is in the lazy regime: `deviation(network) <= radius`.

        Args:
            network: A network of the shape of the centre.

        Returns:
            True if it is.
        """
        return self._geometry().contains((self._rows(network),))

    def project(self, network: TwoLayer) -> TwoLayer:
        """The nearest network of the ball: neurons outside move to its surface, the others are unchanged.

        The result is inside as `contains` measures it, with rounding.

        Args:
            network: A network of the shape of the centre.

        Returns:
            A network in the scaling and type of the given one; the same object if it is inside.

        Source: docs/mathematics/lazy-training.md, "Projection".
        """
        unit = comparable(network, self.network0)
        nearest = self._geometry().project((rows(unit),), eps=torch.finfo(unit.W.dtype).eps)
        (moved,) = nearest.moved
        if not bool(moved.any()):
            return network
        projected = with_rows(unit, nearest.weights[0]).rescale(network.scaling)
        W = torch.where(moved[:, None], projected.W, network.W)
        if network.bias is None or projected.bias is None:
            bias = None
        else:
            bias = torch.where(moved, projected.bias, network.bias)
        return TwoLayer(W, network.a, bias, network.output_bias, network.activation, network.scaling)

    def cone_distance(self, network: TwoLayer) -> ConeDistance:
        """Distance of the ray { c W : c > 0 } of a network from the centre: min over c of max_j |c w_j - w_(j,0)|.

        ReLU networks without output bias are positively homogeneous. What holds on the ball for sign f, s*|g| and rho
        therefore holds for every network with `cone_distance(network).distance <= radius`.

        Args:
            network: A network of the shape of the centre.

        Returns:
            The distance, and the scale c that attains it (0 if the minimum is only approached as c -> 0).

        Raises:
            UsageError: If the network is not positively homogeneous.

        Source: Wang et al. (2022), Figure 1; docs/mathematics/lazy-training.md, "The cone".
        """
        if not network.activation.homogeneous:
            raise UsageError(f"the cone needs a positively homogeneous activation, got {network.activation.name!r}.")
        if network.output_bias:
            raise UsageError(f"the cone needs a network without output bias, got {network.output_bias}.")
        return cone_distance(self._rows(network), rows(self.network0))

    def max_value(self, x: Float[Tensor, "n d"], y: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The largest y f(x; W) over the ball, exact up to rounding: neurons are independent at one input.

        Args:
            x: Inputs in `unit` scaling, whatever the scaling of the network the ball was built from.
            y: Labels, -1 or +1.

        Returns:
            The maximum at each input, attained by `extreme`, in float64. `certify` gives an upper bound that holds
            with rounding.

        Raises:
            UsageError: If a shape, an entry or a label is wrong, or the turning points of sigma are not known.

        Shape:
            x `(n, d)`, y and result `(n,)`. Time of one matrix product, memory for a block of it.

        Source: docs/mathematics/certificates.md, "Extremes over the ball".
        """
        return largest_margins(self.network0, self.radius, *checked_points(self.network0, x, y))

    def min_value(self, x: Float[Tensor, "n d"], y: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """The smallest y f(x; W) over the ball, which is minus the largest of the other label.

        Args:
            x: Inputs in `unit` scaling.
            y: Labels, -1 or +1.

        Returns:
            The minimum at each input, in float64.

        Raises:
            UsageError: As for `max_value`.
        """
        x, y = checked_points(self.network0, x, y)
        return -largest_margins(self.network0, self.radius, x, -y)

    def extreme(self, x: Float[Tensor, " d"], y: float | Float[Tensor, ""]) -> TwoLayer:
        """The network of the ball that attains `max_value` at one input.

        Its rows are w_(j,0) + t_j r x / |x| with t_j in [-1, 1], a little closer to the start where rounding could take
        them out of the ball. At x = 0 without biases, where all networks attain it, it is the centre.

        Args:
            x: One input in `unit` scaling.
            y: Its label, -1 or +1.

        Returns:
            A network in float64 and `unit` scaling.

        Raises:
            UsageError: As for `max_value`.
        """
        label = torch.as_tensor(y, dtype=torch.float64, device=self.network0.W.device).reshape(1)
        at, label = checked_points(self.network0, x.reshape(1, -1), label)
        network = self.network0.to(dtype=torch.float64)
        return self.project(with_rows(network, maximiser(network, self.radius, at, label)))

    def _geometry(self) -> RowBall:
        """The ball of the trained rows; built when asked for, since it holds the centre in float64."""
        return RowBall((rows(self.network0),), (self.radius,))

    def _rows(self, network: TwoLayer) -> Tensor:
        return rows(comparable(network, self.network0))
