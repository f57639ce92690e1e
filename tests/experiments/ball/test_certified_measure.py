"""The measure of `ball-certified`: shares that are proved, networks that were found, and that neither contradicts."""

import pytest
import torch

from gradflip import LazyBall, TwoLayer, flip_budget, load_data, pgd
from gradflip.certificates import certify_jointly, opposite_groups
from gradflip.experiments import EXPERIMENTS, Settings
from gradflip.experiments.ball._certified_measure import _certified, measure
from gradflip.lazy import train_many_adversarially

PARAMETERS = {
    "line": "a line", "data": "digits", "classes": [0, 1], "size": 6, "width": 200, "C0": 3.0,
    "epsilons": [0.05, 0.25, 0.35], "images": 100, "test_images": 24, "max_epochs": 20,
}  # fmt: skip


@pytest.fixture(scope="module")
def measured():
    return measure(PARAMETERS, 3, lambda share: None)


def parts():
    data = load_data("digits", size=6, normalize=True)
    ball = LazyBall(TwoLayer.random(36, 200, seed=3, dtype=torch.float32), 3.0)
    return ball, data.x_train[:100], data.y_train[:100], data.x_test[:24], data.y_test[:24]


def test_the_shares_are_those_of_the_certificates(measured):
    ball, _, _, x, y = parts()
    alone = flip_budget(ball, x, y)
    assert [row["epsilon"] for row in measured.rows] == PARAMETERS["epsilons"]
    for row in measured.rows:
        epsilon = row["epsilon"]
        single = alone.epsilon <= epsilon
        assert (
            row["certified_single"] == pytest.approx(alone.at(epsilon)) == pytest.approx(float(single.double().mean()))
        )
        left = ~single
        if bool((y[left] > 0).any()) and bool((y[left] < 0).any()):
            pairs = certify_jointly(ball, x[left], y[left], epsilon, groups=opposite_groups(x[left], y[left]))
            assert row["certified_pairs"] == pytest.approx((int(single.sum()) + int(pairs.errors.sum())) / 24)
        shares = [row[f"certified_{name}"] for name in ("single", "pairs", "fours", "eights", "all")]
        assert row["certified_error"] == max(shares)
        assert min(shares) == shares[0]
        assert row["certified_accuracy"] == pytest.approx(1 - max(shares))
    assert measured.rows[-1]["certified_error"] > measured.rows[-1]["certified_single"] > 0  # groups prove more
    assert measured.observations["flip_budget"] == pytest.approx([
        value if value < float("inf") else None for value in alone.epsilon.tolist()
    ])


def test_the_best_network_is_the_best_of_three_and_below_the_bound(measured):
    ball, x, y, points, labels = parts()
    for row in measured.rows:
        robust = {name: row[f"robust_{name}"] for name in ("both", "minus", "plus")}
        assert row["attainable_accuracy"] == max(robust.values()) <= row["certified_accuracy"] + 1e-12
        assert row["violations"] == 0
    fits = train_many_adversarially(
        [ball.network0] * 3, x, y, PARAMETERS["epsilons"], [ball] * 3, seeds=[3] * 3, max_epochs=20, lr=0.1,
        momentum=0.9, schedule="cosine", attack_steps=10, batch_size=32,
    )  # fmt: skip
    for row, fit in zip(measured.rows, fits, strict=True):
        plain = pgd(fit.network, points, labels, row["epsilon"], restarts=5, seed=3).robust_accuracy
        assert row["robust_both"] <= plain + 1e-12  # the certificates' points are attacks too
    assert measured.rows[0]["robust_both"] > 0.5


def test_a_network_of_one_class_alone_keeps_that_class(measured):
    share = float((parts()[4] > 0).double().mean())
    first = measured.rows[0]
    assert 0.5 * share < first["robust_plus"] <= 1
    assert {row["best"] for row in measured.rows} <= {"both classes", "class -1 alone", "class +1 alone"}


def test_a_network_that_contradicts_a_certificate_is_counted():
    ball, _, _, x, y = parts()
    alone = flip_budget(ball, x, y)
    epsilon = 0.35
    _, own, broken = _certified(ball, x, y, epsilon, alone, [ball.network0])
    assert broken == 0
    # far outside the ball there is a network that is right about every point of the first joint certificate
    wide = torch.randn(4000, 36, generator=torch.Generator().manual_seed(0))
    hidden = torch.relu(own[1] @ wide.double().mT)
    free = TwoLayer(wide.double(), hidden.mT @ torch.linalg.solve(hidden @ hidden.mT, y.double()))
    assert bool((y.double() * free(own[1]) > 0).all())
    assert _certified(ball, x, y, epsilon, alone, [ball.network0, free])[2] == 1


def test_budgets_reach_from_where_a_network_serves_all_to_where_none_does():
    for preset in ("quick", "standard", "paper"):
        for part in EXPERIMENTS["ball-certified"].groups[preset]:
            epsilons = part.parameters["epsilons"]
            assert list(epsilons) == sorted(epsilons)
            assert len(epsilons) >= 3
    standard = EXPERIMENTS["ball-certified"].cells(Settings(preset="standard"))
    assert {cell.parameters["C0"] for cell in standard} == {1.0, 2.0, 5.0, 10.0, 20.0}
    assert {cell.parameters["size"] for cell in standard} == {5, 10, 20, 28}
    wide = [cell for cell in standard if cell.parameters["width"] == 10_000]
    assert [(cell.parameters["size"], cell.parameters["C0"], len(cell.parameters["epsilons"])) for cell in wide] == [
        (28, 10.0, 3)
    ]
