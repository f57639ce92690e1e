"""What every test shares: seeds, one thread, the folder of reference data.

gradflip is not imported here, so that jaxtyping's pytest plugin can hook its import.
"""

import os
from pathlib import Path

import hypothesis
import pytest

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
