"""Where the real MNIST is, and mirrors on this machine."""

import functools
import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from idx_files import NAMES


@pytest.fixture(scope="session")
def data_folder() -> Path:
    folder = os.environ.get("GRADFLIP_DATA")
    if not folder:
        pytest.skip("GRADFLIP_DATA does not name a folder with mnist/ in it")
    return Path(folder)


@pytest.fixture(scope="session")
def mnist_folder(data_folder: Path) -> Path:
    folder = data_folder / "mnist"
    if missing := [name for name in NAMES if not (folder / f"{name}.gz").is_file()]:
        pytest.skip(f"$GRADFLIP_DATA/mnist does not hold {', '.join(missing)}")
    return folder


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither files named by the environment, nor the user's cache."""
    monkeypatch.delenv("GRADFLIP_DATA", raising=False)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda _: str(tmp_path / "user-cache"))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


class Mirror:
    """A folder served over HTTP: its address, and what it was asked for."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))
        )
        self.asked: list[str] = []
        self.server.asked = self.asked  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Mirror, Mirror]]:
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")
    pair = Mirror(tmp_path / "first-mirror"), Mirror(tmp_path / "second-mirror")
    yield pair
    for mirror in pair:
        mirror.close()
