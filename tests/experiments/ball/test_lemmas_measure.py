"""The measures of Lemmas 4.1 to 4.4: against loops, brute force at tiny sizes, and networks that try to do worse."""

import itertools
import math

import pytest
import scipy.stats
import torch

from gradflip import LazyBall, TwoLayer
from gradflip._seeds import generator
from gradflip.data import load_data
from gradflip.experiments import EXPERIMENTS, Settings
from gradflip.experiments.ball._claims import CHOSEN, FIXED, GRADIENT, INDEPENDENT
from gradflip.experiments.ball._lemmas_measure import measure
from gradflip.lazy._gradient_change import largest_difference
from gradflip.lazy._sign_changes import crowding, in_slab, slab_bound
from gradflip.lazy._smallest_gradient import _Switches, smallest_gradient

NETWORKS = {
    "part": "networks", "data": "digits", "classes": [0, 1], "size": 5, "width": 60, "C0s": [0.5, 2], "points": 6,
    "lines": ["dim", "C0"], "constant": 2.0, "starts": 1, "steps": 5, "max_epochs": 40,
}  # fmt: skip
SLAB = {"part": "fixed", "width": 40, "C0s": [1, 3], "gammas": [0.1, 0.9], "draws": 4000}
MOVED = {"part": "moved", "dim": 60, "width": 150, "C0": 1, "gammas": [0.1], "constants": [1, 4], "draws": 30}


def measured(parameters, seed=3):
    shares = []
    found = measure(parameters, seed, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert found.observations == {}
    return found.rows


def sphere(count, dim, seed=0):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(count, dim, generator=draw, dtype=torch.float64)
    return x / torch.linalg.vector_norm(x, dim=1, keepdim=True)


def norm(network, x):
    return float(torch.linalg.vector_norm(network.gradient(x)))


def moved(ball, rows, share=1.0):
    """The network whose neurons are `rows` (directions of length at most 1) away from the centre."""
    network = ball.network0
    return TwoLayer(network.W + share * ball.radius * rows, network.a)


# ---------------------------------------------------------------- Lemma 4.2: the least gradient over the ball


@pytest.mark.parametrize("C0", [0.3, 1, 3, 10])
@pytest.mark.parametrize(("dim", "width"), [(2, 5), (8, 50), (50, 200), (3, 400)])
def test_the_least_gradient_is_attained_in_the_ball_and_bounded_from_below(dim, width, C0):
    network = TwoLayer.random(dim, width, seed=dim, dtype=torch.float64)
    ball = LazyBall(network, C0)
    for x in sphere(4, dim):
        found = smallest_gradient(ball, x)
        assert ball.contains(found.network)
        assert norm(found.network, x) == pytest.approx(found.high, abs=1e-6 * norm(network, x) + 1e-8)
        assert 0 <= found.low <= found.high + 1e-9 * norm(network, x)
        assert found.high <= norm(network, x) * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_no_network_of_the_ball_has_less_gradient_than_the_lower_bound(seed):
    dim, width = 6, 40
    ball = LazyBall(TwoLayer.random(dim, width, seed=seed, dtype=torch.float64), 0.7)
    x = sphere(1, dim, seed)[0]
    low = smallest_gradient(ball, x).low
    assert low > 0
    draw = torch.Generator().manual_seed(seed)
    for _ in range(100):
        rows = torch.nn.functional.normalize(torch.randn(width, dim, generator=draw, dtype=torch.float64), dim=1)
        assert norm(moved(ball, rows), x) >= low * (1 - 1e-12)
    # all neurons against one direction, with and without switching those that can be
    for h in torch.nn.functional.normalize(torch.randn(100, dim, generator=draw, dtype=torch.float64), dim=1):
        against = -torch.outer(ball.network0.a.sign(), h)
        assert norm(moved(ball, against), x) >= low * (1 - 1e-12)
        switched = torch.where((ball.network0.W @ x > 0)[:, None], -x, x).expand_as(against)
        reachable = (ball.network0.W @ x).abs() <= ball.radius
        useful = ball.network0.a * (ball.network0.W @ h) * (ball.network0.W @ x).sign() > 0
        rows = torch.where((reachable & useful)[:, None], switched, against)
        assert norm(moved(ball, rows), x) >= low * (1 - 1e-12)


@pytest.mark.parametrize("C0", [0.5, 2.0, 6.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_linear_minimum_over_the_ball_is_that_of_a_dense_disc_neuron_by_neuron(seed, C0):
    network = TwoLayer.random(2, 8, seed=seed, dtype=torch.float64)
    ball, (x,) = LazyBall(network, C0), sphere(1, 2, seed)
    angles, radii = torch.arange(360) * math.pi / 180, torch.linspace(0, 1, 60, dtype=torch.float64)
    circle = torch.stack([angles.cos(), angles.sin()], dim=1).to(torch.float64)
    disc = ball.radius * (radii[:, None, None] * circle).reshape(-1, 2)
    switches = _Switches(ball, x)
    for h in circle[::45]:
        dense = 0.0
        for w, a in zip(network.W, network.a, strict=True):
            moved = w + disc
            dense += float((a * ((moved @ x) > 0) * (moved @ h)).min()) / math.sqrt(8)
        found = float(h @ switches._sum(switches._least(h))) - switches._slack
        assert dense - 0.03 * C0 <= found <= dense + 1e-6


def least_by_patterns(ball, x):
    """The least |gradient| in one dimension: each neuron adds an interval, or 0 if it is off; all patterns."""
    r, a = ball.radius, ball.network0.a / math.sqrt(ball.network0.width)
    choices = []
    for j in range(ball.network0.width):
        w, options = float(ball.network0.W[j, 0]), []
        low, high = w - r, w + r
        if x > 0 and high > 0:
            options.append((max(low, 0.0), high))
        if x < 0 and low < 0:
            options.append((low, min(high, 0.0)))
        if (low if x > 0 else -high) <= 0:
            options.append((0.0, 0.0))
        choices.append([tuple(sorted((float(a[j]) * p, float(a[j]) * q))) for p, q in options])
    least = math.inf
    for pattern in itertools.product(*choices):
        low, high = sum(p for p, _ in pattern), sum(q for _, q in pattern)
        least = min(least, 0.0 if low <= 0 <= high else min(abs(low), abs(high)))
    return least


@pytest.mark.parametrize("seed", range(30))
def test_the_bounds_hold_the_least_gradient_of_all_patterns_in_one_dimension(seed):
    ball = LazyBall(TwoLayer.random(1, 7, seed=seed, dtype=torch.float64), 1.5)
    x = torch.tensor([1.0 if seed % 2 else -1.0], dtype=torch.float64)
    exact, found = least_by_patterns(ball, float(x[0])), smallest_gradient(ball, x)
    assert found.low <= exact + 1e-12
    assert found.high >= exact - 1e-8


def test_where_no_neuron_can_switch_the_least_gradient_is_known():
    network = TwoLayer.random(20, 30, seed=1, dtype=torch.float64)
    x = sphere(1, 20)[0]
    nearest = float((network.W @ x).abs().min())
    ball = LazyBall(network, radius=0.99 * nearest)
    on = int((network.W @ x > 0).sum())
    expected = norm(network, x) - ball.radius * on / math.sqrt(30)
    found = smallest_gradient(ball, x)
    assert found.high == pytest.approx(expected, rel=1e-9)
    assert found.low == pytest.approx(expected, rel=1e-9)


def test_the_bounds_meet_where_there_are_many_more_neurons_than_dimensions():
    for C0 in (1, 3):
        ball = LazyBall(TwoLayer.random(36, 4000, seed=0, dtype=torch.float64), C0)
        for x in sphere(3, 36):
            found = smallest_gradient(ball, x)
            assert found.high - found.low <= 2e-3 * norm(ball.network0, x)
            # to leading order C0/2 by moving and C0 / pi by switching
            taken = norm(ball.network0, x) - found.high
            assert taken == pytest.approx((0.5 + 1 / math.pi) * C0, rel=0.2)


def test_a_large_ball_holds_a_network_without_gradient():
    ball = LazyBall(TwoLayer.random(9, 300, seed=0, dtype=torch.float64), 20.0)
    assert all(smallest_gradient(ball, x).high == 0 for x in sphere(3, 9))


# ---------------------------------------------------------------- Lemma 4.4: how much the gradient changes


def test_the_largest_difference_is_one_within_reach_and_near_the_largest_of_a_dense_disc():
    for seed in range(5):
        network = TwoLayer.random(2, 60, seed=seed, dtype=torch.float64)
        x, reach = sphere(3, 2, seed), 0.5
        found = largest_difference(network, x, reach, starts=4, steps=20, draw=torch.Generator().manual_seed(0))
        angles = torch.arange(720, dtype=torch.float64) * math.pi / 360
        circle = torch.stack([angles.cos(), angles.sin()], dim=1)
        disc = torch.cat([reach * share * circle for share in (0.25, 0.5, 0.75, 1.0)])
        for i in range(3):
            there = network.gradient(x[i] + disc) - network.gradient(x[i])
            dense = float(torch.linalg.vector_norm(there, dim=1).max())
            assert 0.7 * dense <= float(found[i]) <= 1.1 * dense


def test_a_search_of_one_step_is_the_difference_at_its_starts_and_more_steps_find_no_less():
    network = TwoLayer.random(30, 80, seed=2, dtype=torch.float64)
    x, reach = sphere(4, 30), 0.3
    g = network.gradient(x)
    ahead = reach * g / torch.linalg.vector_norm(g, dim=1, keepdim=True)
    by_hand = torch.stack([network.gradient(x + d) - g for d in (ahead, -ahead)]).norm(dim=-1).amax(dim=0)
    few, more = (
        largest_difference(network, x, reach, starts=0, steps=steps, draw=torch.Generator()) for steps in (1, 12)
    )
    torch.testing.assert_close(few, by_hand)
    assert bool((more >= few).all())
    assert float(more.mean()) > 1.1 * float(few.mean())


def test_a_difference_is_measured_in_blocks_as_it_is_at_once(monkeypatch):
    network, x = TwoLayer.random(10, 40, seed=2, dtype=torch.float64), sphere(7, 10)
    found = [
        largest_difference(network, x, 0.3, starts=2, steps=4, draw=torch.Generator().manual_seed(1)) for _ in (0, 1)
    ]
    monkeypatch.setattr("gradflip.lazy._gradient_change._BLOCK", 300)
    again = largest_difference(network, x, 0.3, starts=2, steps=4, draw=torch.Generator().manual_seed(1))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0)
    torch.testing.assert_close(found[0], again)


# ---------------------------------------------------------------- Lemma 4.3: neurons that can change sign


def test_the_bound_is_the_width_times_the_largest_density_and_hoeffdings_slack():
    for width, C0, gamma in [(100, 1, 0.5), (1000, 10, 0.01), (7, 0.3, 0.9)]:
        mean = width * 2 * C0 / math.sqrt(width) * scipy.stats.norm.pdf(0)
        # exp(-2 t^2 / m) = gamma
        slack = slab_bound(width, C0, gamma) - mean
        assert math.exp(-2 * slack**2 / width) == pytest.approx(gamma)


def test_neurons_in_the_slab_are_counted_as_by_a_loop():
    W, x = TwoLayer.random(6, 50, seed=0, dtype=torch.float64).W, 1.7 * sphere(3, 6)
    for i in range(3):
        by_loop = 0
        for w in W:
            by_loop += abs(float(w @ x[i])) <= 4 * 1.7 / math.sqrt(50)
        assert int(in_slab(W, x, 4)[i]) == by_loop > 0


def test_those_neurons_and_no_others_change_sign_within_the_ball():
    network = TwoLayer.random(6, 50, seed=0, dtype=torch.float64)
    (x,), ball = sphere(1, 6), LazyBall(network, 2.0)
    can = 0
    for j in range(50):
        toward = -ball.radius * (1 + 1e-9) * x * (1 if float(network.W[j] @ x) > 0 else -1)
        can += (float((network.W[j] + toward) @ x) > 0) != (float(network.W[j] @ x) > 0)
    assert int(in_slab(network.W, x, 2.0)) == can


@pytest.mark.parametrize("reach", [0.05, 0.2, 0.6])
def test_a_chosen_perturbation_is_short_and_crowds_the_slab(reach):
    W = TwoLayer.random(120, 500, seed=0, dtype=torch.float64).W
    for x in sphere(4, 120):
        delta = crowding(W, x, 1.0, reach)
        assert float(torch.linalg.vector_norm(delta)) <= reach * (1 + 1e-9)
        before, after = int(in_slab(W, x, 1.0)), int(in_slab(W, x + delta, 1.0))
        assert after > (1.5 if reach < 0.1 else 2) * before


def test_violations_are_those_of_the_draws_and_their_probability_is_exact():
    rows = measured(SLAB)
    u = torch.randn(4000, 40, generator=generator(3, "ball, pre-activations, m = 40"), dtype=torch.float64)
    assert len(rows) == 4
    for row in rows:
        assert (row["line"], row["part"]) == (FIXED, "fixed")
        counts = [sum(abs(v) <= row["C0"] / math.sqrt(40) for v in draw) for draw in u.tolist()]
        bound = slab_bound(40, row["C0"], row["gamma"])
        assert row["bound"] == bound
        assert row["violations"] == sum(count > bound for count in counts)
        assert row["neurons"] == pytest.approx(sum(counts) / 4000)
        error = math.sqrt(row["probability"] * (1 - row["probability"]) / 4000)
        assert abs(row["violations"] / 4000 - row["probability"]) <= 4 * error + 1e-12
        assert row["probability"] <= row["gamma"]
    assert max(row["violations"] for row in rows) > 50  # the bound is not so loose that nothing is tested


def test_the_mean_number_of_neurons_nears_the_first_term_of_the_bound():
    (row,) = measured(SLAB | {"width": 40_000, "C0s": [1], "gammas": [0.1], "draws": 40})
    first = slab_bound(40_000, 1, 1.0)  # log 1 = 0
    assert row["neurons"] == pytest.approx(first, rel=5 / math.sqrt(40 * first))
    assert row["neurons"] < row["bound"]


def test_a_perturbation_chosen_from_the_weights_breaks_the_bound_and_others_do_not():
    rows = measured(MOVED)
    assert len(rows) == 6
    for row in rows:
        assert row["draws"] == 30
        assert (row["dim"], row["width"]) == (60, 150)
        if row["line"] == CHOSEN:
            assert row["violations"] >= 25
            assert row["neurons"] > row["bound"]
        else:
            assert row["line"] in (INDEPENDENT, GRADIENT)
            assert row["violations"] <= 3
            # as many as of x itself: P(|N(0, 1)| <= C0 / sqrt m) each
            expected = 150 * math.erf(1 / math.sqrt(300))
            assert row["neurons"] == pytest.approx(expected, abs=5 * math.sqrt(expected / 30))


def test_neurons_at_perturbed_inputs_are_those_of_the_perturbations_named():
    rows = measured(MOVED | {"draws": 3})
    draw, counts = generator(3, "ball, moved inputs, d = 60, m = 150"), {}
    for _ in range(3):
        W = torch.randn(150, 60, generator=draw, dtype=torch.float64)
        a = 2 * torch.randint(2, (150,), generator=draw) - 1
        points = torch.randn(2, 60, generator=draw, dtype=torch.float64)
        x, apart = points / torch.linalg.vector_norm(points, dim=1, keepdim=True)
        value = sum(float(a[j]) * max(float(W[j] @ x), 0.0) for j in range(150))
        g = sum(float(a[j]) * W[j] for j in range(150) if float(W[j] @ x) > 0)
        downhill = -math.copysign(1.0, value) * g / torch.linalg.vector_norm(g)
        for constant in (1, 4):
            reach = constant / math.sqrt(60)
            deltas = {INDEPENDENT: reach * apart, GRADIENT: reach * downhill, CHOSEN: crowding(W, x, 1, reach)}
            for line, delta in deltas.items():
                counts.setdefault((constant, line), []).append(int(in_slab(W, x + delta, 1)))
    for row in rows:
        assert row["neurons"] == pytest.approx(sum(counts[row["constant"], row["line"]]) / 3)


# ---------------------------------------------------------------- the rows of networks


def rise_by_loop(W, a, x, C0):
    """sup over the ball of |f| less |f|, neuron by neuron."""
    m = len(a)
    reach = C0 / math.sqrt(m) * float(torch.linalg.vector_norm(x))

    def relu(v):
        return max(v, 0.0)

    highest = {1: 0.0, -1: 0.0}
    value = 0.0
    for j in range(m):
        u = float(W[j] @ x)
        value += float(a[j]) * relu(u)
        for y in (1, -1):
            highest[y] += max(y * float(a[j]) * relu(u + side * reach) for side in (1, -1))
    return (max(highest.values()) - abs(value)) / math.sqrt(m)


@pytest.fixture(scope="module")
def rows():
    return measured(NETWORKS)


def of(rows, part, over="dim"):
    return [row for row in rows if row["part"] == part and row["over"] == over]


def test_rows_of_networks_are_what_loops_find(rows):
    start = TwoLayer.random(25, 60, seed=3, dtype=torch.float32).to(dtype=torch.float64)
    x = torch.randn(6, 25, generator=generator(3, "ball, inputs, d = 25, m = 60"), dtype=torch.float64)
    x = x / torch.linalg.vector_norm(x, dim=1, keepdim=True)
    (first,) = of(rows, "start")
    norms = [norm(start, point) for point in x]
    assert first["gradient0"] == pytest.approx(sum(norms) / 6)
    assert first["value0"] == pytest.approx(math.sqrt(sum(float(start(point)) ** 2 for point in x) / 6))
    assert 0 < first["difference0"] < first["gradient0"] * 2
    for row, C0 in zip(of(rows, "ball"), (0.5, 2), strict=True):
        rises = [rise_by_loop(start.W, start.a, point, C0) for point in x]
        assert row["C0"] == C0
        assert row["rise"] == pytest.approx(sum(rises) / 6)
        assert row["rise_share"] == pytest.approx(max(rises) / C0)
        assert row["rise_share"] <= 1
        ball = LazyBall(start, C0)
        least = [smallest_gradient(ball, point) for point in x]
        assert row["minimum"] == pytest.approx(sum(found.high for found in least) / 6)
        assert row["minimum_low"] == pytest.approx(sum(found.low for found in least) / 6)
        assert row["drop"] == pytest.approx(first["gradient0"] - row["minimum"])


def test_trained_networks_are_in_their_ball_and_measured_at_test_images(rows):
    images = load_data("digits", (0, 1), 5, normalize=True).x_test[:6].to(torch.float64)
    start = TwoLayer.random(25, 60, seed=3, dtype=torch.float32).to(dtype=torch.float64)
    for row, C0 in zip(of(rows, "trained"), (0.5, 2), strict=True):
        assert row["stopped_because"] == "left-ball"
        assert 0.8 * C0 < row["scaled_deviation"] <= C0
        assert row["gradient_start"] == pytest.approx(sum(norm(start, image) for image in images) / 6)
        # no further from the start than any network of the ball
        ball = LazyBall(start, C0)
        assert row["gradient"] >= sum(smallest_gradient(ball, image).low for image in images) / 6
        assert row["gradient"] != row["gradient_start"]


def test_rows_lie_on_the_lines_asked_for(rows):
    lines = {(row["part"], row["line"]) for row in rows}
    assert lines == {
        ("start", "over d, m = 60"),
        *((part, f"over d, m = 60, C0 = {C0}") for part in ("ball", "trained") for C0 in (0.5, 2)),
        *((part, "over C0, d = 25, m = 60") for part in ("ball", "trained")),
    }


def test_the_fall_of_the_gradient_is_not_given_where_there_may_be_none_left():
    rows = measured(NETWORKS | {"C0s": [30], "max_epochs": 1})
    (row,) = of(rows, "ball")
    assert row["minimum_low"] == 0
    assert row["drop"] is None


@pytest.mark.parametrize("parameters", [NETWORKS, SLAB, MOVED], ids=lambda parameters: parameters["part"])
def test_a_seed_gives_the_same_rows_again_and_another_seed_others(parameters):
    small = parameters | ({"draws": 20} if "draws" in parameters else {"max_epochs": 2})
    once, again, other = (measured(small, seed) for seed in (1, 1, 2))
    assert once == again
    assert once != other


def test_presets_vary_d_m_and_C0_and_name_a_line_for_each_claim():
    experiment = EXPERIMENTS["ball-lemmas"]
    for preset, parts in experiment.groups.items():
        networks = [part.parameters for part in parts if part.parameters["part"] == "networks"]
        for over, column in (("dim", "size"), ("width", "width")):
            along = [part for part in networks if over in part["lines"]]
            assert len({part[column] for part in along}) >= 3
            assert len({part["width" if over == "dim" else "size"] for part in along}) == 1
        assert sum("C0" in part["lines"] for part in networks) == 1
        cells = experiment.cells(Settings(preset=preset))
        assert len({cell.hash for cell in cells}) == len(cells)
        assert {"data" in cell.parameters for cell in cells if cell.parameters["part"] != "networks"} == {False}
    assert sum(cell.cost for cell in experiment.cells(Settings())) < 120
    assert sum(cell.cost for cell in experiment.cells(Settings(preset="standard"))) < 2 * 20 * 60
