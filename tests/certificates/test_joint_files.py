"""Joint certificates in files, and checked by other means: the bound, the count, and claims that are false."""

import dataclasses
import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from cases import refused
from gradflip import Certificate, FileError, LazyBall, TwoLayer, certify, verify
from gradflip.certificates import JointCertificate, _verify, certify_jointly, opposite_groups
from gradflip.certificates._enclosures import combination_norms_above
from gradflip.certificates._joint import certified_errors
from gradflip.certificates._verify import _fewest_errors, _IntervalBall
from joint_problems import close_classes, make, networks_of, total
from rational import LARGER

PARTS = ("x", "y", "groups", "weights", "perturbed", "bound", "lowest", "errors")
FORMS = [{}, {"bias": True, "output_bias": True}]


def proof(form=None, dtype=torch.float32, epsilon=0.35, pairs=2):
    x, y = close_classes(16, 30)
    ball = make(C0=2.0, dtype=dtype, **(form or {}))
    groups = None if pairs is None else opposite_groups(x, y, pairs)
    return certify_jointly(ball, x, y, epsilon, groups=groups)


@pytest.fixture(scope="module")
def joint():
    """Four groups of four, every one of them with certain errors."""
    found = proof()
    assert len(found.errors) == 4
    assert bool((found.errors > 0).all())
    return found


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("pairs", [1, 2, None])
def test_what_is_certified_jointly_is_verified_from_the_file(form, pairs, tmp_path):
    found = proof(form, pairs=pairs, epsilon=0.5)
    path = tmp_path / "joint.safetensors"
    found.save(path)
    again = JointCertificate.load(path)
    for name in PARTS:
        assert torch.equal(getattr(again, name), getattr(found, name))
    assert again.epsilon == found.epsilon
    assert again.ball.radius == found.ball.radius
    assert torch.equal(TwoLayer.load(path).W, found.ball.network0.W)
    count = int(found.errors.sum())
    assert count > 0
    for checked in (verify(path), verify(str(path)), verify(found)):
        assert checked.holds
        assert checked.claimed.tolist() == found.errors.tolist()
        assert (checked.errors >= found.errors.numpy()).all()
        assert f"misclassifies at least {count} of these 16 points when each is moved by at most 0.5" in (
            checked.statement
        )
    claimed = found.errors.numpy() > 0
    np.testing.assert_allclose(checked.bound[claimed], found.bound.numpy()[claimed], rtol=2e-3)
    assert (checked.bound[~claimed] == math.inf).all()


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_no_network_of_the_ball_exceeds_the_bound(form):
    x, y = close_classes(12, 30)
    ball = make(dtype=torch.float64, **form)
    draw = torch.Generator().manual_seed(3)
    for weights in (torch.full((12,), 1 / 12).double(), torch.rand(12, generator=draw).double()):
        bound = _IntervalBall.of(ball).joint_upper_bound(x.numpy(), y.numpy(), weights.numpy())
        attained = [total(network, x, y, weights) for network in networks_of(ball, x, y, count=8)]
        assert max(attained) <= bound
        assert bound < max(attained) + 0.6  # lines are not relu, but near it


def test_one_point_and_one_neuron_are_bounded_exactly():
    """Of one point the lines touch at the maximum: the bound is that of a single certificate."""
    for seed in range(40):
        draw = torch.Generator().manual_seed(seed)
        W, a = torch.randn(1, 3, generator=draw).double(), torch.randn(1, generator=draw).double()
        ball, x = LazyBall(TwoLayer(W, a), radius=0.7), torch.randn(1, 3, generator=draw).double().numpy()
        for y in (-1.0, 1.0):
            bound = _IntervalBall.of(ball).joint_upper_bound(x, np.array([y]), np.array([0.5]))
            exact = _IntervalBall.of(ball).upper_bound(x[0], y)
            assert 0.5 * exact - 1e-14 <= bound <= 0.5 * exact + 1e-8  # half the interval 2^-30 of a search


def test_the_bound_is_above_that_of_rational_arithmetic_by_rounding_only():
    """Neurons whose kinks are out of reach are linear: B = m^(-1/2) sum_j |a_j| (w_j . D + r |D|), D rational."""
    radius = 1e-9
    for seed in range(20):
        draw = torch.Generator().manual_seed(seed)
        W, x = (torch.rand(k, 40, generator=draw).double() + 0.1 for k in (4, 3))
        a, y = torch.randn(4, generator=draw).double(), np.array([1.0, -1.0, 1.0])
        weights = torch.rand(3, generator=draw).double().numpy()
        bound = _IntervalBall.of(LazyBall(TwoLayer(W, a), radius=radius)).joint_upper_bound(x.numpy(), y, weights)
        columns = [[Fraction(value) for value in column] for column in x.T.tolist()]
        signed = [Fraction(part) for part in (weights * y).tolist()]
        D = [sum(s * value for s, value in zip(signed, column, strict=True)) for column in columns]
        length = Fraction(radius) * LARGER * Fraction(math.sqrt(sum(part**2 for part in D))) * (1 - Fraction(1, 2**50))
        exact = sum(
            Fraction(top) * sum(Fraction(w) * part for w, part in zip(row, D, strict=True))
            + abs(Fraction(top)) * length
            for row, top in zip(W.tolist(), a.tolist(), strict=True)
        )
        assert 0 <= Fraction(bound) - exact / 2 < Fraction(1, 10**12)


def test_lengths_of_sums_are_rounded_up_and_little():
    for seed in range(10):
        draw = np.random.default_rng(seed)
        q, rays = draw.normal(size=(20, 8)), draw.normal(size=(20, 3))
        rays[draw.random(rays.shape) < 0.2] = 0.0
        for column_of_q, length in zip(q.T.tolist(), combination_norms_above(q, rays).tolist(), strict=True):
            D = [
                sum(Fraction(part) * Fraction(entry) for part, entry in zip(column_of_q, column, strict=True))
                for column in rays.T.tolist()
            ]
            square = sum(part**2 for part in D)
            assert square <= Fraction(length) ** 2 <= square * (1 + Fraction(1, 10**10)) + Fraction(1, 10**20)
    many = np.full((1, 2001), 7e-9)  # squares that are lost one by one when they are added to 1
    many[0, 0] = 1.0
    assert Fraction(float(combination_norms_above(np.ones((1, 1)), many)[0])) ** 2 >= 1 + 2000 * Fraction(7e-9) ** 2


def test_whatever_the_slopes_are_the_bound_holds(monkeypatch):
    """A search that fails, even one that lies, costs tightness and never truth."""
    angles, sizes = np.linspace(0, 2 * np.pi, 400), np.linspace(0, 1, 30)[:, None, None]
    v = (sizes * np.stack([np.cos(angles), np.sin(angles)], axis=1)).reshape(-1, 2)
    for seed in range(150):
        draw = np.random.default_rng(seed)
        w, x, y = draw.normal(size=2), draw.normal(size=(3, 2)), np.array([1.0, -1.0, 1.0])
        weights, top = draw.random(3), float(draw.choice([-1.5, 1.0]))
        attained = (top * np.maximum((w + v) @ x.T, 0.0) @ (weights * y)).max()
        ball = _IntervalBall.of(LazyBall(TwoLayer(torch.tensor(w[None]), torch.tensor([top]).double()), radius=1.0))
        best = ball.joint_upper_bound(x, y, weights)
        for _ in range(5):
            with monkeypatch.context() as patch:
                patch.setattr(_verify, "_line_slopes", lambda u, *_, draw=draw: draw.normal(size=u.shape))
                assert ball.joint_upper_bound(x, y, weights) >= attained
        assert best >= attained


def test_the_count_is_the_smallest_that_makes_up_the_bound():
    draw = np.random.default_rng(0)
    for _ in range(200):
        n = int(draw.integers(1, 6))
        weights, deepest = draw.random(n), draw.normal(size=n)
        bound = -float(draw.random()) * float((weights * deepest.clip(min=0)).sum()) - 1e-9
        sums = {
            k: max(sum(part) for part in itertools.combinations(weights * deepest.clip(min=0), k)) for k in range(n + 1)
        }
        expected = next((k for k in range(n + 1) if sums[k] >= -bound), n)
        assert _fewest_errors(bound, weights, deepest.tolist()) == expected
        other = certified_errors(
            torch.tensor([bound]), torch.from_numpy(weights)[None], -torch.from_numpy(deepest)[None]
        )
        assert int(other) == expected
    assert _fewest_errors(-1.0, np.array([0.5, 0.5]), [1.0, math.inf]) == 0


def false_claims(joint):
    """Certificates whose digest is right and whose content is not."""
    x, n = joint.x, len(joint.y)
    first = joint.groups == 0
    away = torch.where(first[:, None], joint.x + 3 * (joint.perturbed - joint.x), joint.perturbed)
    back = torch.where(first[:, None], x, joint.perturbed)
    at = {
        "one more error": {"errors": joint.errors + torch.tensor([1, 0, 0, 0])},
        "all wrong": {"errors": torch.full((4,), 4)},
        "points back": {"perturbed": back},
        "points too far": {"perturbed": away},
        "smaller budget": {"epsilon": joint.epsilon * 0.99},
        "negative budget": {"epsilon": -joint.epsilon},
        "budget without end": {"epsilon": math.inf},
        "labels turned": {"y": -joint.y},
        "no weights": {"weights": torch.where(first, 0.0, joint.weights)},
        "points of no number": {"x": torch.full_like(x, math.nan)},
        "other groups": {"groups": torch.zeros(n, dtype=torch.int64)},
        "larger ball": {"ball": LazyBall(joint.ball.network0, 2 * joint.ball.C0)},
    }
    return {name: dataclasses.replace(joint, **parts) for name, parts in at.items()}


def test_false_claims_do_not_hold(joint, tmp_path):
    path = tmp_path / "false.safetensors"
    assert verify(joint).verified.all()
    for name, false in false_claims(joint).items():
        false.save(path)
        checked = verify(path)
        assert not checked.holds, name
    only = verify(false_claims(joint)["points back"])
    assert only.verified.tolist() == [False, True, True, True]
    left = int(joint.errors[1:].sum()) + int(only.errors[0])
    assert f"misclassifies at least {left} of these 16 points" in only.statement


@pytest.mark.parametrize("name", [*PARTS, "W", "a", "radius", "epsilon"])
def test_an_altered_file_is_refused(name, joint, tmp_path):
    path = tmp_path / "joint.safetensors"
    joint.save(path)
    with safe_open(path, framework="pt") as opened:
        about, tensors = opened.metadata(), {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    flat = tensors[name].reshape(-1)
    flat[0] = flat[0] + 1
    save_file(tensors, path, metadata=about)
    with pytest.raises(FileError, match="was altered: its content has another SHA-256 digest than it states"):
        verify(path)


def test_files_of_the_other_kind_are_refused(joint, tmp_path):
    path = tmp_path / "it.safetensors"
    joint.save(path)
    with pytest.raises(FileError, match=r"its format is 'gradflip.JointCertificate/1'; give one of 'gradflip.Cert"):
        Certificate.load(path)
    certify(joint.ball, joint.x, joint.y, 0.1, steps=1).save(path)
    with pytest.raises(FileError, match=r"its format is 'gradflip.Certificate/1'; give one of 'gradflip.Joint"):
        JointCertificate.load(path)
    joint.ball.network0.save(path)
    with pytest.raises(FileError, match=r"give one of 'gradflip.Certificate/1' or 'gradflip.JointCertificate/1'"):
        verify(path)


def test_parts_that_do_not_belong_together_are_refused(joint):
    with refused(r"bound of a joint certificate must be torch.float64 of shape \(4,\), got torch.float64 of \(2,\)"):
        dataclasses.replace(joint, bound=joint.bound[:2])
    with refused("errors of a joint certificate must be torch.int64"):
        dataclasses.replace(joint, errors=joint.errors.double())
    with refused("y of a joint certificate must hold only"):
        dataclasses.replace(joint, y=2 * joint.y)
    with refused("groups of a joint certificate must be numbers of its 4 groups"):
        dataclasses.replace(joint, groups=joint.groups + 1)
    with refused("errors of a joint certificate must not be negative"):
        dataclasses.replace(joint, errors=-joint.errors)
    for wrong in (-joint.weights, joint.weights * math.inf, joint.weights * math.nan):
        with refused("weights of a joint certificate must be finite and not negative"):
            dataclasses.replace(joint, weights=wrong)


def test_a_single_certificate_of_a_nonsense_budget_is_not_verified():
    ball, (x, y) = make(C0=0.2), close_classes(6, 30)
    found = certify(ball, x, y, 1.0)
    assert found.share > 0
    assert verify(found).holds
    for epsilon in (-1.0, math.nan, math.inf):
        assert not verify(dataclasses.replace(found, epsilon=torch.full_like(y, epsilon))).verified.any()
    assert not verify(dataclasses.replace(found, x=torch.full_like(x, math.nan))).verified.any()


def test_joint_certificates_of_other_activations_are_not_known(joint):
    network = joint.ball.network0
    other = TwoLayer(network.W, network.a, activation="tanh")
    with refused("verify knows joint certificates of relu, got 'tanh'"):
        verify(dataclasses.replace(joint, ball=LazyBall(other, radius=joint.ball.radius)))
