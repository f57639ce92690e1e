import gzip
import hashlib
import importlib.resources
import io
import re

import numpy as np
import pytest
import torch

from gradflip._errors import UsageError
from gradflip.data import DATA_NAMES, Split, load_data
from gradflip.data._digits import digits
from gradflip.data._images import LabelledImages, two_classes
from gradflip.data._request import Request

DIGITS_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"  # of the images, then the labels


@pytest.fixture(scope="module")
def archive():
    raw = importlib.resources.files("gradflip.data").joinpath("digits.npz").read_bytes()
    with np.load(io.BytesIO(raw), allow_pickle=False) as opened:
        return opened["images"], opened["labels"]


def request(*, size, normalize):
    return Request((0, 1), size, normalize, antialias=True, data_dir=None, dtype=torch.float64, seed=0)


def bilinear(image, size):
    """Bilinear sampling at pixel centres without antialias, one pixel at a time."""
    side = len(image)
    result = np.zeros((size, size))
    for i in range(size):
        for j in range(size):
            y, x = (min(max((k + 0.5) * side / size - 0.5, 0), side - 1) for k in (i, j))
            top, left = int(y), int(x)
            below, right = min(top + 1, side - 1), min(left + 1, side - 1)
            v, u = y - top, x - left
            upper = (1 - u) * image[top, left] + u * image[top, right]
            lower = (1 - u) * image[below, left] + u * image[below, right]
            result[i, j] = (1 - v) * upper + v * lower
    return result


# The embedded digits.


def test_the_embedded_digits_are_those_of_uci(archive):
    images, labels = archive
    assert (images.shape, images.dtype, labels.shape, labels.dtype) == ((1797, 64), np.uint8, (1797,), np.uint8)
    assert hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest() == DIGITS_SHA256
    assert (images.min(), images.max()) == (0, 16)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_licence_of_the_digits_comes_with_them():
    text = importlib.resources.files("gradflip.data").joinpath("DIGITS-LICENSE.txt").read_text(encoding="utf-8")
    for words in ("Alpaydin", "Kaynak", "CC BY 4.0", "10.24432/C50P49"):
        assert words in text


@pytest.mark.parametrize("classes", [(0, 1), (1, 0), (9, 4)])
def test_digits_are_split_by_their_index_in_the_whole_file(archive, classes):
    images, labels = archive
    found = load_data(classes=classes)
    for x, y, part in ((found.x_train, found.y_train, range(1, 5)), (found.x_test, found.y_test, range(1))):
        chosen = [i for i in range(1797) if i % 5 in part and labels[i] in classes]
        assert torch.equal(x, torch.from_numpy(images[chosen] / 16).float())
        assert y.tolist() == [-1.0 if labels[i] == classes[0] else 1.0 for i in chosen]


def test_the_default_is_digits_0_and_1_in_float32():
    found = load_data()
    assert isinstance(found, Split)
    assert (found.name, found.classes, found.size, found.dim) == ("digits", (0, 1), 8, 64)
    assert (len(found.y_train), len(found.y_test)) == (290, 70)
    for tensor in (found.x_train, found.y_train, found.x_test, found.y_test):
        assert tensor.dtype == torch.float32
        assert tensor.is_contiguous()
    assert (found.x_train.min(), found.x_train.max()) == (0, 1)


def test_swapping_the_classes_swaps_the_labels():
    one, other = load_data(classes=(3, 8)), load_data(classes=[8, 3])
    assert torch.equal(one.x_train, other.x_train)
    assert torch.equal(one.y_train, -other.y_train)
    assert (one.classes, other.classes) == ((3, 8), (8, 3))


def test_loads_share_nothing():
    first = load_data()
    first.x_train.zero_()
    first.y_train.zero_()
    second = load_data()
    assert second.x_train.max() == 1
    assert second.y_train.abs().min() == 1
    assert digits().train.max() == 16


# Size, norm, precision.


@pytest.mark.parametrize("size", [1, 3, 5, 8, 13])
def test_resizing_without_antialias_is_bilinear_sampling(size):
    native, found = (load_data(size=s, antialias=False, dtype=torch.float64) for s in (None, size))
    assert (found.size, found.dim) == (size, size**2)
    for i in range(0, 70, 10):
        slow = bilinear(native.x_test[i].view(8, 8).numpy(), size)
        assert np.allclose(found.x_test[i].view(size, size).numpy(), slow, rtol=0, atol=1e-12)


def test_antialias_is_bilinear_with_the_triangle_widened_by_the_factor():
    native, found = (load_data(size=s, dtype=torch.float64) for s in (None, 4))
    centres = 2 * np.arange(4) + 0.5  # of the new pixels, in the old ones
    weights = np.maximum(0, 1 - np.abs(np.arange(8) - centres[:, None]) / 2)
    weights /= weights.sum(1, keepdims=True)
    slow = weights @ native.x_train.view(-1, 8, 8).numpy() @ weights.T
    assert np.allclose(found.x_train.view(-1, 4, 4).numpy(), slow, rtol=0, atol=1e-12)


def test_antialias_matters_only_when_shrinking():
    for size, same in ((5, False), (8, True), (11, True)):
        with_it, without = (load_data(size=size, antialias=a, dtype=torch.float64) for a in (True, False))
        assert torch.allclose(with_it.x_test, without.x_test, rtol=0, atol=1e-12) == same


def test_pixels_stay_in_the_unit_interval():
    for size in (1, 5, 20):
        x = load_data(size=size, dtype=torch.float64).x_train
        assert x.min() >= 0
        assert x.max() <= 1 + 1e-12


@pytest.mark.parametrize("size", [None, 5, 12])
def test_normalize_scales_each_image_to_norm_1_and_does_no_more(size):
    plain, unit = (load_data(size=size, normalize=n, dtype=torch.float64) for n in (False, True))
    for x, u in ((plain.x_train, unit.x_train), (plain.x_test, unit.x_test)):
        norm = x.norm(dim=1, keepdim=True)
        assert norm.std() > 0.01
        assert torch.allclose(u * norm, x, rtol=0, atol=1e-13)
        assert torch.allclose(u.norm(dim=1), torch.ones(len(u), dtype=u.dtype), rtol=0, atol=1e-14)


def test_float32_is_the_rounding_of_float64():
    single, double = (load_data(size=5, normalize=True, dtype=dtype) for dtype in (torch.float32, torch.float64))
    assert torch.equal(single.x_train, double.x_train.float())
    assert double.x_train.dtype == double.y_train.dtype == torch.float64


def test_a_black_image_cannot_be_normalized():
    pixels = torch.ones(6, 2, 2, dtype=torch.uint8)
    pixels[4] = 0
    classes = torch.tensor([2, 0, 1, 0, 1, 1], dtype=torch.uint8)
    images = LabelledImages("made", pixels, classes, pixels[:4], classes[:4], white=16)
    plain, unit = (request(size=None, normalize=normalize) for normalize in (False, True))
    assert len(two_classes(images, plain).y_train) == 5
    with pytest.raises(UsageError, match=r"^normalize needs images that are not black .*, got train image 4 of made;"):
        two_classes(images, unit)


def test_many_images_are_resized_as_few_are():
    pixels = torch.randint(0, 256, (2500, 6, 6), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    classes = (torch.arange(2500) % 2).to(torch.uint8)
    wanted = request(size=4, normalize=False)
    many = two_classes(LabelledImages("made", pixels, classes, pixels, classes, white=255), wanted)
    for i in (0, 1, 1023, 1024, 2498):
        pair = slice(i, i + 2)
        few = LabelledImages("made", pixels[pair], classes[pair], pixels[pair], classes[pair], white=255)
        assert torch.allclose(two_classes(few, wanted).x_train, many.x_train[pair], rtol=0, atol=1e-14)


# The sphere.


def test_sphere_has_unit_inputs_and_the_sign_of_their_first_entry():
    found = load_data("sphere", size=5, dtype=torch.float64, seed=3)
    assert (found.x_train.shape, found.x_test.shape, found.size) == ((2000, 25), (1000, 25), 5)
    assert (found.name, found.classes) == ("sphere", (0, 1))
    for x, y in ((found.x_train, found.y_train), (found.x_test, found.y_test)):
        assert torch.allclose(x.norm(dim=1), torch.ones(len(x), dtype=x.dtype), rtol=0, atol=1e-14)
        assert torch.equal(y, torch.where(x[:, 0] < 0, -1.0, 1.0).double())
    assert load_data("sphere").dim == 100


def test_sphere_has_the_moments_of_the_uniform_law():
    x = load_data("sphere", size=3, dtype=torch.float64).x_train  # d = 9: E x_i x_j = δ_ij / d
    z_mean = x.mean(0) * (2000 * 9) ** 0.5
    products = x.T @ x / 2000 - torch.eye(9, dtype=x.dtype) / 9
    # Var x_i² = 3/(d(d+2)) - 1/d², Var x_i x_j = 1/(d(d+2))
    variance = torch.where(torch.eye(9) == 1, 3 / 99 - 1 / 81, 1 / 99).double() / 2000
    assert z_mean.abs().max() < 5  # 9 + 45 comparisons: false alarm below 1e-4
    assert (products / variance.sqrt()).abs().max() < 5


def test_sphere_depends_on_the_seed_alone():
    one, same, other, single = (
        load_data("sphere", size=4, seed=seed, dtype=dtype)
        for seed, dtype in ((1, torch.float64), (1, torch.float64), (2, torch.float64), (1, torch.float32))
    )
    assert torch.equal(one.x_train, same.x_train)
    assert torch.equal(one.x_train.float(), single.x_train)
    assert torch.equal(one.y_test.float(), single.y_test)
    assert not torch.isclose(one.x_train, other.x_train).all(1).any()
    assert not torch.isclose(one.x_train[:1000], one.x_test).all(1).any()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    load_data("sphere", size=4)
    assert torch.equal(torch.get_rng_state(), before)


# MNIST.


@pytest.mark.usefixtures("mnist_folder")
def test_mnist_has_12665_training_and_2115_test_images_of_0_and_1():
    found = load_data("mnist")
    assert (found.x_train.shape, found.x_test.shape, found.size) == ((12_665, 784), (2_115, 784), 28)
    assert ((found.y_train == -1).sum(), (found.y_test == -1).sum()) == (5_923, 980)


def test_mnist_keeps_the_order_of_the_files(mnist_folder):
    found = load_data("mnist", classes=(5, 2))
    for part, x, y in (("train", found.x_train, found.y_train), ("t10k", found.x_test, found.y_test)):
        labels = gzip.decompress((mnist_folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())[8:]
        images = gzip.decompress((mnist_folder / f"{part}-images-idx3-ubyte.gz").read_bytes())[16:]
        chosen = [i for i, label in enumerate(labels) if label in (5, 2)]
        assert y.tolist() == [-1.0 if labels[i] == 5 else 1.0 for i in chosen]
        for row in (0, 1, len(chosen) - 1):
            pixels = torch.tensor(list(images[784 * chosen[row] : 784 * (chosen[row] + 1)])) / 255
            assert torch.equal(x[row], pixels)


def test_without_antialias_mnist_is_that_of_the_published_runs(data_folder, mnist_folder):
    path = data_folder / "reference" / "lazy_mnist01_size10_bias_m1000_C10.npz"
    if not path.is_file():
        pytest.skip(f"{path.name} is not in $GRADFLIP_DATA/reference")
    with np.load(path) as reference:
        x, y = reference["X_test"], reference["y_test"]
    found = load_data("mnist", size=10, antialias=False)
    order = found.y_test.sort(stable=True).indices  # the published runs put all zeros before all ones
    assert np.array_equal(found.y_test[order].numpy(), y)
    assert np.abs(found.x_test[order].numpy() - x).max() < 2e-6  # they resized in float32: 1.5e-6
    assert np.abs(load_data("mnist", size=10).x_test[order].numpy() - x).max() > 0.1


@pytest.mark.usefixtures("mnist_folder")
def test_antialias_makes_small_images_of_mnist_paler():
    for antialias, train, test in ((True, 0.98, 0.98), (False, 1.52, 1.53)):  # the published norms are of the test set
        found = load_data("mnist", size=5, antialias=antialias)
        assert found.x_train.norm(dim=1).mean().item() == pytest.approx(train, abs=0.005)
        assert found.x_test.norm(dim=1).mean().item() == pytest.approx(test, abs=0.005)


@pytest.mark.usefixtures("mnist_folder")
def test_mnist_sampled_at_one_point_has_black_images():
    assert load_data("mnist", size=1, normalize=True).x_test.eq(1).all()
    with pytest.raises(UsageError, match=r"got train image \d+ of mnist; take a larger size, or antialias=True\.$"):
        load_data("mnist", size=1, normalize=True, antialias=False)


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "minst"}, "unknown data set 'minst'; did you mean 'mnist'? There are: digits, mnist, fashion-mnist,"),
        ({"name": "digit"}, "unknown data set 'digit'; did you mean 'digits'?"),
        ({"name": None}, "unknown data set 'None'"),
        ({"classes": (3, 3)}, "classes must be two different digits of 0..9, got (3, 3)."),
        ({"classes": (0, 10)}, "classes must be two different digits of 0..9, got (0, 10)."),
        ({"classes": [-1, 1]}, "classes must be two different digits of 0..9, got (-1, 1)."),
        ({"classes": (0, 1, 2)}, "classes must be two different digits of 0..9, got (0, 1, 2)."),
        ({"classes": (0.0, 1)}, "classes must be two different digits of 0..9, got (0.0, 1)."),
        ({"classes": (False, True)}, "classes must be two different digits of 0..9, got (False, True)."),
        ({"classes": "01"}, "classes must be two different digits of 0..9, got '01'."),
        ({"classes": 3}, "classes must be two different digits of 0..9, got 3."),
        ({"size": 0}, "size must be an integer from 1 to 128, or None, got 0."),
        ({"size": 129}, "size must be an integer from 1 to 128, or None, got 129."),
        ({"size": 5.0}, "size must be an integer from 1 to 128, or None, got 5.0."),
        ({"size": True}, "size must be an integer from 1 to 128, or None, got True."),
        ({"dtype": torch.int64}, "dtype must be torch.float32 or torch.float64, got torch.int64."),
        ({"seed": 0.5}, "seed must be an integer, got 0.5."),
        ({"name": "sphere", "classes": (3, 4)}, "classes must be left at (0, 1) for sphere, got (3, 4)."),
        ({"name": "sphere", "size": -1}, "size must be an integer from 1 to 128, or None, got -1."),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        load_data(**arguments)


def test_the_names_are_those_documented():
    assert DATA_NAMES == ("digits", "mnist", "fashion-mnist", "sphere")
