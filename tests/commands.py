"""gradflip as a process, and what it says."""

import subprocess
import sys


def gradflip_process(*words, cwd=None, env=None, timeout=240):
    command = [sys.executable, "-m", "gradflip.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=cwd, env=env, check=False)


def sentence(process):
    """Return the one line that an error is: it names the program and ends as a sentence does."""
    lines = process.stderr.strip().splitlines()
    assert len(lines) == 1, process.stderr
    assert lines[0].startswith("gradflip: ")
    assert lines[0][-1] in ".?"
    assert "Traceback" not in process.stderr
    return lines[0]


LAZY_IMPORTS = """
import sys
{first}
loaded = sorted(set(sys.modules) & {{"torch", "scipy", "polars", "altair"}})
assert not loaded, loaded
{then}
"""
