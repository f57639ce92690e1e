"""A matrix that is never built answers like a matrix: linear, always the same, adjoint, complete on demand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradflip import UsageError
from gradflip.gaussian import DenseGaussian, GaussianMatrix, ImplicitGaussian
from tensors import normal, seeded

KINDS = [DenseGaussian, ImplicitGaussian]


queries = st.tuples(
    st.sampled_from(["right", "left"]),
    st.sampled_from(["new", "zero", "multiple", "near"]),
    st.sampled_from([1e-150, 1e-3, 1.0, 1e6]),
    st.integers(0, 15),
)


def converse(W: ImplicitGaussian, plan: list) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """Ask for products with vectors that lie in, near and far from the span of the earlier ones."""
    asked: list[tuple[str, torch.Tensor, torch.Tensor]] = []
    for k, (side, kind, size, which) in enumerate(plan):
        earlier = [vector for other, vector, _ in asked if other == side]
        vector = size * normal(W.shape[1] if side == "right" else W.shape[0], seed=k)
        if kind == "zero":
            vector = torch.zeros_like(vector)
        if kind in ("multiple", "near") and earlier:
            chosen = earlier[which % len(earlier)]
            apart = 0.0 if kind == "multiple" else 1e-7 * float(chosen.norm() / vector.norm())
            vector = -0.3 * chosen + apart * vector
        asked.append((side, vector, W.matvec(vector) if side == "right" else W.rmatvec(vector)))
    return asked


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 99), st.lists(queries, min_size=2, max_size=16))
def test_products_are_those_of_one_matrix(rows, columns, seed, plan):
    W = ImplicitGaussian((rows, columns), 1.5, generator=seeded(seed))
    asked = converse(W, plan)
    right = [(x, image) for side, x, image in asked if side == "right"]
    left = [(b, image) for side, b, image in asked if side == "left"]
    for x, Wx in right:
        assert torch.equal(torch.isfinite(Wx), torch.ones_like(Wx, dtype=torch.bool))
        torch.testing.assert_close(W.matvec(x), Wx, rtol=1e-10, atol=1e-10 * float(Wx.norm()))
        assert torch.equal(W.matvec(2 * x), 2 * W.matvec(x))
        for b, Wb in left:
            assert abs(float(b @ Wx) - float(Wb @ x)) <= 1e-10 * float(b.norm()) * float(Wx.norm())
        for y, Wy in right:
            size = max(float(Wx.norm()), float(Wy.norm()))
            torch.testing.assert_close(W.matvec(x + y), Wx + Wy, rtol=0, atol=1e-10 * size)
    dense = W.to_dense()
    for x, Wx in right:
        torch.testing.assert_close(dense @ x, Wx, rtol=0, atol=1e-10 * float(dense.norm() * x.norm()))
    for b, Wb in left:
        torch.testing.assert_close(dense.mT @ b, Wb, rtol=0, atol=1e-10 * float(dense.norm() * b.norm()))


@pytest.mark.parametrize("kind", KINDS)
def test_zero_has_the_product_zero_and_twice_a_vector_twice_the_product(kind):
    W = kind((7, 5), 1.0, generator=seeded())
    assert torch.equal(W.matvec(torch.zeros(5).double()), torch.zeros(7).double())
    assert torch.equal(W.rmatvec(torch.zeros(7).double()), torch.zeros(5).double())
    x = normal(5, seed=1)
    assert torch.equal(W.matvec(2 * x), 2 * W.matvec(x))
    assert not torch.equal(W.matvec(x), torch.zeros(7).double())


def test_two_hundred_queries_leave_the_matrix_consistent():
    W = ImplicitGaussian((300, 280), 1.0, generator=seeded())
    right, left = [], []
    for k in range(100):
        x, b = normal(280, seed=k), normal(300, seed=1000 + k)
        if k % 3 == 1:  # 1e-7 from the one before
            x, b = right[-1][0] + 1e-7 * x, left[-1][0] + 1e-7 * b
        right.append((x, W.matvec(x)))
        left.append((b, W.rmatvec(b)))
    worst = max(abs(float(b @ Wx) - float(Wb @ x)) / float(b.norm() * Wx.norm()) for x, Wx in right for b, Wb in left)
    assert worst <= 1e-10
    assert max(float((W.matvec(x) - Wx).norm() / Wx.norm()) for x, Wx in right) <= 1e-10


@pytest.mark.parametrize("kind", KINDS)
def test_a_block_is_its_vectors_one_after_another(kind):
    block, alone = (kind((11, 6), 1.0, generator=seeded(3)) for _ in range(2))
    X, B = normal(4, 6, seed=1), normal(3, 11, seed=2)
    X[3] = X[0] - X[1]
    torch.testing.assert_close(block.matvec(X), torch.stack([alone.matvec(x) for x in X]), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(block.rmatvec(B), torch.stack([alone.rmatvec(b) for b in B]), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_the_dense_form_agrees_with_what_was_asked_before_and_after(kind):
    W = kind((6, 4), 0.5, generator=seeded())
    x, b, later = normal(4, seed=1), normal(6, seed=2), normal(4, seed=3)
    Wx, Wb = W.matvec(x), W.rmatvec(b)
    dense = W.to_dense()
    assert dense.shape == W.shape == (6, 4)
    torch.testing.assert_close(dense @ x, Wx)
    torch.testing.assert_close(dense.mT @ b, Wb)
    torch.testing.assert_close(dense @ later, W.matvec(later))


@pytest.mark.parametrize("kind", KINDS)
def test_entries_have_the_law_of_independent_gaussians_whatever_was_asked_before(kind):
    draws, std = 100_000, 0.7
    W = kind((3, 2), std, generator=seeded(), draws=draws)
    b, x = normal(3, seed=1).expand(draws, -1), normal(2, seed=2).expand(draws, -1)
    W.rmatvec(b), W.matvec(x), W.rmatvec(b.roll(1, dims=1))
    entries = W.to_dense().flatten(1)
    second = entries.T @ entries / draws
    error = std**2 * math.sqrt(1 / draws) * (1 + torch.eye(6)) ** 0.5  # variance of a square is twice that of a product
    z = (second - std**2 * torch.eye(6)) / error
    assert z.abs().max() < 4.5  # 21 entries: false alarm 1.4e-4
    assert (entries.mean(dim=0) / (std / math.sqrt(draws))).abs().max() < 4.5


def test_several_draws_are_asked_at_once_and_each_remembers_its_own_queries():
    W = ImplicitGaussian((7, 5), 1.0, generator=seeded(), draws=3)
    X = normal(3, 2, 5, seed=1)
    X[1, 1] = -2 * X[1, 0]  # new to two of the three matrices
    X[2, 0] = 0
    WX, B = W.matvec(X), normal(3, 2, 7, seed=2)
    torch.testing.assert_close(WX[1, 1], -2 * WX[1, 0])
    assert torch.equal(WX[2, 0], torch.zeros(7).double())
    torch.testing.assert_close(B @ WX.mT, W.rmatvec(B) @ X.mT)
    torch.testing.assert_close(W.matvec(X[:, 0]), WX[:, 0])
    dense = W.to_dense()
    assert dense.shape == (3, 7, 5)
    torch.testing.assert_close(X @ dense.mT, WX)


def test_memory_grows_with_the_number_of_queries_only():
    size = 100_000
    W = ImplicitGaussian((size, size), size**-0.5, generator=seeded())  # 80 GB as a matrix
    x = normal(size, seed=1)
    for _ in range(3):
        x = W.rmatvec(W.matvec(x))
    held = [part for side in (W._right, W._left) for part in (side._vectors, side._images)]
    assert sum(part.numel() for part in held) <= 2 * 5 * 2 * size
    assert float(x.norm()) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_and_queries_give_the_same_products(kind):
    first, again, other = (kind((20, 10), 1.0, generator=seeded(seed)) for seed in (1, 1, 2))
    x, b = normal(10, seed=1), normal(20, seed=2)
    found = [(W.matvec(x), W.rmatvec(b)) for W in (first, again, other)]
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])
    assert not torch.equal(found[0][0], found[2][0])


def test_an_operator_is_abstract():
    with pytest.raises(TypeError, match="abstract"):
        GaussianMatrix((2, 2), 1.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda W: W.matvec(torch.ones(6)), r"matvec of a 6 x 4 matrix takes vectors of length 4, .* got length 6"),
        (
            lambda W: W.rmatvec(torch.ones(2, 4)),
            r"rmatvec of a 6 x 4 matrix takes vectors of length 6, .* got length 4",
        ),
        (
            lambda W: W.matvec(torch.tensor([1.0, math.nan, 1.0, math.inf])),
            "finite vectors, got 2 entries that are not",
        ),
    ],
)
def test_a_wrong_query_is_named(kind, ask, message):
    with pytest.raises(UsageError, match=message):
        ask(kind((6, 4), 1.0, generator=seeded()))


def test_a_query_of_several_draws_needs_vectors_for_each():
    W = ImplicitGaussian((6, 4), 1.0, generator=seeded(), draws=3)
    with pytest.raises(UsageError, match=r"length 4, one or a row each for each of 3 draws, got .* shape \(2, 4\)"):
        W.matvec(torch.ones(2, 4))


@pytest.mark.parametrize(
    ("shape", "std", "draws", "message"),
    [
        ((0, 4), 1.0, None, "rows of a Gaussian matrix must be a positive integer, got 0"),
        ((3, -1), 1.0, None, "columns of a Gaussian matrix must be a positive integer, got -1"),
        ((3, 4), 0.0, None, "std must be positive and finite, got 0.0"),
        ((3, 4), 1.0, 0, "draws of a Gaussian matrix must be a positive integer, got 0"),
    ],
)
def test_a_wrong_size_is_named(shape, std, draws, message):
    with pytest.raises(UsageError, match=message):
        ImplicitGaussian(shape, std, generator=seeded(), draws=draws)
