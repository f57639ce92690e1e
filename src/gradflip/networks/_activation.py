"""Activations: a function, its derivative, and the known facts about its shape.

Whether an activation is piecewise linear decides whether a flip is exact; how much it bends decides whether a bracketed
flip can be certified to be the first. Both are therefore properties of the activation (docs/mathematics/model.md,
"Activations").
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gradflip._errors import UsageError, unknown


@dataclass(frozen=True)
class Activation:
    """A locally Lipschitz activation, given as (sigma, sigma').

    Args:
        name: Name in tables and files.
        function: sigma, elementwise.
        derivative: sigma', elementwise; any value between the one-sided derivatives at a kink.
        kinks: For a piecewise-linear sigma, the points at which the slope changes, increasing.
        slopes: For a piecewise-linear sigma, the slope left of, between and right of the kinks; one more than kinks.
            `None` says that sigma is smooth.
        lipschitz: A bound on |sigma'|, if one is known; for a piecewise-linear sigma its steepest slope.
        curvature: For a smooth sigma, a bound on |sigma''|, if one is known.
        turning: For a smooth sigma, the points at which it changes between rising and falling, increasing and exact to
            the last digit; `()` for a monotone sigma, `None` if unknown. Between them, the extremes over an interval
            are at its ends (docs/mathematics/certificates.md, "Extremes over the ball"). For a
            piecewise-linear sigma they follow from its slopes.
        period: Period of a periodic sigma; `turning` then lists the points of one period around 0.
        tolerance: How far `function` as computed may be from sigma, beyond a few units in the last place.

    Raises:
        UsageError: If there is no derivative, kinks and slopes do not describe `function`, or it turns elsewhere.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    kinks: tuple[float, ...] = ()
    slopes: tuple[float, ...] | None = None
    lipschitz: float | None = None
    curvature: float | None = None
    turning: tuple[float, ...] | None = None
    period: float | None = None
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        """Check that the stated shape is the shape of the function."""
        if not callable(self.derivative):
            raise UsageError(
                f"activation {self.name!r} must have a derivative, a function of z, got {self.derivative!r}."
            )
        if self.slopes is None:
            if self.kinks:
                raise UsageError(f"activation {self.name!r} has kinks but no slopes; give one slope more than kinks.")
            self._check_turning()
            return
        if len(self.slopes) != len(self.kinks) + 1:
            raise UsageError(
                f"activation {self.name!r} must have one slope more than kinks, "
                f"got {len(self.slopes)} slopes for {len(self.kinks)} kinks."
            )
        if any(right <= left for left, right in zip(self.kinks, self.kinks[1:], strict=False)):
            raise UsageError(f"kinks of activation {self.name!r} must increase, got {self.kinks}.")
        ends = [-math.inf, *self.kinks, math.inf]
        for slope, left, right in zip(self.slopes, ends, ends[1:], strict=False):
            points = _points_between(left, right)
            values = self.function(torch.tensor(points, dtype=torch.float64)).tolist()
            for i in range(len(points) - 1):
                seen = (values[i + 1] - values[i]) / (points[i + 1] - points[i])
                if not math.isclose(seen, slope, rel_tol=1e-6, abs_tol=1e-9):
                    raise UsageError(
                        f"activation {self.name!r} states slope {slope} between {points[i]} and {points[i + 1]}, "
                        f"but its function rises by {seen:.6g} there."
                    )
        object.__setattr__(self, "lipschitz", max(abs(slope) for slope in self.slopes))
        monotone = min(self.slopes) >= 0 or max(self.slopes) <= 0
        object.__setattr__(self, "turning", () if monotone else self.kinks)

    def _check_turning(self) -> None:
        """Refuse points at which sigma does not turn, and lists that omit a turning point visible on a grid."""
        if self.turning is None:
            return
        points = torch.tensor(self.turning, dtype=torch.float64)
        if not bool(torch.isfinite(points).all()) or bool((points.diff() <= 0).any()):
            raise UsageError(f"turning points of activation {self.name!r} must increase, got {self.turning}.")
        if self.period is not None:
            if not 0 < self.period < math.inf or not self.turning:
                raise UsageError(
                    f"activation {self.name!r} needs turning points and a positive period, got {self.period}."
                )
            if float(points.abs().max()) > self.period / 2:
                raise UsageError(f"turning points of activation {self.name!r} must be within half a period of 0.")
        ends = (-self.period / 2, self.period / 2) if self.period else (-30.0, 30.0)
        slope = self.derivative(points)
        if bool((slope.abs() > 1e-6).any()):
            raise UsageError(
                f"activation {self.name!r} states turning points {self.turning}, its slopes there are {slope.tolist()}."
            )
        for left, right in zip((ends[0], *self.turning), (*self.turning, ends[1]), strict=True):
            between = self.derivative(torch.linspace(left, right, 999, dtype=torch.float64))
            if float(between.min()) < -1e-6 and float(between.max()) > 1e-6:
                raise UsageError(
                    f"activation {self.name!r} turns between {left} and {right}; turning must list every such point."
                )

    @property
    def piecewise_linear(self) -> bool:
        """Whether sigma is linear between finitely many kinks, so that flips are exact."""
        return self.slopes is not None

    @property
    def homogeneous(self) -> bool:
        """Whether sigma(c z) = c sigma(z) for every c > 0, so that statements about the ball extend to its cone.

        Source: docs/mathematics/lazy-training.md, "The cone".
        """
        at_zero = float(self.function(torch.zeros((), dtype=torch.float64)))
        return self.piecewise_linear and all(kink == 0 for kink in self.kinks) and at_zero == 0

    @property
    def bends_at_zero(self) -> bool:
        """Whether sigma has two slopes that meet at (0, 0), where its derivative is the left slope, like relu.

        True for relu and leaky relu, not for abs, whose derivative at 0 is 0. Then sigma(z) = z sigma'(z).
        """
        if self.kinks != (0.0,) or not self.homogeneous or self.slopes is None:
            return False
        return float(self.derivative(torch.zeros((), dtype=torch.float64))) == self.slopes[0]

    @property
    def is_relu(self) -> bool:
        """Whether sigma(z) = max(z, 0) and sigma'(0) = 0, whatever its name."""
        return self.slopes == (0.0, 1.0) and self.bends_at_zero

    def left_slopes(self, z: Tensor, out: Tensor) -> Tensor:
        """Write sigma'(z) for a sigma that `bends_at_zero`; at 0 it is the left slope.

        Args:
            z: Arguments.
            out: The result; may be z.

        Returns:
            `out`.
        """
        assert self.slopes is not None
        left, right = self.slopes
        torch.gt(z, 0, out=out)
        return out if (left, right) == (0.0, 1.0) else out.mul_(right - left).add_(left)

    def __call__(self, z: Tensor) -> Tensor:
        """sigma(z), elementwise."""
        return self.function(z)


def _points_between(left: float, right: float) -> list[float]:
    """Points of a linear piece, some far out, to detect an omitted kink or a curve between kinks."""
    if math.isfinite(left) and math.isfinite(right):
        return [left, left + (right - left) / 3, right - (right - left) / 3, right]
    distances = (2.0, 5.5, 30.0, 1000.0)
    start = left if math.isfinite(left) else right if math.isfinite(right) else 0.0
    below = [] if math.isfinite(left) else [start - far for far in reversed(distances)]
    above = [] if math.isfinite(right) else [start + far for far in distances]
    return [*below, start, *above]


@functools.cache  # one object per slope, so that `activation(name) is ...` identifies built-in activations
def _leaky_relu(slope: float) -> Activation:
    return Activation(
        "leaky_relu" if slope == 0.01 else f"leaky_relu({slope!r})",
        lambda z: torch.nn.functional.leaky_relu(z, slope),
        lambda z: torch.where(z > 0, torch.ones_like(z), slope),  # of two numbers it would be float32
        kinks=(0.0,),
        slopes=(slope, 1.0),
    )


def _gelu_derivative(z: Tensor) -> Tensor:
    density = torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + torch.erf(z / math.sqrt(2))) + z * density


def _swish_derivative(z: Tensor) -> Tensor:
    gate = torch.sigmoid(z)
    return gate * (1 + z * (1 - gate))


ACTIVATIONS: dict[str, Activation] = {
    known.name: known
    for known in (
        Activation("relu", torch.relu, lambda z: (z > 0).to(z.dtype), kinks=(0.0,), slopes=(0.0, 1.0)),
        _leaky_relu(0.01),
        Activation("abs", torch.abs, torch.sign, kinks=(0.0,), slopes=(-1.0, 1.0)),
        Activation("identity", lambda z: z, torch.ones_like, slopes=(1.0,)),
        # The bounds are the maxima of |sigma'| and |sigma''|, where the next derivative is zero.
        Activation(
            "tanh",
            torch.tanh,
            lambda z: 1 - torch.tanh(z) ** 2,
            lipschitz=1.0,
            curvature=4 / (3 * math.sqrt(3)),
            turning=(),
        ),
        Activation(
            "erf",
            torch.erf,
            lambda z: 2 / math.sqrt(math.pi) * torch.exp(-z * z),
            lipschitz=2 / math.sqrt(math.pi),
            curvature=2 * math.sqrt(2 / (math.pi * math.e)),
            turning=(),
        ),
        Activation(
            "gelu",
            torch.nn.functional.gelu,
            _gelu_derivative,
            lipschitz=0.5 * (1 + math.erf(1)) + math.exp(-1) / math.sqrt(math.pi),
            curvature=2 / math.sqrt(2 * math.pi),
            turning=(-0.7517915246935645,),
        ),
        Activation(
            "softplus",
            torch.nn.functional.softplus,
            torch.sigmoid,
            lipschitz=1.0,
            curvature=0.25,
            turning=(),
            tolerance=2.1e-9,  # torch returns z for log(1 + exp(z)) beyond 20
        ),
        Activation(
            "swish",
            torch.nn.functional.silu,
            _swish_derivative,
            lipschitz=1.1,
            curvature=0.5,
            turning=(-1.2784645427610738,),
        ),
        Activation(
            "sin",
            torch.sin,
            torch.cos,
            lipschitz=1.0,
            curvature=1.0,
            turning=(-math.pi / 2, math.pi / 2),
            period=2 * math.pi,
        ),
    )
}


def activation(which: str | Activation) -> Activation:
    """The built-in activation of a name; an `Activation` is returned as it is.

    Args:
        which: A name of `ACTIVATIONS`, such as `"relu"`; `"leaky_relu(0.2)"` for another slope; or an `Activation`.

    Returns:
        The activation.

    Raises:
        UsageError: If there is no such name.
    """
    if isinstance(which, Activation):
        return which
    if which.startswith("leaky_relu(") and which.endswith(")"):
        try:
            slope = float(which[len("leaky_relu(") : -1])
        except ValueError:
            slope = math.nan
        if not math.isfinite(slope):
            raise UsageError(f"activation must look like 'leaky_relu(0.2)', got {which!r}.")
        return _leaky_relu(slope)
    if which not in ACTIVATIONS:
        raise UsageError(unknown("activation", which, ACTIVATIONS))
    return ACTIVATIONS[which]


def is_built_in(which: Activation) -> bool:
    """Whether an activation is the built-in one of its name, so that saving the name suffices.

    Args:
        which: An activation.

    Returns:
        True if it is built in.
    """
    try:
        return activation(which.name) is which
    except UsageError:  # no such name
        return False
