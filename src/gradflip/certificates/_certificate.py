"""Universal adversarial examples: inputs that no network of the ball gets right, and the proof."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gradflip._errors import FileError, UsageError
from gradflip._seeds import generator
from gradflip.attacks import rounded_budget
from gradflip.certificates._search import Lift, descend, ray_start
from gradflip.certificates._upper_bound import highest_certain, norm_up
from gradflip.lazy._ball import LazyBall
from gradflip.lazy._extrema import points
from gradflip.networks import ACTIVATIONS, TwoLayer, activation

if TYPE_CHECKING:
    import polars as pl

FORMAT = "gradflip.Certificate/1"
"""Of the file of a `Certificate`."""

_Read = TypeVar("_Read")


@dataclass(frozen=True, eq=False)
class Certificate:
    """For every point an input near it, and how right about it a network of the ball can be at most.

    What is certified are the numbers in `perturbed`, in float64, not `x` plus a perturbation that would be rounded
    again. Where `certified`, every W within radius (1 + 1e-5) of the centre has y f(x'; W) < 0 in exact arithmetic,
    |x' - x| <= epsilon.

    Attributes:
        ball: The ball; weights of its centre count as they are stored.
        x: The points, float64.
        y: Their labels.
        epsilon: The budget of every point; inf where a flip budget was not found.
        perturbed: x', float64.
        bound: A number that y f(x'; W) exceeds for no W of the ball, rounded up.
        certified: Whether the bound is negative and x' within the budget, its norm rounded up.

    Shape:
        x, perturbed `(n, d)`, all else `(n,)`.

    Source: docs/mathematics/certificates.md, "Ball-wide adversarial examples".
    """

    ball: LazyBall
    x: Float[Tensor, "n d"]
    y: Float[Tensor, " n"]
    epsilon: Float[Tensor, " n"]
    perturbed: Float[Tensor, "n d"]
    bound: Float[Tensor, " n"]
    certified: Bool[Tensor, " n"]

    def __post_init__(self) -> None:
        """Check that the parts belong together, since a file may hold anything."""
        n, d = len(self.y), self.ball.network0.dim
        for name in _POINTS:
            part = getattr(self, name)
            shape = (n, d) if name in ("x", "perturbed") else (n,)
            dtype = torch.bool if name == "certified" else torch.float64
            if part.shape != shape or part.dtype != dtype:
                got = f"{part.dtype} of {tuple(part.shape)}"
                raise UsageError(f"{name} of a certificate must be {dtype} of shape {shape}, got {got}.")
        if not bool((self.y.abs() == 1).all()):
            raise UsageError("y of a certificate must hold only -1 and +1; make it again with certify.")

    @property
    def share(self) -> float:
        """Share of points certified: no network of the ball has a smaller robust error at this budget."""
        return float(self.certified.to(torch.float64).mean())

    @property
    def perturbation(self) -> Float[Tensor, "n d"]:
        """The differences x' - x, rounded to float64."""
        return self.perturbed - self.x

    @property
    def size(self) -> Float[Tensor, " n"]:
        """|x' - x|, rounded up."""
        return norm_up(self.perturbation)

    def to_frame(self) -> pl.DataFrame:
        """One row per point: label, epsilon, size, bound, certified.

        Returns:
            A polars frame.
        """
        import polars as pl

        names = ("y", "epsilon", "size", "bound", "certified")
        return pl.DataFrame({name: getattr(self, name).cpu().numpy() for name in names})

    def save(self, path: str | Path) -> None:
        """Write weights, points and bounds to one safetensors file, signed with the SHA-256 digest of its content.

        `TwoLayer.load` reads the centre of the ball from it.

        Args:
            path: The file, `.safetensors`.

        Raises:
            UsageError: If the activation is not a built-in one: its code cannot be saved.
            FileError: If the file cannot be written.
        """
        write_signed(path, FORMAT, self.ball, {name: getattr(self, name) for name in _POINTS})

    @staticmethod
    def load(path: str | Path) -> Certificate:
        """Read what `save` wrote.

        Args:
            path: The file.

        Returns:
            A certificate; what it states is what was computed when it was made. `verify` computes it again.

        Raises:
            FileError: If the file is missing, is no certificate, or was altered.
        """
        return read_signed(path, {FORMAT: Certificate.of_file})

    @staticmethod
    def of_file(ball: LazyBall, tensors: Mapping[str, Tensor]) -> Certificate:
        """The certificate in a file that is read.

        Args:
            ball: The ball in it.
            tensors: All that is in it.

        Returns:
            A certificate.
        """
        return Certificate(ball, **{name: tensors[name] for name in _POINTS})


_POINTS = ("x", "y", "epsilon", "perturbed", "bound", "certified")


def certify(
    ball: LazyBall,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    epsilon: float | Float[Tensor, " n"],
    *,
    steps: int = 50,
    restarts: int = 1,
    seed: int = 0,
) -> Certificate:
    """Search near every point an input that no network of the ball gets right, and prove it.

    Projected gradient descent on M(x') = max over the ball of y f(x'; W), from the ray against the gradient at the
    centre; further starts at random around it. The search runs in the type of the weights and ends for a point where M
    is clearly negative; what it finds is a proof whatever it was found by: the bound is computed in float64, with all
    rounding added, for a ball larger by 1e-5.

    Args:
        ball: The ball around an initialisation.
        x: Points in `unit` scaling, of any norm.
        y: Their labels, -1 or +1.
        epsilon: Budget, one for all or one for each point.
        steps: Gradient steps of a start; ten find almost all that a hundred find.
        restarts: How many starts.
        seed: Of the random starts.

    Returns:
        A `Certificate`; its `share` is a lower bound on the robust error of every network in the ball.

    Raises:
        UsageError: If an argument is not as stated, or too little is known of the activation.

    Shape:
        x `(n, d)`, y `(n,)`. Two matrix products a step and memory for a block of points.

    Source: docs/mathematics/certificates.md, "Ball-wide adversarial examples"; Wang et al. (2022), Corollary 3.2.
    """
    points64, labels64 = checked(ball, x, y)
    budgets = _budgets(epsilon, points64)
    check_counts(steps=steps, restarts=restarts)
    lift = Lift(ball)
    points_, labels, radii = (part.to(lift.dtype) for part in (points64, labels64, budgets))
    start = ray_start(lift, points_, labels, radii)
    found, lowest = descend(lift, points_, labels, radii, start.clone(), steps)
    draw = generator(seed, "certificate starts")
    for _ in range(1, restarts):
        noise = torch.randn(start.shape, generator=draw, dtype=torch.float32).to(start)
        other = start + noise * (radii / torch.linalg.vector_norm(noise, dim=1).clamp(min=1e-30))[:, None]
        other *= (radii / torch.linalg.vector_norm(other, dim=1)).clamp(max=1.0).nan_to_num(1.0)[:, None]
        open_ = (lowest > -lift.clear * lift.lengths(points_)).nonzero()[:, 0]
        p, value = descend(lift, points_[open_], labels[open_], radii[open_], other[open_], steps)
        better = value < lowest[open_]
        found[open_[better]], lowest[open_[better]] = p[better], value[better]
    return prove(ball, points64, labels64, budgets, within(points64, found, budgets))


def within(x: Tensor, p: Tensor, epsilon: Tensor) -> Tensor:
    """The points x + p in float64, p drawn in so that they are within epsilon of x.

    Args:
        x: Points, float64.
        p: Perturbations of any type; what is not finite is no perturbation.
        epsilon: Budgets.

    Returns:
        Perturbed points.
    """
    p = p.to(torch.float64).nan_to_num(0.0, 0.0, 0.0)
    size = norm_up(p)
    factor = torch.where(size > 0, rounded_budget(x, epsilon) * (1 - 1e-12) / size, 0.0).clamp(max=1.0)
    return x + p * factor[:, None]


def prove(ball: LazyBall, x: Tensor, y: Tensor, epsilon: Tensor, perturbed: Tensor) -> Certificate:
    """The certificate of perturbed points, however they were found.

    Args:
        ball: The ball.
        x: Points, float64.
        y: Labels, float64.
        epsilon: Budgets, float64.
        perturbed: Perturbed points, float64.

    Returns:
        A `Certificate`.
    """
    bound = highest_certain(ball.network0, ball.radius, perturbed, y)
    certified = (bound < 0) & (norm_up(perturbed - x) <= epsilon)
    return Certificate(ball, x, y, epsilon, perturbed, bound, certified)


def checked(ball: LazyBall, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Checked points and labels in float64.

    Args:
        ball: The ball.
        x: Points.
        y: Labels.

    Returns:
        Both of them.

    Raises:
        UsageError: If the ball is none, or a point or a label is not as it must be.
    """
    if not isinstance(ball, LazyBall):
        raise UsageError(f"ball must be a LazyBall, got {type(ball).__name__}; build it as LazyBall(network0, C0).")
    return points(ball.network0, x, y)


def _budgets(epsilon: float | Tensor, x: Tensor) -> Tensor:
    """One positive finite budget per point."""
    if isinstance(epsilon, Tensor) and epsilon.ndim and epsilon.shape != x.shape[:1]:
        raise UsageError(
            f"epsilon must be a number or one for each of the {len(x)} points, got {tuple(epsilon.shape)}."
        )
    if not isinstance(epsilon, Tensor) and (isinstance(epsilon, bool) or not isinstance(epsilon, int | float)):
        raise UsageError(f"epsilon must be a number or a tensor of one per point, got {epsilon!r}.")
    budgets = torch.as_tensor(epsilon, dtype=torch.float64, device=x.device).detach().expand(len(x)).clone()
    wrong = budgets[~((budgets > 0) & (budgets < math.inf))]
    if len(wrong):
        raise UsageError(f"epsilon must be positive and finite, got {float(wrong[0]):g}.")
    return budgets


def check_counts(**counts: object) -> None:
    """Refuse a number of steps or the like that is not a positive integer.

    Args:
        counts: Names and numbers.

    Raises:
        UsageError: If one is none.
    """
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise UsageError(f"{name} must be a positive integer, got {count!r}.")


def statement(ball: LazyBall, wrong: int, points: int, epsilon: float) -> str:
    """What has been proved, as a sentence.

    Args:
        ball: The ball.
        wrong: How many points every network of it gets wrong at least.
        points: Of how many.
        epsilon: How far they were moved at most.

    Returns:
        The sentence; numbers are shown so that it stays true.
    """
    if not wrong:
        return f"Nothing is proved of these {points} points: networks of the ball may get each of them right."
    each = "neuron lies" if ball.network0.width == 1 else f"{ball.network0.width:,} neurons each lie"
    # the radius shown is off by 5e-6 at most, and the ball certified is larger by 1e-5
    return (
        f"Proved: every network whose {each} within {ball.radius:.6g} (C0 = {ball.C0:.6g}) of this initialisation, "
        f"however trained, misclassifies at least {wrong} of these {points} points "
        f"when each is moved by at most {shown_up(epsilon)}, to a place that is the same for all networks."
    )


def shown_up(value: float, digits: int = 6) -> str:
    """A number in a few digits, rounded up where they are not enough.

    Args:
        value: The number.
        digits: How many.

    Returns:
        The text.
    """
    from decimal import ROUND_CEILING, Context, Decimal

    if float(f"{value:.{digits}g}") == value:
        return f"{value:.{digits}g}"
    return f"{Context(prec=digits, rounding=ROUND_CEILING).create_decimal(Decimal(value)):g}"


def write_signed(path: str | Path, kind: str, ball: LazyBall, parts: Mapping[str, Tensor]) -> None:
    """Write a ball and what was computed about it to a safetensors file that states the digest of its content.

    Args:
        path: The file.
        kind: Its format.
        ball: The ball; `TwoLayer.load` reads its centre.
        parts: What else there is to keep.

    Raises:
        UsageError: If the activation is not a built-in one: its code cannot be saved.
        FileError: If the file cannot be written.
    """
    from safetensors.torch import save_file

    network = ball.network0
    if not (network.activation.name in ACTIVATIONS or network.activation.name.startswith("leaky_relu(")) or (
        activation(network.activation.name) is not network.activation
    ):
        raise UsageError(f"only built-in activations can be saved, got {network.activation.name!r}.")
    tensors = {**parts, "W": network.W, "a": network.a}
    if network.bias is not None:
        tensors["bias"] = network.bias
    if network.output_bias is not None:
        tensors["output_bias"] = torch.tensor(network.output_bias, dtype=torch.float64)
    tensors["radius"] = torch.tensor(ball.radius, dtype=torch.float64)
    # safetensors takes no views and no two tensors of one memory
    tensors = {name: part.cpu().clone(memory_format=torch.contiguous_format) for name, part in tensors.items()}
    about = {"format": kind, "activation": network.activation.name, "scaling": "unit"}
    about["sha256"] = _digest(tensors, about)
    try:
        save_file(tensors, str(path), metadata=about)
    except Exception as error:  # safetensors has an exception class of its own for a failed write
        raise FileError(f"{path} cannot be written: {error}.") from error


def read_signed(path: str | Path, kinds: Mapping[str, Callable[[LazyBall, Mapping[str, Tensor]], _Read]]) -> _Read:
    """Read what `write_signed` wrote.

    Args:
        path: The file.
        kinds: The formats it may have, and what makes a value of the ball and the tensors of such a file.

    Returns:
        The value.

    Raises:
        FileError: If the file is missing, has another format, is damaged or was altered.
    """
    from safetensors import safe_open

    if not Path(path).is_file():
        raise FileError(f"{path} does not exist; give a file that Certificate.save wrote.")
    try:
        with safe_open(str(path), framework="pt") as opened:
            about = dict(opened.metadata() or {})
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors has its own
        raise FileError(f"{path} is not a readable certificate: {error}; make it again.") from error
    if about.get("format") not in kinds:
        wanted = " or ".join(map(repr, kinds))
        raise FileError(f"{path} is no certificate, its format is {about.get('format')!r}; give one of {wanted}.")
    stated = about.pop("sha256", None)
    if stated != _digest(tensors, about):
        raise FileError(f"{path} was altered: its content has another SHA-256 digest than it states; make it again.")
    try:
        network = TwoLayer(
            tensors["W"], tensors["a"], tensors.get("bias"), tensors.get("output_bias"), about["activation"]
        )
        return kinds[about["format"]](LazyBall(network, radius=float(tensors["radius"])), tensors)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:  # a file may hold anything
        raise FileError(f"{path} is no whole certificate: {error}; make it again.") from error


def _digest(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> str:
    """SHA-256 over names, types, shapes and bytes."""
    seen = hashlib.sha256(json.dumps(dict(about), sort_keys=True).encode())
    for name in sorted(tensors):
        part = tensors[name].contiguous()
        seen.update(f"{name} {part.dtype} {tuple(part.shape)}".encode())
        seen.update(part.reshape(-1).view(torch.uint8).numpy().tobytes())
    return seen.hexdigest()
