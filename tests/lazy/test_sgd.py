"""Training in the lazy regime against plain PyTorch, iterate by iterate."""

import math
import re

import pytest
import torch

import gradflip.lazy._history as history_module
import gradflip.lazy._sgd as sgd_module
from cases import refused
from gradflip import Activation, LazyBall, StopReason, TwoLayer, UsageError, load_data, train
from gradflip.lazy import train_through
from reference import drift_by_loop, train_by_autograd
from tensors import normal

FORMS = [{}, {"bias": True, "output_bias": True}]


def separable(n: int, dim: int, *, seed: int, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    """Points on the sphere with the sign of their first entry as label."""
    x = torch.nn.functional.normalize(normal(n, dim, seed=seed))
    return x.to(dtype), torch.where(x[:, 0] < 0, -1.0, 1.0).to(dtype)


def trained_rows(network: TwoLayer) -> torch.Tensor:
    """[W, b] in float64."""
    W = network.W.double()
    return W if network.bias is None else torch.cat([W, network.bias.double()[:, None]], dim=1)


def assert_fits_equal(one, other) -> None:
    assert torch.equal(trained_rows(one.network), trained_rows(other.network))
    assert one.history.equals(other.history)
    for name in ("stopped_because", "steps", "epochs", "deviation", "left_at"):
        assert getattr(one, name) == getattr(other, name)


# Every iterate


@pytest.mark.parametrize("shuffle", ["every-epoch", "once"])
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize(
    "name", ["relu", "leaky_relu", "abs", "identity", "tanh", "erf", "gelu", "softplus", "swish", "sin"]
)
def test_every_iterate_is_that_of_autograd_and_sgd(name, form, shuffle):
    network = TwoLayer.random(5, 20, activation=name, dtype=torch.float64, seed=3, **form)
    x, y = separable(23, 5, seed=1)  # 23 by 7: the last batch is smaller
    twin = train_by_autograd(network, x, y, lr=1.0, batch_size=7, epochs=6, seed=8, shuffle=shuffle)
    for epochs in (1, 2, 6):
        fit = train(network, x, y, lr=1.0, batch_size=7, max_epochs=epochs, seed=8, shuffle=shuffle)
        assert (fit.stopped_because, fit.steps, fit.epochs, fit.left_at) == (
            StopReason.MAX_EPOCHS,
            4 * epochs,
            epochs,
            None,
        )
        assert float((trained_rows(fit.network) - twin.states[4 * epochs]).abs().max()) < 1e-10
        assert fit.deviation == pytest.approx(twin.deviations[4 * epochs], abs=1e-10)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_every_step_within_an_epoch_is_that_of_autograd_and_sgd(form):
    # balls that end at every single step: the last iterate inside each is the twin's iterate
    network = TwoLayer.random(5, 20, dtype=torch.float64, seed=3, **form)
    x, y = separable(23, 5, seed=1)
    twin = train_by_autograd(network, x, y, lr=0.5, batch_size=7, epochs=3, seed=8)
    farthest = [max(twin.deviations[: step + 1]) for step in range(13)]
    steps = [step for step in range(12) if twin.deviations[step + 1] > farthest[step]]
    assert len(steps) >= 8
    balls = [LazyBall(network, radius=0.5 * (farthest[step] + farthest[step + 1])) for step in steps]
    fits = train_through(network, x, y, balls=balls, lr=0.5, batch_size=7, max_epochs=3, seed=8)
    for step, fit in zip(steps, fits, strict=True):
        assert (fit.stopped_because, fit.steps, fit.epochs) == (StopReason.LEFT_BALL, step, step / 4)
        assert float((trained_rows(fit.network) - twin.states[step]).abs().max()) < 1e-10
        assert fit.deviation == pytest.approx(twin.deviations[step], abs=1e-10)
        assert fit.left_at == pytest.approx(twin.deviations[step + 1], abs=1e-10)


# The ball


def first_outside(deviations: list[float], radius: float) -> int | None:
    return next((step for step, deviation in enumerate(deviations) if deviation > radius), None)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("lr", [0.02, 0.5, 5.0])
def test_training_stops_at_the_step_at_which_an_exact_check_stops(lr, form, dtype):
    stopped = 0
    for seed in range(6):
        dim, width = 2 + seed, (6, 40, 150)[seed % 3]
        network = TwoLayer.random(dim, width, dtype=dtype, seed=seed, **form)
        x, y = separable(40, dim, seed=seed, dtype=dtype)
        twin = train_by_autograd(network, x, y, lr=lr, batch_size=8, epochs=12, seed=seed)
        for C0 in (0.05, 0.3, 1.0, 3.0):
            ball = LazyBall(network, C0)
            fit = train(network, x, y, ball=ball, lr=lr, batch_size=8, max_epochs=12, seed=seed)
            out = first_outside(twin.deviations, ball.radius)
            assert ball.contains(fit.network)
            assert fit.deviation == ball.deviation(fit.network)
            if out is None:
                assert (fit.stopped_because, fit.steps, fit.left_at) == (StopReason.MAX_EPOCHS, 60, None)
                continue
            stopped += 1
            assert (fit.stopped_because, fit.steps, fit.epochs) == (StopReason.LEFT_BALL, out - 1, (out - 1) / 5)
            assert fit.deviation <= ball.radius < fit.left_at
            tolerance = 1e-10 if dtype == torch.float64 else 1e-4
            assert float((trained_rows(fit.network) - twin.states[out - 1]).abs().max()) < tolerance
            assert fit.left_at == pytest.approx(twin.deviations[out], rel=tolerance, abs=tolerance)
    assert stopped > 4


def test_the_bound_that_saves_the_check_holds_for_steps_that_all_pull_one_way():
    # one neuron, one example: every step moves it by the whole bound, so the bound is as tight as can be
    for a, lr in ((1.0, 0.1), (-3.0, 0.7)):
        network = TwoLayer(torch.tensor([[0.3, 0.4]]).double(), torch.tensor([a]).double(), activation="identity")
        x, y = torch.tensor([[0.6, 0.8]]).double(), torch.tensor([1.0]).double()
        twin = train_by_autograd(network, x, y, lr=lr, batch_size=1, epochs=60, seed=0)
        for step in range(1, 60, 7):
            for radius in (twin.deviations[step] * (1 - 1e-9), twin.deviations[step] * (1 + 1e-9)):
                fit = train(network, x, y, ball=LazyBall(network, radius=radius), lr=lr, batch_size=1, max_epochs=60)
                assert fit.steps == first_outside(twin.deviations, radius) - 1


def test_the_bound_that_saves_the_check_holds_where_rounding_lengthens_every_step():
    # steps of 0.7 units in the last place of the weight: each becomes a whole unit
    unit = 2.0**-13
    network = TwoLayer(torch.tensor([[1500.0]]), torch.tensor([1.0]), activation="identity")
    x, y = torch.tensor([[1.0]]), torch.tensor([-1.0])
    twin = train_by_autograd(network, x, y, lr=0.7 * unit, batch_size=1, epochs=30, seed=0)
    assert twin.deviations[20] == 20 * unit
    for radius in (5.5 * unit, 10.5 * unit, 20.5 * unit):
        ball = LazyBall(network, radius=radius)
        fit = train(network, x, y, ball=ball, lr=0.7 * unit, batch_size=1, max_epochs=30)
        assert fit.steps == first_outside(twin.deviations, radius) - 1


def test_an_activation_without_a_bound_on_its_slope_is_checked_all_the_same():
    cube = Activation("cube", lambda z: z**3 / 3, lambda z: z**2)
    network = TwoLayer.random(3, 10, activation=cube, dtype=torch.float64)
    x, y = separable(20, 3, seed=1)
    twin = train_by_autograd(network, x, y, lr=0.5, batch_size=4, epochs=5, seed=0)
    ball = LazyBall(network, 1.0)
    fit = train(network, x, y, ball=ball, lr=0.5, batch_size=4, max_epochs=5)
    assert fit.steps == first_outside(twin.deviations, ball.radius) - 1


@pytest.mark.parametrize("keep", ["inside", "outside"])
@pytest.mark.parametrize("check", ["step", "epoch"])
@pytest.mark.parametrize("shuffle", ["every-epoch", "once"])
def test_how_it_is_checked_and_what_is_kept_are_those_of_the_twin(check, keep, shuffle):
    network = TwoLayer.random(5, 30, bias=True, dtype=torch.float64, seed=3)
    x, y = separable(40, 5, seed=1)
    twin = train_by_autograd(network, x, y, lr=0.5, batch_size=8, epochs=15, seed=2, shuffle=shuffle)
    for C0 in (0.3, 1.0, 2.0):
        ball = LazyBall(network, C0)
        fit = train(
            network,
            x,
            y,
            ball=ball,
            lr=0.5,
            batch_size=8,
            max_epochs=15,
            seed=2,
            check=check,
            keep=keep,
            shuffle=shuffle,
        )
        looked_at = list(range(len(twin.states))) if check == "step" else [0, *twin.epoch_ends]
        out = next(step for step in looked_at if twin.deviations[step] > ball.radius)
        last = looked_at[looked_at.index(out) - 1]
        assert fit.stopped_because == StopReason.LEFT_BALL
        assert fit.steps == (last if keep == "inside" else out)
        assert float((trained_rows(fit.network) - twin.states[fit.steps]).abs().max()) < 1e-10
        assert fit.left_at == pytest.approx(twin.deviations[out], abs=1e-10)
        assert fit.deviation == pytest.approx(twin.deviations[fit.steps], abs=1e-10)
        assert ball.contains(fit.network) == (keep == "inside")
        assert fit.history["step"][-1] == fit.steps
        assert fit.history["deviation"][-1] == pytest.approx(fit.deviation, rel=1e-12)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("check", ["step", "epoch"])
@pytest.mark.parametrize("keep", ["inside", "outside"])
def test_one_trajectory_through_several_balls_gives_what_each_alone_gives(keep, check, form):
    network = TwoLayer.random(5, 30, dtype=torch.float32, seed=3, **form)
    x, y = separable(40, 5, seed=1, dtype=torch.float32)
    settings = {"lr": 0.5, "batch_size": 8, "max_epochs": 10, "keep": keep, "check": check, "test": (x[:9], y[:9])}
    balls = [LazyBall(network, C0) for C0 in (1.0, 0.2, 50.0, 0.201, 2.0, 1.0)]
    fits = train_through(network, x, y, balls=balls, **settings)
    assert [fit.stopped_because for fit in fits].count(StopReason.MAX_EPOCHS) == 1
    for ball, fit in zip(balls, fits, strict=True):
        assert_fits_equal(fit, train(network, x, y, ball=ball, **settings))
    assert_fits_equal(train_through(network, x, y, balls=[], **settings)[0], train(network, x, y, **settings))


def as_if_elsewhere(monkeypatch) -> list:
    """Train as on a device that is not the host; the list grows by one whenever a step reads a number back."""
    reads = []

    class Elsewhere(sgd_module.Descent):
        def __init__(self, *given):
            super().__init__(*given)
            self.waits = True

        def reach(self, statistics):
            reads.append(statistics)
            return super().reach(statistics)

    monkeypatch.setattr(sgd_module, "Descent", Elsewhere)
    return reads


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("check", ["step", "epoch"])
def test_steps_that_do_not_wait_for_their_device_are_the_same_steps(check, form, monkeypatch):
    """On an accelerator no step reads a number back while it provably stays inside; here on the CPU as if it were."""
    network = TwoLayer.random(5, 300, dtype=torch.float32, seed=3, **form)
    x, y = separable(60, 5, seed=1, dtype=torch.float32)
    settings = {"lr": 0.05, "batch_size": 8, "max_epochs": 30, "check": check}
    balls = [LazyBall(network, C0) for C0 in (0.3, 1.0, 2.0, 50.0)]
    usual = train_through(network, x, y, balls=balls, **settings)
    reads = as_if_elsewhere(monkeypatch)
    for one, other in zip(usual, train_through(network, x, y, balls=balls, **settings), strict=True):
        assert_fits_equal(one, other)
    assert usual[0].left_at is not None
    assert len(reads) < usual[-1].steps / 3
    assert_fits_equal(train(network, x, y, **settings), train(network, x, y, ball=None, **settings))


def test_a_step_that_diverges_unseen_is_seen_at_the_next_look(monkeypatch):
    network = TwoLayer.random(3, 10, dtype=torch.float32, seed=1)
    x, y = separable(40, 3, seed=1, dtype=torch.float32)
    as_if_elsewhere(monkeypatch)
    fit = train(network, x * 1e18, y, lr=1e30, batch_size=4, max_epochs=3)
    assert fit.stopped_because is StopReason.DIVERGED
    assert bool(fit.network.W.isfinite().all())


def test_a_training_in_sqrt_d_scaling_is_that_in_unit_scaling():
    for dim in (4, 6):  # the root of 4 rounds nothing
        unit = TwoLayer.random(dim, 30, bias=True, dtype=torch.float64, seed=3)
        other = unit.rescale("sqrt-d")
        x, y = separable(40, dim, seed=1)
        form = {"lr": 0.5, "batch_size": 8, "max_epochs": 8}
        tests = (x[:9], y[:9]), (dim**0.5 * x[:9], y[:9])
        for C0 in (0.3, 1.0):
            one = train(unit, x, y, ball=LazyBall(unit, C0), test=tests[0], **form)
            two = train(other, dim**0.5 * x, y, ball=LazyBall(other, C0), test=tests[1], **form)
            assert two.network.scaling == "sqrt-d"
            assert (one.steps, one.stopped_because) == (two.steps, two.stopped_because)
            assert two.left_at == pytest.approx(one.left_at, rel=1e-12)
            torch.testing.assert_close(two.network.rescale("unit").W, one.network.W, rtol=1e-12, atol=1e-13)
            for name in one.history.columns:
                assert two.history[name].is_null().equals(one.history[name].is_null())
                expected = one.history[name].drop_nulls().to_list()
                assert two.history[name].drop_nulls().to_list() == pytest.approx(expected, rel=1e-9, abs=1e-12)
            if dim == 4:
                assert torch.equal(one.network.W, two.network.W * 2)
                assert one.history.equals(two.history)


def test_the_network_returned_in_sqrt_d_scaling_is_inside_in_float32():
    # balls whose surface an iterate just reaches, so that the rounding of the scaling decides
    for seed in range(10):
        network = TwoLayer.random(7, 30, scaling="sqrt-d", bias=seed % 2 == 0, dtype=torch.float32, seed=seed)
        x, y = separable(40, 7, seed=seed, dtype=torch.float32)
        form = {"lr": 0.1, "batch_size": 8, "max_epochs": 20, "seed": seed}
        for C0 in (0.1, 0.2, 0.3, 0.4):
            first = train(network, 7**0.5 * x, y, ball=LazyBall(network, C0), **form)
            ball = LazyBall(network, radius=first.deviation)
            fit = train(network, 7**0.5 * x, y, ball=ball, **form)
            assert fit.steps == first.steps
            assert ball.contains(fit.network)
            torch.testing.assert_close(fit.network.W, first.network.W, rtol=1e-5, atol=1e-6)


def test_training_inside_a_ball_separates_the_digits():
    digits = load_data("digits", dtype=torch.float32)
    network = TwoLayer.random(64, 300, bias=True, dtype=torch.float32, seed=1)
    test = digits.x_test, digits.y_test
    ball = LazyBall(network, 10.0)
    fit = train(network, digits.x_train, digits.y_train, ball=ball, lr=0.1, batch_size=32, max_epochs=20, test=test)
    assert ball.contains(fit.network)
    assert fit.history["loss"][1] > 3 * fit.history["loss"][-2]
    assert fit.history["test_error"][-1] <= 0.05 < fit.history["test_error"][0]


# The history


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("name", ["relu", "tanh"])
def test_the_history_records_what_its_columns_say(name, form):
    network = TwoLayer.random(5, 20, activation=name, dtype=torch.float64, seed=3, **form)
    x, y = separable(23, 5, seed=1)
    test_x, test_y = separable(50, 5, seed=2)
    twin = train_by_autograd(network, x, y, lr=2.0, batch_size=7, epochs=6, seed=8)
    fit = train(network, x, y, lr=2.0, batch_size=7, max_epochs=6, seed=8, test=(test_x, test_y))
    history = fit.history
    assert history.columns == [
        "epoch", "step", "loss", "train_error", "test_error", "deviation",
        "moved_max", "moved_q50", "moved_q90", "moved_q99", "signs_changed", "neurons_changed", "linearization_error",
    ]  # fmt: skip
    assert history["epoch"].to_list() == list(range(7))
    assert history["step"].to_list() == [0, *twin.epoch_ends]
    assert history["loss"][0] is None
    assert history["train_error"][0] is None
    for epoch in range(7):
        row = history.row(epoch, named=True)
        state = twin.states[row["step"]]
        now = TwoLayer(
            state[:, :5], network.a, state[:, 5] if network.bias is not None else None, network.output_bias, name
        )
        if epoch:
            batches = slice(twin.epoch_ends[epoch - 1] - 4, twin.epoch_ends[epoch - 1])
            assert row["loss"] == pytest.approx(sum(twin.losses[batches]) / 23, rel=1e-9)
            assert row["train_error"] == sum(twin.errors[batches]) / 23
        assert row["test_error"] == float((test_y * now(test_x) <= 0).double().mean())
        moved = sorted((20**0.5 * (state - twin.states[0]).norm(dim=1)).tolist())
        assert row["deviation"] == pytest.approx(moved[-1] / 20**0.5, abs=1e-10)
        assert row["moved_max"] == pytest.approx(moved[-1], abs=1e-10)
        for column, q in (("moved_q50", 0.5), ("moved_q90", 0.9), ("moved_q99", 0.99)):
            place = 19 * q  # linear between the two neurons it falls between
            low = int(place)
            expected = moved[low] + (place - low) * (moved[min(low + 1, 19)] - moved[low])
            assert row[column] == pytest.approx(expected, abs=1e-10)
        if epoch:
            pairs, neurons, error = drift_by_loop(now, network, x)
            assert (row["signs_changed"], row["neurons_changed"]) == (pytest.approx(pairs), pytest.approx(neurons))
            assert row["linearization_error"] == pytest.approx(error, rel=1e-7)
    assert history["signs_changed"][-1] > 0
    assert history["linearization_error"][-1] > 0.01
    assert history.row(0)[5:] == (0.0,) * 8


def test_signs_are_compared_on_the_first_512_training_examples():
    network = TwoLayer.random(3, 6, dtype=torch.float64, seed=3)
    x, y = separable(700, 3, seed=1)
    fit = train(network, x, y, lr=20.0, batch_size=350, max_epochs=2)
    pairs, _, error = drift_by_loop(fit.network, network, x[:512])
    assert fit.history["signs_changed"][-1] == pytest.approx(pairs)
    assert fit.history["linearization_error"][-1] == pytest.approx(error, rel=1e-7)


def test_blocks_change_no_test_error(monkeypatch):
    network = TwoLayer.random(3, 6, bias=True, output_bias=True, dtype=torch.float64, seed=3)
    x, y = separable(30, 3, seed=1)
    whole = train(network, x, y, max_epochs=2, test=(x, y))
    monkeypatch.setattr(history_module, "_BLOCK", 25)
    assert train(network, x, y, max_epochs=2, test=(x, y)).history.equals(whole.history)


@pytest.mark.parametrize("every", [2, 3, 100])
def test_fewer_rows_are_some_of_the_rows(every):
    network = TwoLayer.random(3, 6, dtype=torch.float64, seed=3)
    x, y = separable(30, 3, seed=1)
    form = {"batch_size": 8, "max_epochs": 7, "lr": 1.0}
    whole, fewer = train(network, x, y, **form), train(network, x, y, record_every=every, **form)
    assert torch.equal(whole.network.W, fewer.network.W)
    expected = [epoch for epoch in range(8) if epoch % every == 0 or epoch == 7]
    assert fewer.history["epoch"].to_list() == expected
    for row in fewer.history.iter_rows(named=True):
        same = whole.history.row(int(row["epoch"]), named=True)
        last = row["epoch"] == 7 and every != 7  # a state without an epoch's batches
        assert {k: v for k, v in row.items() if not (last and k in ("loss", "train_error"))} == {
            k: v for k, v in same.items() if not (last and k in ("loss", "train_error"))
        }


# Ends


def test_no_epoch_gives_the_network_back():
    network = TwoLayer.random(3, 6, bias=True, dtype=torch.float64)
    x, y = separable(10, 3, seed=1)
    for ball in (None, LazyBall(network, 1.0)):
        fit = train(network, x, y, ball=ball, max_epochs=0)
        assert torch.equal(trained_rows(fit.network), trained_rows(network))
        assert (fit.stopped_because, fit.steps, fit.epochs) == (StopReason.MAX_EPOCHS, 0, 0.0)
        assert (fit.deviation, fit.left_at, len(fit.history)) == (0.0, None, 1)


@pytest.mark.parametrize("batch_size", [4, 10])
@pytest.mark.parametrize("epochs", [1, 2, 5])
@pytest.mark.parametrize(
    ("dtype", "lr"), [(torch.float64, 1e306), (torch.float32, 1e37), (torch.float32, 1e38), (torch.float64, 1.7e308)]
)
def test_a_training_that_overflows_has_diverged(dtype, lr, epochs, batch_size):
    network = TwoLayer.random(3, 6, activation="identity", dtype=dtype, seed=1)
    x, y = separable(10, 3, seed=1, dtype=dtype)
    for check in ("step", "epoch"):
        fit = train(network, 100 * x, y, lr=lr, batch_size=batch_size, max_epochs=epochs, check=check)
        assert fit.network.W.isfinite().all()
        assert fit.history["step"][-1] == fit.steps
        if epochs > 1 or batch_size < 10:  # a single step may leave W finite, if not f
            assert fit.stopped_because == StopReason.DIVERGED
            assert fit.steps < epochs * math.ceil(10 / batch_size)


@pytest.mark.parametrize("check", ["step", "epoch"])
def test_a_step_that_overflows_has_left_the_ball(check):
    network = TwoLayer.random(3, 6, activation="identity", dtype=torch.float64, seed=1)
    x, y = separable(10, 3, seed=1)
    ball = LazyBall(network, 1.0)
    fit = train(network, 100 * x, y, ball=ball, lr=1e306, batch_size=10, max_epochs=3, check=check)
    assert ball.contains(fit.network)
    assert fit.stopped_because in (StopReason.DIVERGED, StopReason.LEFT_BALL)
    assert fit.steps == 0


def test_a_learning_rate_beyond_float32_is_an_error():
    network = TwoLayer.random(3, 6, dtype=torch.float32)
    x, y = separable(10, 3, seed=1, dtype=torch.float32)
    with pytest.raises(
        UsageError, match=r"lr must be positive and finite in torch\.float32, the type of the network, got 1e\+40"
    ):
        train(network, x, y, lr=1e40)


def test_nothing_given_is_changed():
    network = TwoLayer.random(3, 6, bias=True, dtype=torch.float64)
    x, y = separable(30, 3, seed=1)
    before = [tensor.clone() for tensor in (network.W, network.a, network.bias, x, y)]
    fit = train(network, x, y, lr=1.0, ball=LazyBall(network, 0.5), max_epochs=5, test=(x, y))
    assert fit.steps > 0
    for tensor, copy in zip((network.W, network.a, network.bias, x, y), before, strict=True):
        assert torch.equal(tensor, copy)
    assert torch.equal(fit.network.a, network.a)
    assert fit.network.W.data_ptr() != network.W.data_ptr()


def test_one_seed_is_one_training_whatever_was_drawn_before():
    network = TwoLayer.random(3, 6, dtype=torch.float64)
    x, y = separable(30, 3, seed=1)
    form = {"batch_size": 4, "max_epochs": 3}
    first = train(network, x, y, seed=5, **form)
    torch.rand(17)
    assert_fits_equal(train(network, x, y, seed=5, **form), first)
    assert not torch.equal(train(network, x, y, seed=6, **form).network.W, first.network.W)


def test_labels_may_be_of_any_type_of_number():
    network = TwoLayer.random(3, 6, dtype=torch.float64)
    x, y = separable(30, 3, seed=1)
    assert_fits_equal(
        train(network, x.float().double(), y, max_epochs=2), train(network, x.float(), y.float(), max_epochs=2)
    )


def test_progress_is_told_the_share_done():
    network = TwoLayer.random(3, 6)
    x, y = separable(30, 3, seed=1)
    seen = []
    train(network, x, y, max_epochs=4, progress=seen.append)
    assert seen == [0.25, 0.5, 0.75, 1.0]


# Errors


NETWORK = TwoLayer.random(3, 6, dtype=torch.float64)
X, Y = separable(10, 3, seed=1)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((X, (Y + 1) / 2), r"y must hold only -1 and +1, got 0."),
        ((X, torch.where(Y > 0, math.nan, Y)), r"y must hold only -1 and +1, got nan."),
        ((X, Y[:9]), r"y must have one label per row of x, 10, got shape (9,)."),
        ((X, Y[:, None]), r"y must have one label per row of x, 10, got shape (10, 1)."),
        ((X[:, :2], Y), r"x must have shape (n, 3) with n at least 1, got (10, 2)."),
        ((X[0], Y[:1]), r"x must have shape (n, 3) with n at least 1, got (3,)."),
        ((X[:0], Y[:0]), r"x must have shape (n, 3) with n at least 1, got (0, 3)."),
        ((torch.where(X > 0, math.inf, X), Y), r"x must be finite, got"),
    ],
)
def test_data_that_do_not_fit_are_errors(data, message):
    with refused(re.escape(message)):
        train(NETWORK, *data)
    of_the_test = re.sub(r"\b(x|y)\b(?! \d)", r"test \1", message)
    with refused(re.escape(of_the_test)):
        train(NETWORK, X, Y, test=data)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": 0.0}, r"lr must be positive and finite, got 0.0."),
        ({"lr": -1.0}, r"lr must be positive and finite, got -1.0."),
        ({"lr": math.inf}, r"lr must be positive and finite, got inf."),
        ({"lr": math.nan}, r"lr must be positive and finite, got nan."),
        ({"batch_size": 0}, r"batch_size must be an integer >= 1, got 0."),
        ({"batch_size": 2.5}, r"batch_size must be an integer >= 1, got 2.5."),
        ({"max_epochs": -1}, r"max_epochs must be an integer >= 0, got -1."),
        ({"record_every": 0}, r"record_every must be an integer >= 1, got 0."),
        ({"check": "batch"}, r"check must be 'step' or 'epoch', got 'batch'."),
        ({"keep": "last"}, r"keep must be 'inside' or 'outside', got 'last'."),
        ({"shuffle": "never"}, r"shuffle must be 'every-epoch' or 'once', got 'never'."),
        ({"ball": LazyBall(TwoLayer(NETWORK.W, -NETWORK.a), 1.0)}, "top weights of the ball's centre"),
        ({"ball": LazyBall(TwoLayer(NETWORK.W + 1e-9, NETWORK.a), 1.0)}, "each ball must be around network0; build"),
    ],
)  # fmt: skip
def test_settings_that_are_none_are_errors(settings, message):
    with refused(re.escape(message)):
        train(NETWORK, X, Y, **settings)
