"""Networks whose weights are drawn again for every pass are the stored ones, and flip as they do."""

import pytest
import torch

import gradflip.networks._streamed as streamed
import gradflip.rays._streamed as streamed_rays
from cases import hard_tanh, refused
from gradflip import PiecewiseLinear, StreamedTwoLayer, TwoLayer, UsageError, flip
from tensors import normal

FORMS = [
    {},
    {"bias": True, "output_bias": True},
    {"scaling": "sqrt-d", "bias": True},
    {"activation": "leaky_relu(-0.3)"},
    {"activation": hard_tanh(), "bias": True},
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("dim", "width"), [(1, 1), (1, 17), (3, 5), (5, 16), (7, 33), (25, 1000), (100, 47), (2, 999)])
@pytest.mark.parametrize("numbers", [40, 1000, 2**21])
def test_the_blocks_are_the_weights_of_the_stored_network_to_the_last_bit(dim, width, dtype, numbers, monkeypatch):
    monkeypatch.setattr(streamed, "_BLOCK", numbers)
    for form in ({"bias": True, "output_bias": True}, {"scaling": "sqrt-d"}):
        network = StreamedTwoLayer(dim, width, seed=width, dtype=dtype, **form)
        stored = TwoLayer.random(dim, width, seed=width, dtype=dtype, **form)
        blocks = [(b.part, b.W.clone(), b.a, b.bias) for b in network.blocks()]
        assert torch.equal(torch.cat([W for _, W, _, _ in blocks]), stored.W)
        assert torch.equal(torch.cat([a for _, _, a, _ in blocks]), stored.a)
        assert network.output_bias == stored.output_bias
        if stored.bias is not None:
            assert torch.equal(torch.cat([b for _, _, _, b in blocks]), stored.bias)
        assert [b.start for b, *_ in blocks] == [0, *[b.stop for b, *_ in blocks][:-1]]
        assert torch.equal(network.stored().W, stored.W)


@pytest.mark.parametrize("form", FORMS, ids=["plain", "biases", "sqrt-d", "leaky", "two-kinks"])
@pytest.mark.parametrize("block", [200, 2**21])
def test_a_streamed_network_flips_as_the_stored_one(form, block, monkeypatch):
    monkeypatch.setattr(streamed_rays, "_BLOCK", block)
    x = normal(12, 6, seed=1)
    for dtype, rtol in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        network = StreamedTwoLayer(6, 500, seed=3, dtype=dtype, **form)
        found, exact = flip(network, x), flip(network.stored().to(dtype=torch.float64), x, finder=PiecewiseLinear())
        assert torch.equal(found.status, exact.status)
        torch.testing.assert_close(found.step, exact.step, rtol=rtol, atol=0)
        torch.testing.assert_close(found.value, exact.value, rtol=rtol, atol=1e-6)
        torch.testing.assert_close(found.gradient_norm, exact.gradient_norm, rtol=rtol, atol=0)
        assert bool((found.lower <= found.step).all() & (found.step <= found.upper).all())


def test_flips_far_beyond_the_first_guess_and_none_at_all_take_more_passes(monkeypatch):
    monkeypatch.setattr(streamed_rays, "_SORT_BLOCK", 30)  # two rows at once in the last pass
    passes = set()
    for seed in range(40):  # narrow networks flip late, or never
        network = StreamedTwoLayer(3, 12, seed=seed, dtype=torch.float64, output_bias=seed % 2 == 0)
        x = normal(20, 3, seed=seed)
        found, exact = flip(network, x), flip(network.stored(), x, finder=PiecewiseLinear())
        assert torch.equal(found.status, exact.status)
        torch.testing.assert_close(found.step, exact.step, rtol=1e-10, atol=0)
        passes |= set(found.passes.tolist())
    assert {2, 3, 4} <= passes


def test_the_boundary_and_flat_points_of_a_streamed_network_are_those_of_the_stored_one():
    for seed, output_bias in ((0, True), (0, False), (1, True)):
        network = StreamedTwoLayer(1, 3, seed=seed, output_bias=output_bias, dtype=torch.float64)
        x = torch.tensor([[0.0], [1.0], [-1.0]])
        found, exact = flip(network, x), flip(network.stored(), x)
        assert torch.equal(found.status, exact.status)
        torch.testing.assert_close(found.step, exact.step, rtol=1e-12, atol=0)


def test_a_streamed_network_is_frozen_and_says_what_it_is():
    network = StreamedTwoLayer(3, 10, seed=4, dtype=torch.float32)
    with pytest.raises(AttributeError, match="frozen; build another with width changed"):
        network.width = 3
    said = "StreamedTwoLayer(dim=3, width=10, activation='relu', seed=4, scaling='unit', bias=False, dtype="
    assert repr(network).startswith(said)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dim": 0}, "dim must be a positive integer, got 0"),
        ({"width": -1}, "width must be a positive integer, got -1"),
        ({"dtype": torch.float16}, "dtype must be torch.float32 or torch.float64, got torch.float16"),
        ({"scaling": "sqrt"}, "scaling must be 'unit' or 'sqrt-d', got 'sqrt'"),
        ({"activation": "relo"}, "relo"),
    ],
)
def test_wrong_settings_are_refused(wrong, message):
    with refused(message):
        StreamedTwoLayer(**({"dim": 3, "width": 10} | wrong))


def test_what_a_streamed_flip_cannot_do_is_refused():
    x = torch.ones(1, 3)
    with pytest.raises(UsageError, match=r"got 'tanh'; use network\.stored\(\) where it fits"):
        flip(StreamedTwoLayer(3, 10, activation="tanh"), x)
    with pytest.raises(UsageError, match="finder must be left out for a StreamedTwoLayer"):
        flip(StreamedTwoLayer(3, 10), x, finder=PiecewiseLinear())
    with pytest.raises(UsageError, match=r"x must have shape \(n, 3\)"):
        flip(StreamedTwoLayer(3, 10), torch.ones(1, 4))
