"""Runs what the README tells a reader to run: every `sh` block and every `python` block, in an empty folder.

`make demo` and `make test` are the two commands that stand in a block of neither kind.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def main() -> int:
    blocks = re.findall(r"^```(sh|python)\n(.*?)^```", README.read_text(), flags=re.M | re.S)
    if not blocks:
        print("README.md has no sh or python block")
        return 1
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        for kind, text in blocks:
            command = (
                ["bash", "-euo", "pipefail", "-c", text]
                if kind == "sh"
                else [sys.executable, "-W", "error", "-c", text]
            )
            start = time.perf_counter()
            done = subprocess.run(
                command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
            )
            first = text.strip().splitlines()[0]
            print(
                f"README: {kind} block '{first}' ... exit {done.returncode} after {time.perf_counter() - start:.1f} s"
            )
            if done.returncode:
                print(done.stdout, done.stderr)
                return 1
    print(f"{len(blocks)} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
