"""Slow, obvious twins of the fast paths: loops, rational arithmetic, autograd."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn

ROUNDING = Fraction(1, 10**12)  # what the library states: a sum within this share of its terms has no sign


# ---------------------------------------------------------------- the network


def value_by_loop(network, x: Tensor) -> float:
    """f(x) of one input, a neuron at a time in Python floats."""
    total = 0.0
    for j in range(network.width):
        z = sum(float(w) * float(xi) for w, xi in zip(network.W[j], x, strict=True))
        if network.bias is not None:
            z += float(network.bias[j])
        total += float(network.a[j]) * float(network.activation(torch.tensor(z, dtype=torch.float64)))
    return total / math.sqrt(network.width) + (network.output_bias or 0.0)


def value_for_autograd(network, x: Tensor) -> Tensor:
    """f(x), written with differentiable operations only."""
    z = x @ network.W.T
    if network.bias is not None:
        z = z + network.bias
    return network.activation(z) @ network.a / math.sqrt(network.width) + (network.output_bias or 0.0)


# ---------------------------------------------------------------- the flip


@dataclass(frozen=True)
class Truth:
    """What happens along a ray, without rounding."""

    status: str
    step: Fraction | None = None


class ExactRay:
    """sqrt(m) phi(s) = sign (sum_j a_j sigma(u_j - s v_j) + sqrt(m) c) in rational arithmetic.

    The float64 numbers u, v, a, c are taken as they are; only sqrt(m) c is rounded, where m is no square.

    Args:
        u: Pre-activations.
        v: How fast they fall.
        a: Top weights.
        c: Output bias.
        sigma: The activation on Fractions.
        kinks: Where its slope changes.
        slopes: Its slopes, one more than kinks.
    """

    def __init__(
        self,
        u: Sequence[float],
        v: Sequence[float],
        a: Sequence[float],
        c: float,
        sigma: Callable[[Fraction], Fraction],
        kinks: Sequence[float],
        slopes: Sequence[float],
    ) -> None:
        self.u, self.v, self.a = (list(map(Fraction, row)) for row in (u, v, a))
        self.c = Fraction(c) * Fraction(math.sqrt(len(self.u)))
        self.sigma = sigma
        self.kinks, self.slopes = list(map(Fraction, kinks)), list(map(Fraction, slopes))
        value = self._sum(Fraction(0))
        self.terms_at_zero = sum(abs(a * sigma(u)) for a, u in zip(self.a, self.u, strict=True)) + abs(self.c)
        self.sign = 0 if abs(value) <= ROUNDING * self.terms_at_zero else (1 if value > 0 else -1)
        self.steepest = max(map(abs, self.slopes))
        self.terms_of_slope = self.steepest * sum(abs(a * v) for a, v in zip(self.a, self.v, strict=True))

    def _sum(self, s: Fraction) -> Fraction:
        return sum((a * self.sigma(u - s * v) for a, u, v in zip(self.a, self.u, self.v, strict=True)), self.c)

    def phi(self, s: Fraction) -> Fraction:
        """sqrt(m) phi(s), from the definition."""
        return self.sign * self._sum(s)

    def rounding(self, s: Fraction) -> Fraction:
        """Within this of zero, the library need not know the sign of sqrt(m) phi(s)."""
        return ROUNDING * (self.terms_at_zero + s * self.terms_of_slope)

    def breakpoints(self) -> list[Fraction]:
        """Steps > 0 at which a neuron passes a kink, in order, each once."""
        pairs = [(u - kink, v) for u, v in zip(self.u, self.v, strict=True) for kink in self.kinks]
        return sorted({gap / v for gap, v in pairs if gap * v > 0})

    def slope_after(self, s: Fraction) -> Fraction:
        """sqrt(m) phi'(s+), from the side each neuron is on just after s."""
        total = Fraction(0)
        for u, v, a in zip(self.u, self.v, self.a, strict=True):
            z = u - s * v
            passed = sum(1 for kink in self.kinks if z > kink or (z == kink and v < 0))
            total -= a * v * self.slopes[passed]
        return self.sign * total

    def walk(self) -> list[tuple[Fraction, Fraction, Fraction]]:
        """(left end, value there, slope) of every linear piece; the last one is unbounded.

        Neuron by neuron, sigma = slope * z + offset between kinks: values are sums of these, kept up to date.
        """
        events: dict[Fraction, Fraction] = {}
        for u, v, a in zip(self.u, self.v, self.a, strict=True):
            for i, kink in enumerate(self.kinks):
                if (u - kink) * v > 0:
                    at = (u - kink) / v
                    gain = self.sign * a * abs(v) * (self.slopes[i + 1] - self.slopes[i])
                    events[at] = events.get(at, Fraction(0)) + gain
        s, value, slope = Fraction(0), abs(self._sum(Fraction(0))), self.slope_after(Fraction(0))
        pieces = [(s, value, slope)]
        for at in sorted(events):
            value += (at - s) * slope
            slope += events[at]
            s = at
            pieces.append((s, value, slope))
        return pieces

    def flip(self) -> Truth:
        """The first step at which phi becomes negative."""
        if self.sign == 0:
            return Truth("boundary", Fraction(0))
        pieces = self.walk()
        for (left, value, slope), after in itertools.pairwise([*pieces, None]):
            if slope < 0 and (after is None or value + (after[0] - left) * slope < 0):
                return Truth("flipped", left - value / slope)
        return Truth("never")

    def excuse(self, status: str, step: float, *, slack: Fraction = Fraction(101, 100)) -> str | None:
        """Why a result is not right even if what is within `rounding` of zero counts as zero; None if it is right.

        Right is: phi >= -rounding up to the step, |phi| <= rounding at it, and phi < 0 on a stretch after it.
        """
        pieces = self.walk()
        if status == "boundary":
            return None if self.sign == 0 else f"boundary at value {float(pieces[0][1])}"
        end = Fraction(step) if status == "flipped" else None
        for left, value, _ in pieces:
            if end is not None and left > end:
                break
            if value < -slack * self.rounding(left):
                return f"phi is {float(value)} at {float(left)}, before {step}"
        if end is None:
            low = pieces[-1][2] < -slack * ROUNDING * self.terms_of_slope
            return f"the last slope is {float(pieces[-1][2])}, yet the status is {status}" if low else None
        at = self.phi(end)
        # the step itself is rounded to a float, twice (quotient, sum)
        error = slack * self.rounding(end) + 4 * end * Fraction(2) ** -53 * self.terms_of_slope
        if abs(at) > error:
            return f"phi is {float(at)} at the step {step}, rounding is {float(error)}"
        for (left, value, slope), after in itertools.pairwise([*pieces, None]):
            if after is not None and after[0] <= end:
                continue
            if slope < 0 and (after is None or value + (after[0] - left) * slope < 0):
                return None
            if after is not None and value + (after[0] - left) * slope > slack * self.rounding(after[0]):
                return f"phi is {float(value + (after[0] - left) * slope)} at {float(after[0])}, after the step {step}"
        return f"phi is nowhere negative after {step}"


def plain_sign_change(u: Sequence[float], v: Sequence[float], a: Sequence[float]) -> tuple[str, float]:
    """Status and smallest s > 0 at which sum_j a_j relu(u_j - s v_j) has the opposite sign of s = 0, in Python floats.

    Piece after piece, every value summed afresh; a sum counts as 0 within 1e-12 of its terms.
    """

    def total(s: float) -> float:
        terms = [aj * max(uj - s * vj, 0.0) for uj, vj, aj in zip(u, v, a, strict=True)]
        noise = 1e-12 * sum(abs(aj) * (max(uj, 0.0) + s * abs(vj)) for uj, vj, aj in zip(u, v, a, strict=True))
        result = math.fsum(terms)
        return 0.0 if abs(result) <= noise else result

    start = total(0.0)
    if start == 0:
        return "boundary", 0.0
    sign = math.copysign(1.0, start)
    ends = sorted({0.0, *(uj / vj for uj, vj in zip(u, v, strict=True) if uj * vj > 0)})
    for left, right in itertools.pairwise(ends):
        if sign * total(right) < 0:
            height, drop = sign * total(left), sign * (total(left) - total(right))
            return "flipped", left + (right - left) * height / drop
    middle = 2 * ends[-1] + 1  # right of every kink
    active = [uj - middle * vj > 0 for uj, vj in zip(u, v, strict=True)]
    falls = [aj * vj for aj, vj, on in zip(a, v, active, strict=True) if on]
    slope = -sign * math.fsum(falls)
    if slope >= -1e-12 * sum(abs(aj * vj) for aj, vj in zip(a, v, strict=True)):
        return "never", math.inf
    return "flipped", ends[-1] + sign * total(ends[-1]) / -slope


def dense_points(upper: float, count: int) -> Tensor:
    """`count` steps that fill (0, upper), half of them evenly and half by ratios."""
    even = torch.linspace(0, upper, count // 2 + 1, dtype=torch.float64)[1:]
    ratios = upper * torch.logspace(-9, 0, count - count // 2, dtype=torch.float64)
    return torch.cat([even, ratios]).sort().values


# ---------------------------------------------------------------- the ball


def deviation_by_loop(network, network0) -> float:
    """max_j |w_j - w_(j,0)| in Python floats, `unit` scaling, biases included."""
    factor = math.sqrt(network.dim) if network.scaling == "sqrt-d" else 1.0
    factor0 = math.sqrt(network0.dim) if network0.scaling == "sqrt-d" else 1.0
    largest = 0.0
    for j in range(network.width):
        squares = [
            (float(w) * factor - float(w0) * factor0) ** 2 for w, w0 in zip(network.W[j], network0.W[j], strict=True)
        ]
        if network.bias is not None:
            squares.append((float(network.bias[j]) - float(network0.bias[j])) ** 2)
        largest = max(largest, math.sqrt(math.fsum(squares)))
    return largest


def cone_height(c: float, W: Tensor, W0: Tensor) -> float:
    """max_j |c w_j - w_(j,0)|."""
    return float((c * W - W0).norm(dim=1).max())


def cone_by_search(W: Tensor, W0: Tensor) -> float:
    """min over c >= 0 of max_j |c w_j - w_(j,0)|, by a fine grid and then by thirds, since it is convex."""
    longest, shortest = float(W0.norm(dim=1).max()), float(W.norm(dim=1).clamp(min=1e-300).min())
    grid = torch.cat([torch.zeros(1), torch.logspace(-8, math.log10(4 * longest / shortest + 1), 2000)]).double()
    heights = [cone_height(float(c), W, W0) for c in grid]
    best = heights.index(min(heights))
    low, high = float(grid[max(0, best - 1)]), float(grid[min(len(grid) - 1, best + 1)])
    for _ in range(200):
        third = (high - low) / 3
        if cone_height(low + third, W, W0) <= cone_height(high - third, W, W0):
            high -= third
        else:
            low += third
    return min(min(heights), cone_height(0.5 * (low + high), W, W0))


# ---------------------------------------------------------------- training


class Trainee(nn.Module):
    """A two-layer network as anybody would write it in PyTorch, W and b its parameters."""

    def __init__(self, network) -> None:
        super().__init__()
        self.W = nn.Parameter(network.W.clone())
        self.b = None if network.bias is None else nn.Parameter(network.bias.clone())
        self.a, self.c, self.sigma = network.a.clone(), network.output_bias or 0.0, network.activation
        self.W0, self.b0 = network.W.clone(), None if network.bias is None else network.bias.clone()

    def forward(self, x: Tensor) -> Tensor:
        z = x @ self.W.T + (0.0 if self.b is None else self.b)
        return self.sigma(z) @ self.a / math.sqrt(len(self.a)) + self.c

    def state(self) -> Tensor:
        """[W, b] now, in float64."""
        W = self.W.detach().double()
        return W.clone() if self.b is None else torch.cat([W, self.b.detach().double()[:, None]], dim=1)

    def deviation(self) -> float:
        start = self.W0.double() if self.b0 is None else torch.cat([self.W0.double(), self.b0.double()[:, None]], dim=1)
        return float((self.state() - start).norm(dim=1).max())


@dataclass(frozen=True)
class Trajectory:
    """All iterates of a training, from the initialisation on."""

    states: list[Tensor]
    deviations: list[float]
    epoch_ends: list[int]
    losses: list[float]
    errors: list[int]


def train_by_autograd(
    network, x: Tensor, y: Tensor, *, lr, batch_size, epochs, seed, shuffle="every-epoch"
) -> Trajectory:
    """`epochs` passes of torch's SGD with autograd, everything kept."""
    from gradflip._seeds import generator

    model = Trainee(network)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    draw = generator(seed, "batches")
    states, deviations, epoch_ends, losses, errors = [model.state()], [0.0], [], [], []
    for epoch in range(epochs):
        if epoch == 0 or shuffle == "every-epoch":
            permutation = torch.randperm(len(y), generator=draw)
        for start in range(0, len(y), batch_size):
            chosen = permutation[start : start + batch_size]
            margin = y[chosen] * model(x[chosen])
            loss = torch.nn.functional.softplus(-margin).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            states.append(model.state())
            deviations.append(model.deviation())
            losses.append(float(loss.detach()) * len(chosen))
            errors.append(int((margin <= 0).sum()))
        epoch_ends.append(len(states) - 1)
    return Trajectory(states, deviations, epoch_ends, losses, errors)


# ---------------------------------------------------------------- diagnostics


def drift_by_loop(network, start, x: Tensor) -> tuple[float, float, float]:
    """Shares of changed (neuron, example) signs and of neurons with one, linearisation error, from the definitions."""
    pairs, neurons = 0, set()
    f, f0, linear = [], [], []
    for point in x:
        now = point @ network.W.T + (0 if network.bias is None else network.bias)
        before = point @ start.W.T + (0 if start.bias is None else start.bias)
        for j in range(network.width):
            if (float(now[j]) > 0) != (float(before[j]) > 0):
                pairs += 1
                neurons.add(j)
        f.append(float(network(point)))
        f0.append(float(start(point)))
        # <grad_W f(W_0), W - W_0> of this example by autograd
        theta = [part.clone().requires_grad_() for part in (start.W, start.bias) if part is not None]
        z = theta[0] @ point + (theta[1] if len(theta) > 1 else 0)
        gradients = torch.autograd.grad(start.activation(z) @ start.a / math.sqrt(start.width), theta)
        steps = [network.W - start.W, *([] if start.bias is None else [network.bias - start.bias])]
        linear.append(sum(float((g * step).sum()) for g, step in zip(gradients, steps, strict=True)))
    change = torch.tensor(f, dtype=torch.float64) - torch.tensor(f0, dtype=torch.float64)
    error = float((change - torch.tensor(linear, dtype=torch.float64)).norm() / change.norm())
    return pairs / (network.width * len(x)), len(neurons) / network.width, error
