"""The measures of Lemmas 4.1 to 4.4: against loops, brute force at tiny sizes, and networks that try to do worse."""

import math

import pytest
import torch

from gradflip import LazyBall, TwoLayer
from gradflip._seeds import generator
from gradflip.data import load_data
from gradflip.experiments import EXPERIMENTS, Settings
from gradflip.experiments.ball._claims import CHOSEN, FIXED, GRADIENT, INDEPENDENT
from gradflip.experiments.ball._lemmas_measure import measure
from gradflip.lazy import crowding_perturbation, sign_change_bound, smallest_gradient, switchable_neurons

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


def norm(network, x):
    return float(torch.linalg.vector_norm(network.gradient(x)))


def test_violations_are_those_of_the_draws_and_their_probability_is_exact():
    rows = measured(SLAB)
    u = torch.randn(4000, 40, generator=generator(3, "ball, pre-activations, m = 40"), dtype=torch.float64)
    assert len(rows) == 4
    for row in rows:
        assert (row["line"], row["part"]) == (FIXED, "fixed")
        counts = [sum(abs(v) <= row["C0"] / math.sqrt(40) for v in draw) for draw in u.tolist()]
        bound = sign_change_bound(40, row["C0"], row["gamma"])
        assert row["bound"] == bound
        assert row["violations"] == sum(count > bound for count in counts)
        assert row["neurons"] == pytest.approx(sum(counts) / 4000)
        error = math.sqrt(row["probability"] * (1 - row["probability"]) / 4000)
        assert abs(row["violations"] / 4000 - row["probability"]) <= 4 * error + 1e-12
        assert row["probability"] <= row["gamma"]
    assert max(row["violations"] for row in rows) > 50  # the bound is not so loose that nothing is tested


def test_the_mean_number_of_neurons_nears_the_first_term_of_the_bound():
    (row,) = measured(SLAB | {"width": 40_000, "C0s": [1], "gammas": [0.1], "draws": 40})
    first = sign_change_bound(40_000, 1, 1.0)  # log 1 = 0
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
            deltas = {
                INDEPENDENT: reach * apart,
                GRADIENT: reach * downhill,
                CHOSEN: crowding_perturbation(W, x, 1, reach),
            }
            for line, delta in deltas.items():
                counts.setdefault((constant, line), []).append(int(switchable_neurons(W, x + delta, 1)))
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
