"""The repository itself: what is tracked, and what it may cite."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CACHES = {".cache", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".import_linter_cache"}
LARGE: set[str] = set()
"""Tracked files that may exceed `LARGEST_FILE`: none today."""
LARGEST_FILE = 2**20  # bytes
_OLD_CITATION = re.compile(r"spec [0-9]")


def git(*words: str) -> list[str]:
    """The paths that a git command lists, relative to the root of the repository."""
    if not (ROOT / ".git").exists():
        pytest.skip("the sources are not a git checkout")
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    command = ["git", "-c", f"safe.directory={ROOT}", *words, "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    return [path for path in listed.stdout.split("\0") if path]


def test_no_tracked_file_is_ignored():
    assert git("ls-files", "--cached", "--ignored", "--exclude-standard") == []


def test_no_tracked_file_lies_in_a_cache():
    assert [path for path in git("ls-files") if CACHES & set(Path(path).parts)] == []


def test_no_tracked_file_is_large():
    present = [path for path in git("ls-files") if (ROOT / path).is_file()]
    assert {path for path in present if (ROOT / path).stat().st_size > LARGEST_FILE} == LARGE


def test_nothing_cites_a_document_that_users_do_not_have():
    folders = [ROOT / name for name in ("src", "tests", "docs", "benchmarks", "examples")]
    texts = [path for folder in folders for ending in ("py", "md", "j2", "js") for path in folder.rglob(f"*.{ending}")]
    texts += [path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"]
    own = Path(__file__)
    assert len(texts) > 100
    citing = [path for path in texts if path != own and _OLD_CITATION.search(path.read_text("utf-8"))]
    assert [path.relative_to(ROOT).as_posix() for path in citing] == []
