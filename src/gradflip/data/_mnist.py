"""MNIST and Fashion-MNIST: four IDX files, from a folder or (MNIST) downloaded once and checked."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from gradflip._errors import FileError
from gradflip.data._folder import VARIABLE, chosen_folder, user_folder
from gradflip.data._idx import REMEDY, Idx, read_idx
from gradflip.data._images import LabelledImages, two_classes
from gradflip.data._request import Request
from gradflip.data._split import Split

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

SHAPES: dict[str, tuple[int, ...]] = {
    "train-images-idx3-ubyte": (60_000, 28, 28),
    "train-labels-idx1-ubyte": (60_000,),
    "t10k-images-idx3-ubyte": (10_000, 28, 28),
    "t10k-labels-idx1-ubyte": (10_000,),
}

MNIST_SHA256 = {  # of the uncompressed content: compressions differ between mirrors
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

_TIMEOUT = 30  # seconds without an answer before the next mirror is tried
_log = logging.getLogger(__name__)


def load(request: Request) -> Split:
    """Return two classes of MNIST."""
    return two_classes(mnist(request.data_dir), request)


def load_fashion(request: Request) -> Split:
    """Return two classes of Fashion-MNIST."""
    return two_classes(fashion_mnist(request.data_dir), request)


def mnist(
    data_dir: str | os.PathLike[str] | None = None,
    *,
    cache: Path | None = None,
    mirrors: Sequence[str] = MIRRORS,
) -> LabelledImages:
    """MNIST from `data_dir` or `data_folder`, else `$GRADFLIP_DATA`, else the cache folder, else a mirror.

    In a folder that the caller names, a missing file is an error, not a download; a subfolder `mnist` takes
    precedence over the folder itself.

    Args:
        data_dir: Folder that holds the files. If given, no other place is searched.
        cache: Folder for downloads; None is the user's cache folder.
        mirrors: Addresses, with a slash at the end, of folders with the gzip files.

    Returns:
        The 60,000 training and 10,000 test images, 28 x 28 with values 0 to 255.

    Raises:
        FileError: If a file is missing, damaged, or cannot be downloaded.

    Source: LeCun, Cortes and Burges (1998), The MNIST database of handwritten digits.
    """  # noqa: DOC502
    folder = _named_folder("mnist", data_dir)
    files: dict[str, Idx] = {}
    for name, sha256 in MNIST_SHA256.items():
        if folder is not None:
            files[name] = read_idx(_find_or_raise(folder, name), ndim=len(SHAPES[name]), sha256=sha256)
        else:
            files[name] = cached(name, sha256, folder=cache or _cache_folder(), mirrors=mirrors)
    return _assemble("mnist", files)


def fashion_mnist(data_dir: str | os.PathLike[str] | None = None) -> LabelledImages:
    """Fashion-MNIST from `data_dir` or `data_folder`, else `$GRADFLIP_DATA`; a subfolder `fashion-mnist` goes first.

    Args:
        data_dir: Folder that holds the files. If given, no other place is searched.

    Returns:
        The 60,000 training and 10,000 test images, 28 x 28 with values 0 to 255.

    Raises:
        FileError: If a file is missing, does not have the form of Fashion-MNIST, or is MNIST's.

    Source: Xiao, Rasul and Vollgraf (2017), Fashion-MNIST, arXiv:1708.07747.
    """
    folder = _named_folder("fashion-mnist", data_dir)
    if folder is None:
        raise FileError(
            f"fashion-mnist is read from a folder, not downloaded: put its files ({_listed()}) into a folder and name "
            f"it by --data-dir (data_dir=) or ${VARIABLE}."
        )
    files: dict[str, Idx] = {}
    for name, shape in SHAPES.items():
        path = _find_or_raise(folder, name)
        idx = read_idx(path, ndim=len(shape))
        if idx.sha256 == MNIST_SHA256[name]:
            raise FileError(f"{path} is MNIST's file, not Fashion-MNIST's: put those into a subfolder fashion-mnist.")
        if idx.values.shape != shape:
            raise FileError(
                f"{path} is not Fashion-MNIST's file: its shape must be {shape}, got {tuple(idx.values.shape)}."
            )
        if len(shape) == 1 and (largest := int(idx.values.max())) > 9:
            raise FileError(f"{path} is not Fashion-MNIST's file: its labels must be 0 to 9, got {largest}.")
        files[name] = idx
    return _assemble("fashion-mnist", files)


def cached(name: str, sha256: str, *, folder: Path, mirrors: Sequence[str]) -> Idx:
    """The file `name` from the folder of downloads, downloaded into it if it is missing or damaged there.

    Args:
        name: Name of the file without `.gz`.
        sha256: Hash of its uncompressed content.
        folder: Folder of downloads, made if needed.
        mirrors: Addresses to try, in this order.

    Returns:
        Its content.

    Raises:
        FileError: If the folder cannot be written to, or no mirror gives the content; it says why for each.
    """
    failures: list[str] = []
    path = _find(folder, name)
    if path is not None:
        try:
            return read_idx(path, ndim=len(SHAPES[name]), sha256=sha256)
        except FileError as error:
            _log.warning("%s; downloading it again", error)
            failures.append(str(error))
    try:
        if target := _fetched(name, sha256, folder, mirrors, failures):
            if path not in (None, target):  # a damaged plain file must not take precedence over the fresh copy
                path.unlink(missing_ok=True)
            return read_idx(target, ndim=len(SHAPES[name]), sha256=sha256)
    except FileError:
        raise
    except OSError as error:
        raise FileError(
            f"the folder of downloads {folder} cannot be written to ({error.strerror}); put the files ({_listed()}) "
            f"into a folder and name it by --data-dir (data_dir=) or ${VARIABLE}."
        ) from error
    tried = "".join(f"\n  {failure}" for failure in failures)
    raise FileError(
        f"{name} is in none of --data-dir (data_dir=), ${VARIABLE} and {folder}, and cannot be downloaded:{tried}\n"
        f"Put the files ({_listed()}) into a folder by hand and name it by --data-dir (data_dir=) or ${VARIABLE}."
    )


def _fetched(name: str, sha256: str, folder: Path, mirrors: Sequence[str], failures: list[str]) -> Path | None:
    """Return the file as the first mirror that has it gave it; None if none did, and add why to `failures`."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
        for mirror in mirrors:
            url = f"{mirror}{name}.gz"
            fresh = Path(scratch, f"{name}.gz")
            if failure := _download(url, fresh, len(SHAPES[name]), sha256):
                failures.append(f"{url}: {failure}")
                continue
            target = folder / fresh.name
            fresh.replace(target)  # atomic: other processes see a whole file or none
            return target
    return None


def _download(url: str, fresh: Path, ndim: int, sha256: str) -> str | None:  # what went wrong, if anything did
    import pooch

    _log.info("downloading %s", url)
    # Not pooch.retrieve: it checks the hash of the compressed file, which differs between mirrors.
    download = pooch.HTTPDownloader(chunk_size=2**20, timeout=_TIMEOUT, stream=False)
    try:
        download(url, str(fresh), None)
        read_idx(fresh, ndim=ndim, sha256=sha256)
    except FileError as error:
        return str(error).removeprefix(f"{fresh.resolve()} ").removesuffix(f" {REMEDY}")
    except OSError as error:  # all of requests' exceptions among them
        return str(error) or type(error).__name__
    return None


def _named_folder(subfolder: str, data_dir: str | os.PathLike[str] | None) -> Path | None:
    if (chosen := chosen_folder(data_dir)) is not None:
        folder = Path(chosen).expanduser()
        if not folder.is_dir():
            raise FileError(f"data_dir must be a folder, got {str(chosen)!r}.")
        return inner if (inner := folder / subfolder).is_dir() else folder
    if value := user_folder():
        folder = Path(value).expanduser()
        if (inner := folder / subfolder).is_dir():
            return inner
        if any(_find(folder, name) for name in SHAPES):
            return folder
    return None


def _cache_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("gradflip"), "mnist")


def _find(folder: Path, name: str) -> Path | None:
    dotted = name.replace("-idx", ".idx")
    candidates = (folder / file for file in (name, f"{name}.gz", dotted, f"{dotted}.gz"))
    return next((path for path in candidates if path.is_file()), None)


def _find_or_raise(folder: Path, name: str) -> Path:
    if path := _find(folder, name):
        return path
    raise FileError(f"{name} (or {name}.gz) is missing in the folder {folder}; it must hold {_listed()}.")


def _listed() -> str:
    return ", ".join(f"{name}.gz" for name in SHAPES)


def _assemble(name: str, files: Mapping[str, Idx]) -> LabelledImages:
    train, train_classes, test, test_classes = (files[file].values for file in SHAPES)
    return LabelledImages(name, train, train_classes, test, test_classes, white=255)
