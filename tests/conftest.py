"""What every test shares: seeds, one thread, folders of data, a real browser for the pages.

gradflip is not imported here, so that jaxtyping's pytest plugin can hook its import.
"""

import os
import shutil
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from idx_files import NAMES, idx

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NO_FONTS = "<?xml version='1.0'?><!DOCTYPE fontconfig SYSTEM 'fonts.dtd'><fontconfig></fontconfig>"

pytest.register_assert_rewrite("commands")  # the one module of helpers that asserts

# derandomize: a test that fails, fails again
hypothesis.settings.register_profile("gradflip", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("gradflip")


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def reference_network() -> Path:
    folder = os.environ.get("GRADFLIP_DATA")
    if not folder:
        pytest.skip("GRADFLIP_DATA does not name a folder with reference/ in it")
    path = Path(folder) / "reference" / "lazy_mnist01_size10_bias_m1000_C10.npz"
    if not path.is_file():
        pytest.skip("$GRADFLIP_DATA/reference does not hold lazy_mnist01_size10_bias_m1000_C10.npz")
    return path


@pytest.fixture(scope="session")
def fashion_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of the form of Fashion-MNIST: image i is of class i % 10, all its pixels 25 times that, plus 30."""
    folder = tmp_path_factory.mktemp("data") / "fashion-mnist"
    folder.mkdir()
    for name, shape in NAMES.items():
        classes = np.arange(shape[0]) % 10
        values = classes if len(shape) == 1 else np.broadcast_to((25 * classes + 30)[:, None, None], shape)
        (folder / name).write_bytes(idx(values))
    return folder


@pytest.fixture(scope="session")
def _browsers(tmp_path_factory):
    """Opens Chromium with the fonts of the machine, or with none that it knows, when first asked for either."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    opened = {}
    with playwright.sync_playwright() as running:

        def browser_with(fonts: str):
            if fonts not in opened:
                environment = dict(os.environ)
                if fonts == "no-fonts":  # a page's layout must not depend on which fonts a machine has
                    folder = tmp_path_factory.mktemp("fontconfig")
                    (folder / "fonts.conf").write_text(NO_FONTS)
                    environment["FONTCONFIG_FILE"] = str(folder / "fonts.conf")
                opened[fonts] = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS, env=environment)
            return opened[fonts]

        yield browser_with
        for one in opened.values():
            one.close()


@pytest.fixture(scope="module", params=["machine-fonts", "no-fonts"])
def browser(request, _browsers):
    """Chromium, once with the fonts of the machine and once with none that it knows."""
    return _browsers(request.param)
