"""Two-layer networks: value, gradient, random initialisation, scalings, files, modules, errors."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import gradflip.networks._two_layer as two_layer
from cases import hard_tanh, refused
from gradflip import FileError, TwoLayer, UsageError
from gradflip.networks import ACTIVATIONS
from reference import value_by_loop, value_for_autograd
from tensors import normal

NAMES = [*ACTIVATIONS, "leaky_relu(0.2)"]
FORMS = [{}, {"bias": True}, {"output_bias": True}, {"bias": True, "output_bias": True, "scaling": "sqrt-d"}]


def assert_same(one: TwoLayer, other: TwoLayer) -> None:
    assert torch.equal(one.W, other.W)
    assert torch.equal(one.a, other.a)
    assert (one.bias is None) == (other.bias is None)
    assert one.bias is None or torch.equal(one.bias, other.bias)
    assert (one.output_bias, one.scaling, one.W.dtype) == (other.output_bias, other.scaling, other.W.dtype)
    assert one.activation.name == other.activation.name
    assert one.activation.slopes == other.activation.slopes


# Value and gradient


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_value_is_the_sum_over_neurons(name, form):
    network = TwoLayer.random(4, 7, activation=name, dtype=torch.float64, seed=1, **form)
    x = normal(5, 4, seed=2)
    expected = torch.tensor([value_by_loop(network, row) for row in x], dtype=torch.float64)
    torch.testing.assert_close(network(x), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_that_of_autograd(name, form):
    network = TwoLayer.random(4, 50, activation=name, dtype=torch.float64, seed=1, **form)
    x = normal(20, 4, seed=2).requires_grad_()
    value = value_for_autograd(network, x)
    (expected,) = torch.autograd.grad(value.sum(), x)
    torch.testing.assert_close(network(x), value.detach(), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(network.gradient(x), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 4), (2, 3, 4), (0, 4)])
def test_value_and_gradient_have_the_shape_of_the_inputs(shape):
    network, x = TwoLayer.random(4, 7, dtype=torch.float64), normal(*shape, seed=3)
    assert network(x).shape == shape[:-1]
    assert network.gradient(x).shape == shape
    for index in np.ndindex(shape[:-1]):
        torch.testing.assert_close(network(x)[index], network(x[index]))
        torch.testing.assert_close(network.gradient(x)[index], network.gradient(x[index]))


def test_blocks_change_no_value(monkeypatch):
    network, x = TwoLayer.random(4, 7, bias=True, dtype=torch.float64), normal(23, 4, seed=3)
    value, gradient = network(x), network.gradient(x)
    monkeypatch.setattr(two_layer, "_BLOCK", 30)
    torch.testing.assert_close(network(x), value, rtol=1e-14, atol=1e-15)
    torch.testing.assert_close(network.gradient(x), gradient, rtol=1e-14, atol=1e-15)


def test_a_network_computes_in_the_type_of_its_weights():
    network, x = TwoLayer.random(4, 7, dtype=torch.float32), normal(5, 4, seed=3)
    assert (network(x).dtype, network.gradient(x).dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(network(x), network.to(dtype=torch.float64)(x).float(), rtol=1e-4, atol=1e-5)
    assert network.to(dtype=torch.float32) is network
    assert network.to(dtype=torch.float64).bias is None


# Random initialisation: sample sizes fixed, 5 standard errors, a false alarm below 1e-4 in all


@pytest.mark.parametrize("scaling", ["unit", "sqrt-d"])
def test_weights_at_initialisation_have_the_stated_law(scaling):
    dim, width = 50, 20_000
    network = TwoLayer.random(dim, width, scaling=scaling, bias=True, dtype=torch.float64, seed=11)
    variance = 1.0 if scaling == "unit" else 1 / dim
    for draws, expected in ((network.W.flatten(), variance), (network.bias, 1.0)):
        n = len(draws)
        z = draws / expected**0.5
        assert abs(float(z.mean()) * n**0.5) < 5
        assert abs(float((z**2).mean() - 1) * (n / 2) ** 0.5) < 5
        assert abs(float((z**4).mean() - 3) * (n / 96) ** 0.5) < 5
        assert abs(float((z.abs() < 0.6744897501960817).double().mean() - 0.5) * 2 * n**0.5) < 5
    rows = network.W[:, :10] / variance**0.5
    correlation = (rows.T @ rows / width - torch.eye(10, dtype=torch.float64)) * width**0.5
    assert float((correlation - torch.diag(correlation.diag())).abs().max()) < 5
    assert abs(float((rows[:-1] * rows[1:]).mean()) * (10 * (width - 1)) ** 0.5) < 5
    assert abs(float((rows.T @ network.bias).abs().max()) / width**0.5) < 5


def test_top_weights_are_signs_that_do_not_depend_on_the_first_layer():
    network = TwoLayer.random(3, 20_000, output_bias=True, dtype=torch.float64, seed=12)
    assert set(network.a.tolist()) == {-1.0, 1.0}
    assert abs(float(network.a.sum())) / 20_000**0.5 < 5
    assert float((network.a @ network.W).abs().max()) / 20_000**0.5 < 5
    assert abs(network.output_bias) == pytest.approx(1 / 20_000**0.5, rel=1e-15)
    constants = [TwoLayer.random(1, 4, output_bias=True, seed=seed).output_bias for seed in range(400)]
    assert set(constants) == {-0.5, 0.5}
    assert abs(sum(constants)) * 2 / 400**0.5 < 5


def test_every_part_has_random_numbers_of_its_own():
    width = 4000
    network = TwoLayer.random(5, width, bias=True, dtype=torch.float64, seed=13)
    parts = {"W": network.W.flatten()[:width], "column": network.W[:, 0], "bias": network.bias, "a": network.a}
    for one, other in (("W", "bias"), ("column", "bias"), ("W", "a"), ("column", "a"), ("bias", "a")):
        assert abs(float(parts[one] @ parts[other])) / width**0.5 < 5, (one, other)
    both = [TwoLayer.random(1, 4, output_bias=True, seed=seed) for seed in range(400)]
    assert abs(sum(network.output_bias * float(network.a[0]) for network in both)) * 2 / 400**0.5 < 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_seed_is_one_function_in_both_scalings_and_all_types(dtype):
    form = {"bias": True, "output_bias": True, "seed": 5, "activation": "abs"}
    exact = TwoLayer.random(6, 40, dtype=torch.float64, **form)
    x = normal(30, 6, seed=1)
    for scaling, factor in (("unit", 1.0), ("sqrt-d", 6**0.5)):
        network = TwoLayer.random(6, 40, scaling=scaling, dtype=dtype, **form)
        assert (network.scaling, network.W.dtype) == (scaling, dtype)
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(network(factor * x).double(), exact(x), rtol=50 * eps, atol=50 * eps)
    default = TwoLayer.random(6, 40, **form)
    assert default.W.dtype == torch.get_default_dtype()


def test_parts_that_are_left_out_change_no_other_part():
    whole = TwoLayer.random(6, 40, bias=True, output_bias=True, seed=5)
    plain = TwoLayer.random(6, 40, seed=5)
    assert torch.equal(whole.W, plain.W)
    assert torch.equal(whole.a, plain.a)
    assert (plain.bias, plain.output_bias) == (None, None)
    other = TwoLayer.random(6, 40, seed=6)
    assert not torch.equal(other.W, plain.W)
    assert not torch.equal(other.a, plain.a)


def test_drawing_a_network_leaves_torchs_own_generator_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    TwoLayer.random(6, 40, bias=True, seed=5)
    assert torch.equal(torch.get_rng_state(), before)


# Scalings


@pytest.mark.parametrize("to", ["unit", "sqrt-d"])
def test_a_rescaled_network_is_the_same_function_of_the_rescaled_input(to):
    start = "sqrt-d" if to == "unit" else "unit"
    network = TwoLayer.random(7, 40, scaling=start, bias=True, output_bias=True, dtype=torch.float64)
    other, factor = network.rescale(to), 7**0.5 if to == "sqrt-d" else 7**-0.5
    x = normal(20, 7, seed=1)
    torch.testing.assert_close(other(factor * x), network(x), rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(other.gradient(factor * x) * factor, network.gradient(x), rtol=1e-12, atol=1e-13)
    assert torch.equal(other.bias, network.bias)
    back = other.rescale(start)
    torch.testing.assert_close(back.W, network.W, rtol=1e-15, atol=0)
    assert_same(back, TwoLayer(back.W, network.a, network.bias, network.output_bias, "relu", start))
    assert network.rescale(start) is network


# Frozen


@pytest.mark.parametrize("name", ["W", "a", "bias", "output_bias", "activation", "scaling", "extra"])
def test_a_network_is_frozen(name):
    with pytest.raises(AttributeError, match=f"a TwoLayer is frozen; build another with {name} changed"):
        setattr(TwoLayer.random(3, 4), name, None)


@pytest.mark.parametrize(
    "name", ["tanh", "leaky_relu", "leaky_relu(0.2)", "leaky_relu(0.01)", f"leaky_relu({1 / 3!r})"]
)
def test_a_network_survives_a_copy_and_a_pickle(name):
    network = TwoLayer.random(3, 4, bias=True, activation=name, scaling="sqrt-d", dtype=torch.float64)
    assert_same(pickle.loads(pickle.dumps(network)), network)
    assert_same(copy.deepcopy(network), network)


def test_no_weight_needs_a_gradient():
    W = normal(4, 3, seed=1).requires_grad_()
    network = TwoLayer(W, torch.ones(4, requires_grad=True), torch.zeros(4, requires_grad=True))
    assert not (network.W.requires_grad or network.a.requires_grad or network.bias.requires_grad)
    assert not network(torch.ones(3, requires_grad=True)).requires_grad


def test_the_text_of_a_network_says_what_it_is():
    text = repr(TwoLayer.random(3, 4, bias=True, activation="tanh"))
    assert text.startswith(
        "TwoLayer(dim=3, width=4, activation='tanh', scaling='unit', bias=True, output_bias=None, dtype=torch.float"
    )


# Modules


MODULES = {
    "relu": nn.ReLU(),
    "leaky_relu": nn.LeakyReLU(),
    "leaky_relu(0.3333333333333333)": nn.LeakyReLU(1 / 3),
    "identity": nn.Identity(),
    "tanh": nn.Tanh(),
    "gelu": nn.GELU(),
    "softplus": nn.Softplus(),
    "swish": nn.SiLU(),
}


@pytest.mark.parametrize("biases", [(True, True), (False, False), (True, False), (False, True)])
@pytest.mark.parametrize("name", MODULES)
def test_a_network_from_a_module_is_the_module(name, biases):
    torch.manual_seed(1)
    first, top = nn.Linear(6, 40, bias=biases[0]), nn.Linear(40, 1, bias=biases[1])
    module = nn.Sequential(nn.Flatten(), first, MODULES[name], top).double()
    network = TwoLayer.from_module(module)
    assert network.activation.name == name
    assert (network.bias is None, network.output_bias is None, network.scaling) == (
        not biases[0],
        not biases[1],
        "unit",
    )
    x = normal(20, 6, seed=1)
    torch.testing.assert_close(network(x), module(x.reshape(20, 2, 3))[:, 0].detach(), rtol=1e-12, atol=1e-13)
    before = network(x)
    with torch.no_grad():
        first.weight.zero_()
        top.weight.zero_()
    assert torch.equal(network(x), before)


def two_layers(activation: nn.Module, *, top: nn.Module | None = None) -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), activation, top or nn.Linear(4, 1))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(3, 1), r"Sequential\(Linear\(d, m\), activation, Linear\(m, 1\)\), got Linear of 0 layers"),
        (nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1)), "got Sequential of 2 layers"),
        (two_layers(nn.ReLU(), top=nn.Linear(4, 2)), "out_features=2"),
        (nn.Sequential(nn.Conv1d(3, 4, 1), nn.ReLU(), nn.Linear(4, 1)), "Conv1d"),
        (two_layers(nn.ELU()), "must be one of GELU, Identity, LeakyReLU, ReLU, .* got ELU"),
        (two_layers(nn.GELU(approximate="tanh")), "exact GELU, got approximate='tanh'"),
        (two_layers(nn.Softplus(beta=2)), r"Softplus\(beta=1, threshold=20\), got .*beta=2"),
        (two_layers(nn.Softplus(threshold=1)), r"Softplus\(beta=1, threshold=20\), got .*=1\)"),
        (two_layers(nn.ReLU(), top=nn.Linear(5, 1)), r"a must have shape \(4,\), one entry per row of W, got \(5,\)"),
    ],
)
def test_a_module_of_another_form_is_an_error(module, message):
    with pytest.raises(UsageError, match=message):
        TwoLayer.from_module(module)


# Files


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", FORMS, ids=str)
@pytest.mark.parametrize("name", ["relu", "tanh", "leaky_relu", "leaky_relu(0.01)", f"leaky_relu({1 / 3!r})"])
def test_a_saved_network_is_loaded_as_it_was(tmp_path, name, form, dtype):
    network = TwoLayer.random(3, 5, activation=name, dtype=dtype, seed=1, **form)
    network.save(tmp_path / "network.safetensors")
    assert_same(TwoLayer.load(tmp_path / "network.safetensors"), network)
    assert_same(TwoLayer.load(str(tmp_path / "network.safetensors")), network)


def test_weights_that_share_memory_are_saved(tmp_path):
    table = normal(5, 4, seed=1)
    network = TwoLayer(table[:, :1], table[:, 0], table[:, 0])
    network.save(tmp_path / "shared.safetensors")
    assert_same(TwoLayer.load(tmp_path / "shared.safetensors"), network)


def test_an_npz_file_is_loaded(tmp_path):
    arrays = {"W": normal(5, 4, seed=1).numpy(), "a": np.array([1, -1, 1, 1, -1])}
    np.savez(tmp_path / "plain.npz", **arrays)
    plain = TwoLayer.load(tmp_path / "plain.npz")
    assert_same(plain, TwoLayer(torch.from_numpy(arrays["W"]), torch.from_numpy(arrays["a"])))
    more = {
        "bias": np.arange(5.0),
        "output_bias": np.array([0.25], dtype=np.float32),
        "scaling": "sqrt-d",
        "activation": "tanh",
    }
    np.savez(tmp_path / "more.npz", **arrays, **more, extra=np.array(["text"]))
    expected = TwoLayer(plain.W, plain.a, torch.arange(5.0).double(), 0.25, "tanh", "sqrt-d")
    assert_same(TwoLayer.load(tmp_path / "more.npz"), expected)
    assert TwoLayer.load(tmp_path / "plain.npz", activation="abs").activation.name == "abs"
    assert TwoLayer.load(tmp_path / "plain.npz", activation=hard_tanh()).activation.name == "hard_tanh"


def test_the_activation_a_file_names_is_the_one_that_is_used(tmp_path):
    TwoLayer.random(3, 5, activation="tanh").save(tmp_path / "tanh.safetensors")
    assert TwoLayer.load(tmp_path / "tanh.safetensors", activation="tanh").activation.name == "tanh"
    with pytest.raises(UsageError, match=r"names activation 'tanh', got activation='abs'"):
        TwoLayer.load(tmp_path / "tanh.safetensors", activation="abs")


def test_an_activation_that_does_not_exist_is_the_callers_error(tmp_path):
    np.savez(tmp_path / "plain.npz", W=np.ones((2, 3)), a=np.ones(2))
    with pytest.raises(UsageError, match="unknown activation 'rleu'; did you mean 'relu'"):
        TwoLayer.load(tmp_path / "plain.npz", activation="rleu")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.ones(2)}, r"has no array 'W'; it must hold W \(m, d\) and a \(m,\), got \['a'\]"),
        ({"W": np.ones((2, 3))}, r"has no array 'a'; .* got \['W'\]"),
        ({"W": np.ones((2, 3)), "a": np.ones(3)}, r"a must have shape \(2,\), one entry per row of W, got \(3,\)"),
        ({"W": np.ones((2, 3), dtype=int), "a": np.ones(2)}, "W must hold floating-point numbers"),
        ({"W": np.full((2, 3), math.nan), "a": np.ones(2)}, "W must be finite, got 6 entries"),
        (
            {"W": np.ones((2, 3)), "a": np.ones(2), "activation": "rleu"},
            "unknown activation 'rleu'; did you mean 'relu'",
        ),
        ({"W": np.ones((2, 3)), "a": np.ones(2), "scaling": "ntk"}, "scaling must be 'unit' or 'sqrt-d', got 'ntk'"),
    ],
)
def test_a_file_that_holds_no_network_is_an_error(tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(FileError, match=message) as caught:
        TwoLayer.load(tmp_path / "bad.npz")
    assert "bad.npz" in str(caught.value)


@pytest.mark.parametrize("name", ["damaged.npz", "damaged.safetensors", "damaged.txt"])
@pytest.mark.parametrize("content", [b"", b"not a network", b"PK\x03\x04 cut off"])
def test_a_damaged_file_is_an_error(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError, match=rf"{name} is not a readable \.safetensors or \.npz file"):
        TwoLayer.load(tmp_path / name)


def test_a_file_cut_short_is_an_error(tmp_path):
    network = TwoLayer.random(30, 50)
    network.save(tmp_path / "whole.safetensors")
    np.savez(tmp_path / "whole.npz", W=network.W.numpy(), a=network.a.numpy())
    for name in ("whole.safetensors", "whole.npz"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-200])
        with pytest.raises(FileError, match="is not a readable"):
            TwoLayer.load(tmp_path / name)


def test_a_pickle_in_an_npz_file_is_not_run(tmp_path):
    np.savez(tmp_path / "objects.npz", W=np.array([{}], dtype=object), a=np.ones(1))
    with pytest.raises(FileError, match="is not a readable"):
        TwoLayer.load(tmp_path / "objects.npz")


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(FileError, match=r"none\.npz does not exist; give a \.safetensors or \.npz file"):
        TwoLayer.load(tmp_path / "none.npz")


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(FileError, match="cannot be written"):
        TwoLayer.random(3, 4).save(tmp_path / "no" / "such" / "folder.safetensors")


def test_a_users_activation_cannot_be_saved(tmp_path):
    with pytest.raises(UsageError, match="only built-in activations can be saved, got 'hard_tanh'"):
        TwoLayer.random(3, 4, activation=hard_tanh()).save(tmp_path / "mine.safetensors")


# Errors


W, A = torch.ones(4, 3), torch.ones(4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.ones(4), A), r"W must have shape \(width, dim\) with both at least 1, got \(4,\)"),
        ((torch.ones(0, 3), torch.ones(0)), r"W must have shape .*, got \(0, 3\)"),
        ((torch.ones(4, 0), A), r"W must have shape .*, got \(4, 0\)"),
        ((W.int(), A), r"W must hold floating-point numbers, got torch\.int32; convert it with W\.float\(\)"),
        ((W, torch.ones(5)), r"a must have shape \(4,\), one entry per row of W, got \(5,\)"),
        ((W, torch.ones(4, 1)), r"a must have shape \(4,\), .* got \(4, 1\)"),
        ((W, A, torch.ones(3)), r"bias must have shape \(4,\), .* got \(3,\)"),
        ((W * math.nan, A), "W must be finite, got 12 entries that are NaN or infinite"),
        ((W, A * math.inf), "a must be finite, got 4 entries"),
        ((W, A, torch.tensor([0.0, math.nan, 0.0, math.inf])), "bias must be finite, got 2 entries"),
        ((W, A, None, math.nan), "output_bias must be finite, got nan"),
        ((W, A, None, torch.ones(2)), r"output_bias must be one number, got shape \(2,\)"),
        ((W, A, None, None, "rleu"), r"unknown activation 'rleu'; did you mean 'relu'\?"),
        ((W, A, None, None, "relu", "ntk"), "scaling must be 'unit' or 'sqrt-d', got 'ntk'"),
    ],
)
def test_weights_that_do_not_fit_together_are_errors(arguments, message):
    with refused(message):
        TwoLayer(*arguments)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(2, 4), r"x must have shape \(\.\.\., 3\), the dimension of W, got \(2, 4\)"),
        (torch.ones(()), r"x must have shape \(\.\.\., 3\), the dimension of W, got \(\)"),
        (torch.tensor([[0.0, math.nan, math.inf]]), "x must be finite, got 2 entries that are NaN or infinite"),
    ],
)
def test_inputs_that_do_not_fit_the_network_are_errors(x, message):
    network = TwoLayer(W, A)
    for function in (network, network.gradient):
        with refused(message):
            function(x)


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        ((0, 4), {}, r"dim must be a positive integer, got 0\."),
        ((3, 0), {}, r"width must be a positive integer, got 0\."),
        ((3, -2), {}, r"width must be a positive integer, got -2\."),
        ((3.0, 4), {}, r"dim must be a positive integer, got 3\.0\."),
        ((3, True), {}, r"width must be a positive integer, got True\."),
        ((3, 4), {"scaling": "ntk"}, r"scaling must be 'unit' or 'sqrt-d', got 'ntk'\."),
        ((3, 4), {"activation": "rleu"}, "unknown activation 'rleu'; did you mean 'relu'"),
    ],
)
def test_a_random_network_needs_sizes_and_names_that_exist(arguments, settings, message):
    with refused(message):
        TwoLayer.random(*arguments, **settings)


def test_a_scaling_that_does_not_exist_is_an_error():
    with refused(r"to must be 'unit' or 'sqrt-d', got 'ntk'\."):
        TwoLayer.random(3, 4).rescale("ntk")


def test_errors_of_use_are_value_errors_and_errors_of_files_are_os_errors():
    assert issubclass(UsageError, ValueError)
    assert issubclass(FileError, OSError)
