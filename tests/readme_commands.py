"""Runs what a reader is told to run: all `sh` and `python` blocks of README and docs, examples and small benchmarks.

`make demo` and `make test` are the two commands that stand in a block of neither kind.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
SMALL = {
    "implicit_against_explicit.py": ["--draws", "500"],
    "bench_flip.py": ["--quick", "--data", "digits"],
    "bench_train.py": ["--quick"],
    "bench_random.py": ["--quick"],
    "bench_adversarial.py": ["--quick", "--data", "digits"],
    "bench_certify.py": ["--quick", "--data", "digits"],
    "bench_joint.py": ["--quick", "--data", "digits"],
    "streamed_flip.py": ["--width", "2000", "--dim", "25"],
    "published_protocol.py": ["--sizes", "5", "--seeds", "2", "--workers", "1"],
}
NEED_MNIST = {"published_protocol.py"}


def commands() -> list[tuple[str, list[str]]]:
    """What to run, each with the name to show."""
    found = []
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    blocks = [
        (page.name, kind, text)
        for page in pages
        for kind, text in re.findall(r"^```(sh|python)\n(.*?)^```", page.read_text(), flags=re.M | re.S)
    ]
    for page, kind, text in blocks:
        run = ["bash", "-euo", "pipefail", "-c", text] if kind == "sh" else [sys.executable, "-W", "error", "-c", text]
        first = text.strip().splitlines()[0 if kind == "sh" else -1]
        found.append((f"{page}: {kind} block '{first}'", run))
    for script in sorted((ROOT / "examples").glob("*.py")):
        found.append((f"examples/{script.name}", [sys.executable, str(script), *SMALL.get(script.name, [])]))
    for script in sorted(script for script in (ROOT / "benchmarks").glob("*.py") if script.name in SMALL):
        found.append((f"benchmarks/{script.name}", [sys.executable, str(script), *SMALL[script.name]]))
    return found


def main() -> int:
    """Run them in an empty folder; 1 if one fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    passed = skipped = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, command in commands():
            if Path(name).name in NEED_MNIST and not os.environ.get("GRADFLIP_DATA"):
                print(f"{name} ... skipped: GRADFLIP_DATA does not name a folder with mnist/ in it")
                skipped += 1
                continue
            start = time.perf_counter()
            done = subprocess.run(
                command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
            )
            print(f"{name} ... exit {done.returncode} after {time.perf_counter() - start:.1f} s")
            if done.returncode:
                print(done.stdout, done.stderr)
                return 1
            passed += 1
    print(f"{passed} passed, 0 failed, {skipped} skipped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
