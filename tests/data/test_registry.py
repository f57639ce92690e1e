import subprocess
import sys
import types

import pytest
import torch

from gradflip.data import DATA_NAMES, DATA_SETS, DataSet, Split, load_data

EMBEDDED = ("digits", "sphere")


def described(name, split):
    """What the registry says of a data set must be what its loader gives."""
    known = DATA_SETS[name]
    assert (len(split.y_train), len(split.y_test)) == (known.train_count, known.test_count)
    assert (split.name, split.size, split.dim) == (name, known.shape[0], known.dim())


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_registry_describes_what_comes_with_the_package(name):
    described(name, load_data(name))
    assert load_data(name, size=5).dim == DATA_SETS[name].dim(5)


def test_the_registry_describes_mnist(mnist_folder):
    described("mnist", load_data("mnist", data_dir=mnist_folder))


def test_the_registry_describes_fashion_mnist(fashion_folder):
    described("fashion-mnist", load_data("fashion-mnist", data_dir=fashion_folder))


def test_every_data_set_is_known_by_its_name_and_names_its_classes():
    assert DATA_NAMES == tuple(DATA_SETS) == tuple(data_set.name for data_set in DATA_SETS.values())
    assert [len(set(data_set.classes)) for data_set in DATA_SETS.values()] == [10, 10, 10, 2]
    assert [data_set.name for data_set in DATA_SETS.values() if data_set.planted] == ["sphere"]


def test_channels_multiply_the_dimension():
    colour = DataSet("colour", "a:b", 1, 1, ("cat", "dog"), (32, 32, 3))
    assert (colour.dim(), colour.dim(10)) == (3072, 300)


def load_colours(request):
    """A loader of somebody else's: three channels, and the request kept in the name."""
    x = torch.ones(2, COLOURS.dim(request.size), dtype=request.dtype)
    y = torch.tensor([-1.0, 1.0], dtype=request.dtype)
    return Split(x, y, x, y, name=f"colours {request.data_dir}", classes=request.classes, size=request.size)


COLOURS = DataSet("colours", "data_sets_of_tests:load", 2, 2, ("red", "green"), (4, 4, 3))


def test_an_entry_and_a_loader_are_all_that_a_data_set_needs(monkeypatch):
    module = types.ModuleType("data_sets_of_tests")
    module.load = load_colours
    monkeypatch.setitem(sys.modules, "data_sets_of_tests", module)
    monkeypatch.setattr("gradflip.data._load.DATA_SETS", {**DATA_SETS, "colours": COLOURS})
    split = load_data("colours", (1, 0), 5, data_dir="here", dtype=torch.float64)
    assert (split.dim, split.classes, split.name) == (75, (1, 0), "colours here")
    assert split.x_train.dtype == torch.float64


def test_the_registry_and_the_folder_need_no_torch():
    code = (
        "import sys; from gradflip.data import DATA_SETS, data_folder; assert DATA_SETS['mnist'].dim() == 784; "
        "print({'torch', 'numpy'} & set(sys.modules)); from gradflip.data import load_data; "
        "print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.split("\n")[:2] == ["set()", "True"]


def test_a_name_that_data_does_not_have_is_refused():
    import gradflip.data

    with pytest.raises(AttributeError, match=r"^module 'gradflip\.data' has no attribute 'load'$"):
        _ = gradflip.data.load
    assert dir(gradflip.data) == sorted(gradflip.data.__all__)
