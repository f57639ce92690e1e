"""Projected adversarial training: what the algorithm says, inside the ball at every step, and never lost by a kill."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import refused
from gradflip import (
    FileError,
    LazyBall,
    StopReason,
    TwoLayer,
    UsageError,
    load_data,
    pgd,
    train,
    train_adversarially,
)
from gradflip._seeds import generator
from gradflip.lazy import PUBLISHED, TEXT, Variant, train_many_adversarially
from gradflip.lazy._settings import SGD, TrainingAttack
from gradflip.lazy.adversarial._trainer import PATIENCE, Run, Trainer


def examples(n: int = 64, dim: int = 8, seed: int = 0, dtype=torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    x = torch.nn.functional.normalize(torch.randn(n, dim, generator=draw, dtype=torch.float64))
    return x.to(dtype), torch.where(x[:, 0] < 0, -1.0, 1.0).to(dtype)


def start(dim: int = 8, width: int = 40, dtype=torch.float64, **form) -> TwoLayer:
    return TwoLayer.random(dim, width, seed=1, dtype=dtype, **form)


def shifted(network: TwoLayer) -> TwoLayer:
    return TwoLayer(network.W + 0.1, network.a)


def value(network0: TwoLayer, W, b, x):
    u = x @ W.mT + (0.0 if b is None else b)
    return network0.activation(u) @ network0.a / math.sqrt(network0.width) + (network0.output_bias or 0.0)


def attacked(network0, W, b, x, y, epsilon, steps, clip) -> torch.Tensor:
    """K steps of ascent on the loss, by autograd."""
    p = torch.zeros_like(x)
    for _ in range(steps):
        at = (x + p).requires_grad_()
        loss = torch.nn.functional.softplus(-y * value(network0, W.detach(), None if b is None else b.detach(), at))
        (g,) = torch.autograd.grad(loss.sum(), at)
        norm = g.norm(dim=1, keepdim=True)
        p = p + torch.where(norm > 0, 2.5 * epsilon / steps * g / norm, 0.0)
        if clip:
            p = (x + p).clamp(*clip) - x
        p = p * (epsilon / p.norm(dim=1, keepdim=True)).clamp(max=1.0)
    return x + p


def plainly(network0, x, y, epsilon, radius, *, lr, batch, steps, epochs, protocol, clip, orders):
    """Algorithm 1 by autograd: weights after each epoch, before its projection where the scripts have it."""
    W = network0.W.clone().requires_grad_()
    b = None if network0.bias is None else network0.bias.clone().requires_grad_()
    parameters = [W] if b is None else [W, b]
    start = [part.detach().clone() for part in parameters]

    def project():
        with torch.no_grad():
            moved = torch.cat([(p - s).reshape(len(W), -1) for p, s in zip(parameters, start, strict=True)], dim=1)
            factor = (radius / moved.norm(dim=1)).clamp(max=1.0)
            for p, s in zip(parameters, start, strict=True):
                shape = (-1, *[1] * (p.ndim - 1))
                p.copy_(s + factor.reshape(shape) * (p - s))

    for order in orders[:epochs]:
        if protocol.projection == "epoch":
            project()
        if protocol.attack == "epoch":
            stale = attacked(network0, W, b, x, y, epsilon, steps, clip)
        for part in order.split(batch):
            inputs = stale[part] if protocol.attack == "epoch" else attacked(
                network0, W, b, x[part], y[part], epsilon, steps, clip
            )  # fmt: skip
            loss = torch.nn.functional.softplus(-y[part] * value(network0, W, b, inputs)).mean()
            grads = torch.autograd.grad(loss, parameters)
            with torch.no_grad():
                for p, g in zip(parameters, grads, strict=True):
                    p -= lr * g
            if protocol.projection == "step":
                project()
    return [part.detach() for part in parameters]


def orders(n: int, epochs: int, seed: int, *, once: bool) -> list[torch.Tensor]:
    draw = generator(seed, "adversarial batches")
    drawn = [torch.randperm(n, generator=draw) for _ in range(1 if once else epochs)]
    return drawn * epochs if once else drawn


@pytest.mark.parametrize(
    "protocol", [Variant(*words) for words in product(("batch", "epoch"), ("step", "epoch"), ("best", "previous"))],
    ids=lambda protocol: "-".join(vars(protocol).values()),
)  # fmt: skip
@pytest.mark.parametrize(
    ("form", "clip"), [({}, None), ({"bias": True, "output_bias": True}, (-0.5, 0.5)), ({"activation": "tanh"}, None)]
)
def test_the_weights_are_those_of_the_algorithm_by_autograd(protocol, form, clip):
    x, y = examples()
    x = x.clamp(*clip) if clip else x
    network0 = start(**form)
    ball = LazyBall(network0, 0.5)
    fit = train_adversarially(
        network0, x, y, 0.2, ball, lr=0.3, batch_size=10, attack_steps=6, max_epochs=3, protocol=protocol, clip=clip,
        warm=False, seed=5,
    )  # fmt: skip
    epochs = int(fit.epochs)
    expected = plainly(
        network0, x, y, 0.2, ball.radius, lr=0.3, batch=10, steps=6, epochs=epochs, protocol=protocol, clip=clip,
        orders=orders(len(x), 3, 5, once=protocol.attack == "epoch"),
    )  # fmt: skip
    torch.testing.assert_close(fit.network.W, expected[0], rtol=1e-9, atol=1e-11)
    if form.get("bias"):
        torch.testing.assert_close(fit.network.bias, expected[1], rtol=1e-9, atol=1e-11)
    assert epochs == 3 or protocol.stop == "best"
    assert fit.deviation > 0.9 * ball.radius  # the projection had something to do


@pytest.mark.parametrize(("word", "protocol"), [("text", TEXT), ("published", PUBLISHED)])
def test_a_protocol_may_be_given_by_name(word, protocol):
    x, y = examples()
    fits = [
        train_adversarially(
            start(), x, y, 0.2, LazyBall(start(), 0.5), lr=0.3, attack_steps=3, max_epochs=2, protocol=way
        )
        for way in (word, protocol)
    ]  # fmt: skip
    assert torch.equal(fits[0].network.W, fits[1].network.W)


def test_a_protocol_of_other_words_is_refused():
    with refused("projection must be 'step' or 'epoch', got 'never'."):
        Variant(projection="never")


@given(
    seed=st.integers(0, 2**20), radius=st.floats(1e-6, 1e3), far=st.floats(1e-8, 1e6), bias=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_the_projection_of_training_draws_in_what_is_outside_and_nothing_else(seed, radius, far, bias, dtype):
    draw = torch.Generator().manual_seed(seed)
    network0 = TwoLayer.random(5, 12, seed=seed, bias=bias, dtype=dtype)
    ball = LazyBall(network0, radius=radius)
    x, y = examples(4, 5, dtype=dtype)
    trainer = Trainer([Run(network0, ball, 0.1, 0)], x, y, SGD(0.1, 4, 1), TrainingAttack(1, True, None), TEXT)
    state = trainer.state
    state.W += (far * torch.rand(12, 1, generator=draw) * torch.randn(12, 5, generator=draw)).to(dtype)
    if state.bias is not None:
        state.bias += (far * torch.randn(12, generator=draw)).to(dtype)
    before = now(trainer)
    inside = ball.deviations(before) <= radius
    trainer.project()
    once = now(trainer)
    assert float(ball.deviations(once).max()) <= radius * (1 + 1e-6)
    assert torch.equal(once.W[inside], before.W[inside])  # what is inside stays, to the bit
    trainer.project()
    assert torch.equal(now(trainer).W, once.W)  # a second time nothing moves
    drawn = ball.deviations(once)[~inside]
    rounding = 16 * torch.finfo(dtype).eps * (torch.linalg.vector_norm(network0.W, dim=1).max() + radius + 4)
    assert bool((drawn >= radius - rounding).all())  # onto the surface, not further in


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [False, True])
def test_after_every_step_the_network_is_in_the_ball(bias, dtype, monkeypatch):
    x, y = examples(dtype=dtype)
    network0 = start(dtype=dtype, bias=bias)
    ball = LazyBall(network0, 0.3)
    seen = []
    project = Trainer.project
    monkeypatch.setattr(Trainer, "project", lambda self: (project(self), seen.append(ball.deviation(now(self))))[0])
    train_adversarially(network0, x, y, 0.1, ball, lr=5.0, batch_size=8, attack_steps=4, max_epochs=4)
    assert len(seen) == 4 * 8
    assert max(seen) <= ball.radius * (1 + 1e-6)
    assert max(seen) > 0.999 * ball.radius


def now(trainer) -> TwoLayer:
    """The network of a trainer's first run as it is."""
    bias = None if trainer.state.bias is None else trainer.state.bias[0]
    return TwoLayer(trainer.state.W[0], trainer.runs[0].network0.a, bias)


def test_training_against_an_attack_makes_a_network_more_robust_than_plain_training():
    digits = load_data("digits", (0, 1), 8, normalize=True)
    x, y = digits.x_train.float(), digits.y_train.float()
    test = digits.x_test.float(), digits.y_test.float()
    network0 = start(64, 300, torch.float32)
    ball = LazyBall(network0, 10.0)
    plain = train(network0, x, y, ball=ball, max_epochs=60).network
    fit = train_adversarially(
        network0, x, y, 0.3, ball, lr=0.1, attack_steps=20, max_epochs=40, momentum=0.9, schedule="cosine", test=test
    )
    found = pgd(fit.network, *test, 0.3, steps=100, restarts=5)
    assert fit.robust_accuracy == found.robust_accuracy
    assert found.robust_accuracy > pgd(plain, *test, 0.3, steps=100, restarts=5).robust_accuracy + 0.1
    assert fit.history["robust_train_accuracy"].max() == fit.history["robust_train_accuracy"][int(fit.epochs) - 1]


def test_training_stops_where_nothing_improves_and_says_so():
    x, y = examples()
    fit = train_adversarially(start(), x, y, 5.0, LazyBall(start(), 1.0), lr=1e-4, attack_steps=4, max_epochs=200)
    assert fit.stopped_because is StopReason.PLATEAU
    assert len(fit.history) == 1 + PATIENCE
    assert fit.converged is True
    few = train_adversarially(start(), x, y, 0.1, LazyBall(start(), 10.0), lr=0.5, attack_steps=4, max_epochs=2)
    assert few.stopped_because is StopReason.MAX_EPOCHS
    assert few.converged is False


def test_warm_attacks_change_the_examples_but_stay_in_the_ball():
    x, y = examples(dtype=torch.float32)
    network0 = start(dtype=torch.float32)
    ball = LazyBall(network0, 5.0)
    fits = [
        train_adversarially(network0, x, y, 0.3, ball, lr=0.1, attack_steps=40, max_epochs=15, warm=warm)
        for warm in (True, False)
    ]
    assert not torch.equal(fits[0].network.W, fits[1].network.W)
    robust = [pgd(fit.network, x, y, 0.3, restarts=3).robust_accuracy for fit in fits]
    assert abs(robust[0] - robust[1]) < 0.1


@pytest.mark.parametrize("protocol", ["text", "published"])
def test_a_training_that_was_killed_goes_on_to_the_same_weights(protocol, tmp_path):
    x, y = examples(dtype=torch.float32)
    network0 = start(dtype=torch.float32, bias=True)
    ball, file = LazyBall(network0, 2.0), tmp_path / "state.safetensors"
    settings = dict(
        lr=0.1, attack_steps=5, batch_size=16, max_epochs=7, momentum=0.5, protocol=protocol, schedule="cosine"
    )
    unbroken = train_adversarially(network0, x, y, 0.1, ball, **settings)

    def kill(share):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_adversarially(network0, x, y, 0.1, ball, **settings, checkpoint=file, progress=kill)
    went_on = train_adversarially(network0, x, y, 0.1, ball, **settings, checkpoint=file)
    assert torch.equal(went_on.network.W, unbroken.network.W)
    assert torch.equal(went_on.network.bias, unbroken.network.bias)
    assert went_on.history.equals(unbroken.history)
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]


def test_a_training_that_was_done_is_done_when_it_is_asked_for_again(tmp_path):
    x, y = examples()
    network0, file = start(), tmp_path / "state.safetensors"
    settings = dict(lr=1e-4, attack_steps=3, max_epochs=60, checkpoint=file)
    first = train_adversarially(network0, x, y, 5.0, LazyBall(network0, 1.0), **settings)
    epochs = []
    again = train_adversarially(network0, x, y, 5.0, LazyBall(network0, 1.0), **settings, progress=epochs.append)
    assert first.stopped_because is again.stopped_because is StopReason.PLATEAU
    assert torch.equal(first.network.W, again.network.W)
    assert epochs == []


@pytest.mark.parametrize("protocol", ["text", "published"])
@pytest.mark.parametrize("form", [{}, {"bias": True, "output_bias": True, "activation": "tanh"}])
def test_many_runs_at_once_are_the_single_runs(protocol, form):
    x, y = examples()
    networks0 = [TwoLayer.random(8, 30, seed=seed, dtype=torch.float64, **form) for seed in range(4)]
    balls = [LazyBall(network0, C0) for network0, C0 in zip(networks0, (0.5, 2.0, 10.0, 1.0), strict=True)]
    epsilons, seeds = [0.1, 0.2, 0.05, 5.0], [3, 4, 5, 6]
    settings = dict(lr=0.1, attack_steps=12, batch_size=10, max_epochs=25, momentum=0.5, protocol=protocol)
    many = train_many_adversarially(networks0, x, y, epsilons, balls, seeds=seeds, test=(x, y), **settings)
    for network0, ball, epsilon, seed, fit in zip(networks0, balls, epsilons, seeds, many, strict=True):
        alone = train_adversarially(network0, x, y, epsilon, ball, seed=seed, test=(x, y), **settings)
        assert fit.stopped_because is alone.stopped_because
        assert len(fit.history) == len(alone.history)
        if epsilon == 5.0:
            continue  # attacks far beyond the data: there a change of 1e-15 grows to 0.06 in 25 epochs
        torch.testing.assert_close(fit.network.W, alone.network.W, rtol=1e-8, atol=1e-9)
        assert fit.robust_accuracy == alone.robust_accuracy
    assert len({fit.stopped_because for fit in many}) == 2  # the hopeless one drops out early


def test_a_checkpoint_of_another_training_or_a_damaged_one_is_refused(tmp_path):
    x, y = examples()
    network0, file = start(), tmp_path / "state.safetensors"
    ball = LazyBall(network0, 2.0)
    train_adversarially(network0, x, y, 0.1, ball, attack_steps=3, max_epochs=1, checkpoint=file)
    with pytest.raises(
        UsageError, match=r"is of another training: epsilon = 0.1 there and 0.2 here; name another file"
    ):
        train_adversarially(network0, x, y, 0.2, ball, attack_steps=3, max_epochs=1, checkpoint=file)
    file.write_bytes(b"nothing")
    with pytest.raises(FileError, match="is no checkpoint of a training, or a damaged one"):
        train_adversarially(network0, x, y, 0.1, ball, attack_steps=3, max_epochs=1, checkpoint=file)


def test_runs_of_different_shape_or_number_are_refused():
    x, y = examples()
    networks0 = [start(), start(width=50)]
    balls = [LazyBall(network0, 1.0) for network0 in networks0]
    with refused("networks0 must all have the same shape, type, activation and biases"):
        train_many_adversarially(networks0, x, y, [0.1, 0.1], balls, seeds=[0, 1])
    with refused("networks0, epsilons, balls and seeds must have one entry for each run, got 2, 1, 2 and 2"):
        train_many_adversarially(networks0, x, y, [0.1], balls, seeds=[0, 1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": -1.0}, "epsilon must be positive and finite, got -1.0"),
        ({"lr": math.inf}, "lr must be positive and finite, got inf"),
        ({"batch_size": 0}, "batch_size must be an integer >= 1, got 0"),
        ({"attack_steps": 0}, "attack_steps must be an integer >= 1, got 0"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
        ({"protocol": "texts"}, "protocol must be 'text', 'published' or a Variant, got 'texts'"),
        ({"schedule": "linear"}, "schedule must be 'constant' or 'cosine', got 'linear'"),
        ({"clip": (0.0, 1.0)}, r"x must lie in the box clip=\(0.0, 1.0\)"),
        ({"y": torch.zeros(64).double()}, r"y must hold only -1 and \+1, got 0"),
        ({"network0": start().rescale("sqrt-d")}, "network0 must be in 'unit' scaling"),
        ({"ball": LazyBall(shifted(start()), 1.0)}, "ball must be around network0"),
    ],
)
def test_a_wrong_argument_is_named(change, message):
    x, y = examples()
    usual = {"network0": start(), "x": x, "y": y, "epsilon": 0.1, "ball": LazyBall(start(), 1.0)}
    given = usual | change
    with refused(message):
        train_adversarially(*(given.pop(name) for name in usual), **{k: v for k, v in given.items() if k not in usual})
