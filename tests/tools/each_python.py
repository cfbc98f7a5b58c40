"""Run the tests named on every Python of the project's range that this machine has.

Each Python has an environment of its own, `.venv-3.x`, with the locked packages. Packages come from
uv's cache or the package index; a Python that is not installed is named and not fetched.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
UV = Path(sys.executable).with_name("uv")


def interpreter(version: str) -> str:
    """Return the path of a Python of this version, or nothing where there is none."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    of_pyenv = sorted(root.glob(f"versions/{version}.*/bin"))
    folders = [*map(Path, os.get_exec_path()), *of_pyenv]
    programs = [folder / f"python{version}" for folder in folders]
    return next((str(each) for each in programs if each.is_file() and _runs(each, version)), "")


def _runs(program: Path, version: str) -> bool:
    """Tell whether it is that Python; pyenv leaves programs on PATH that refuse to run."""
    code = "import sys; print('.'.join(map(str, sys.version_info[:2])))"
    done = subprocess.run([program, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() == version


def tested(version: str, python: str, words: Sequence[str]) -> bool:
    """Make this Python's environment as the lock says, and run the tests in it."""
    folder = CHECKOUT / f".venv-{version}"
    environment = {**os.environ, "UV_PROJECT_ENVIRONMENT": str(folder)}
    environment.pop("VIRTUAL_ENV", None)
    options = ["--quiet", "--frozen", "--all-extras", "--no-python-downloads"]
    sync = [UV, "sync", *options, "--python", python]
    tests = [folder / "bin" / "python", "-m", "pytest", "-p", "no:cacheprovider", *words]
    return all(
        subprocess.run(argv, cwd=CHECKOUT, env=environment, check=False).returncode == 0
        for argv in (sync, tests)
    )


def main() -> int:
    """Print what each Python of the range gave, and return 1 where one of them failed."""
    results = {}
    for version in VERSIONS:
        python = interpreter(version)
        print(f"== Python {version}: {python or 'not here'}", flush=True)
        if python:
            results[version] = tested(version, python, sys.argv[1:])
    print()
    for version in VERSIONS:
        words = {True: "green", False: "failed", None: "not here"}
        print(f"Python {version}: {words[results.get(version)]}")
    return 0 if results and all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
