"""Every certified point is misclassified by every network of the ball that we can think of.

At least 10^5 pairs of a network and a point of each kind: random in the ball, on its surface, extreme for another
point, trained lazily, trained adversarially; and networks chosen to save the very point.
"""

import math

import pytest
import torch

from gradflip import Certificate, LazyBall, TwoLayer, certify, load_data, train
from gradflip.lazy import train_many_adversarially
from gradflip.lazy._rows import rows, with_rows

DIM, WIDTH, C0, POINTS, NETWORKS = 30, 400, 1.0, 1500, 100
FORMS = {"plain": {}, "biased": {"bias": True, "output_bias": True}, "smooth": {"activation": "gelu"}}


def sphere(count: int, dim: int, seed: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, dim, generator=draw, dtype=torch.float64))


@pytest.fixture(scope="module", params=FORMS)
def certified(request) -> Certificate:
    """Points with the labels of a linear teacher, as training wants them, at budgets that are just enough for most."""
    start = TwoLayer.random(DIM, WIDTH, seed=1, dtype=torch.float64, **FORMS[request.param])
    x = sphere(POINTS, DIM, 2)
    y = torch.where(x[:, 0] < 0, -1.0, 1.0).double()
    ball = LazyBall(start, C0)
    found = certify(ball, x, y, 0.5, steps=10)
    most = ball.max_value(found.perturbed, y)[found.certified]
    assert int(found.certified.sum()) > 1000
    assert float(most.quantile(0.1)) < -0.05 < float(most.max()) < 0  # some of them by very little
    return found


def violations(found: Certificate, networks) -> tuple[int, int]:
    """Pairs looked at, and pairs in which a certified point is classified correctly."""
    at, y = found.perturbed[found.certified], found.y[found.certified]
    pairs = wrong = 0
    for network in networks:
        exact = network.to(dtype=torch.float64)
        assert found.ball.contains(network)
        pairs += len(y)
        wrong += int((y * exact(at) >= 0).sum())
    return pairs, wrong


def on_the_surface(ball: LazyBall, seed: int, share: float = 1.0) -> TwoLayer:
    start = rows(ball.network0)
    draw = torch.Generator().manual_seed(seed)
    move = torch.nn.functional.normalize(torch.randn(start.shape, generator=draw, dtype=torch.float64))
    if share < 1:
        move *= torch.rand(len(start), 1, generator=draw, dtype=torch.float64) ** (1 / start.shape[1])
    return ball.project(with_rows(ball.network0, start + ball.radius * (1 + (share == 1)) * move))


def test_random_networks_of_the_ball_and_of_its_surface_are_wrong(certified):
    for share in (1.0, 0.9):
        networks = (on_the_surface(certified.ball, seed, share) for seed in range(NETWORKS))
        pairs, wrong = violations(certified, networks)
        assert pairs >= 100_000
        assert wrong == 0


def test_the_networks_that_are_best_for_other_points_are_wrong(certified):
    """Among them each point's own best network, and those best for its unperturbed version."""
    best = []
    for i in range(NETWORKS // 2):
        best.append(certified.ball.extreme(certified.perturbed[i], float(certified.y[i])))
        best.append(certified.ball.extreme(certified.x[i], float(certified.y[i])))
    pairs, wrong = violations(certified, best)
    assert pairs >= 100_000
    assert wrong == 0


def test_networks_trained_to_the_surface_of_the_ball_are_wrong(certified):
    ball, start = certified.ball, certified.ball.network0
    half = slice(0, POINTS // 3)
    fits = [
        train(start, inputs[half], certified.y[half], ball=ball, lr=lr, max_epochs=4, seed=seed, record_every=4)
        for seed in range(NETWORKS // 4)
        for lr in (0.5, 5.0)
        for inputs in (certified.x, certified.perturbed)
    ]
    networks = [fit.network for fit in fits]
    assert sum(fit.deviation > 0.5 * ball.radius for fit in fits) > NETWORKS / 2
    pairs, wrong = violations(certified, networks)
    assert pairs >= 100_000
    assert wrong == 0


def test_networks_trained_adversarially_are_wrong(certified):
    ball, start = certified.ball, certified.ball.network0
    part = slice(0, POINTS // 10)
    networks = []
    for epochs in (1, 3):
        fits = train_many_adversarially(
            [start] * (NETWORKS // 2), certified.x[part], certified.y[part],
            torch.linspace(0.05, 0.6, NETWORKS // 2).tolist(), [ball] * (NETWORKS // 2), lr=2.0, attack_steps=3,
            max_epochs=epochs, seeds=list(range(NETWORKS // 2)),
        )  # fmt: skip
        networks += [ball.project(fit.network) for fit in fits]
    deviations = sorted(ball.deviation(network) for network in networks)
    assert deviations[NETWORKS // 4] > 0.99 * ball.radius  # most of them on the surface
    pairs, wrong = violations(certified, networks)
    assert pairs >= 100_000
    assert wrong == 0


def saved(ball: LazyBall, x: torch.Tensor, y: float, steps: int) -> float:
    """y f(x) after projected ascent on W for this point alone, the largest on the way: the worst an attacker can do."""
    network = ball.network0.to(dtype=torch.float64)
    start, W = network.W, network.W.clone()
    best = -math.inf
    for k in range(steps):
        u = W @ x
        best = max(best, y * float(network.activation(u) @ network.a) / math.sqrt(network.width))
        pull = y * network.a * network.activation.derivative(u)
        # dead neurons have no gradient; an attacker pulls them too
        pull = torch.where(pull == 0, y * network.a, pull) if k % 2 else pull
        W = W + ball.radius * 0.2 * 0.99**k * pull[:, None] * x / x.norm()
        offset = W - start
        W = start + offset * (ball.radius / offset.norm(dim=1)).clamp(max=1.0)[:, None]
    return best


@pytest.mark.parametrize("data", ["sphere", "digits"])
def test_no_network_chosen_to_save_a_point_saves_it(data):
    start = TwoLayer.random(784, 1000, seed=3, dtype=torch.float64)
    ball = LazyBall(start, 10.0)
    if data == "digits":
        split = load_data("digits", (0, 1), 28, normalize=True)
        x, y = split.x_test[:15].double(), split.y_test[:15].double()
    else:
        x = sphere(15, 784, 4)
        y = torch.where(start(x) < 0, -1.0, 1.0)
    found = certify(ball, x, y, 0.5, steps=20)
    assert int(found.certified.sum()) >= 12
    for i in found.certified.nonzero()[:, 0].tolist():
        at, label = found.perturbed[i], float(y[i])
        extreme = ball.extreme(at, label)
        assert ball.contains(extreme)
        assert label * float(extreme(at)) < 0
        most = saved(ball, at, label, 200)
        assert most < 0
        assert most <= float(found.bound[i])
        assert most > float(found.bound[i]) - 0.01  # the ascent did get there
