#!/usr/bin/env python3
"""Gives the test Ollamas their MLX engine on a machine without a GPU, and prints their folders.

Ollama loads a `libmlxc.so`. MLX itself comes as wheels from PyPI (mlx has the headers, mlx-cpu the
library) and its C layer as source in the crate mlx-sys; that layer and a shim are compiled here,
in about a minute. A folder of this program holds the same Ollama as the folder of
`install_ollama.py` that it is made from, with `lib/ollama/mlx_cpu` beside its other helpers. MLX
compiles kernels with g++ while it runs too, so the machine keeps needing g++.

The program ends with 3 and one line where something is missing on the machine.

    install_mlx.py [--find] [CACHE]     --find: only look; ends with 1 if one is missing
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ is None:  # started as a program: its sibling is found from the project's root
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.tools import install_ollama
from tests.tools.install_ollama import CannotBuild, Version, locked, run_step

MLX = "0.32.2"
C_LAYER = "0.7.0"
RECIPE = 1
"""Any change of the compiled code needs a new number, since folders are never built again."""

SHIMS = Path(__file__).with_name("mlx_shim")

CARGO_TOML = f"""\
[package]
name = "fetch"
version = "0.0.0"
edition = "2021"
[dependencies]
mlx-sys = "={C_LAYER}"
"""


@dataclass(frozen=True, slots=True)
class Headers:
    """How the C layer that an Ollama was compiled against differs from the crate's."""

    name: str
    """Of the file in `mlx_shim/` that defines the functions anew."""
    renamed: tuple[str, ...]
    """Functions of another signature: the preprocessor renames the crate's own, in headers and
    sources alike, so that Ollama's name is free for the shim."""
    runner_flags: tuple[str, ...]
    """What starts Ollama's MLX runner."""


OF_0_32 = Headers(
    name="old",
    renamed=(
        *("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "median", "trace"),
        *("detail_compile_clear_cache", "detail_compile_erase"),
    ),
    runner_flags=("--mlx-engine",),
)
OF_0_34 = Headers(
    name="new",
    renamed=("gather_qmm",),
    runner_flags=(),
)
ONLY_IN_NEW = b"mlx_fast_gated_delta_update"


def find(version: Version, cache: Path | None = None) -> Path | None:
    """Return the folder of the Ollama with its MLX engine, None where there is none."""
    folder = _folder(version, cache or install_ollama.default_cache())
    return folder if (folder / "lib" / "ollama" / "mlx_cpu" / "libmlxc.so").exists() else None


def install(version: Version, cache: Path) -> Path:
    """Return the folder, made now if need be; a second caller waits for the first.

    Raises CannotBuild where a tool, a registry or the Ollama itself is missing.
    """
    if ready := find(version, cache):
        return ready
    ollama = install_ollama.find(version, cache)
    if ollama is None:
        raise CannotBuild(f"{version.folder_name} is not built: install_ollama.py builds it")
    _check_tools()
    with locked(cache / "lock-mlx"):
        if ready := find(version, cache):
            return ready
        room = Path(tempfile.mkdtemp(prefix="build-mlx.", dir=cache))
        try:
            return _assembled(ollama, room).rename(_folder(version, cache))
        finally:
            shutil.rmtree(room, ignore_errors=True)


def _folder(version: Version, cache: Path) -> Path:
    return cache / f"{version.folder_name}-mlx{MLX}"


def _check_tools() -> None:
    if sys.platform != "linux":
        raise CannotBuild("this recipe is for Linux; a Mac's own Ollama has the engine")
    for program, package in (("g++", "g++ 12 or newer"), ("cargo", "Rust's cargo")):
        if shutil.which(program) is None:
            raise CannotBuild(f"no {program}: install {package}")


def _assembled(ollama: Path, room: Path) -> Path:
    """Copy the binary, link the helpers, add the library and see that Ollama takes it."""
    program = ollama / "bin" / "ollama"
    headers = OF_0_34 if ONLY_IN_NEW in program.read_bytes() else OF_0_32
    library = _library(headers, ollama.parent, room)
    out = room / "out"
    helpers = out / "lib" / "ollama"
    helpers.mkdir(parents=True)
    (out / "bin").mkdir()
    # A copy, not a link: Ollama looks for its libraries from where its real file is.
    shutil.copy2(program, out / "bin" / "ollama")
    for helper in (ollama / "lib" / "ollama").iterdir():
        (helpers / helper.name).symlink_to(helper.resolve())
    (helpers / "mlx_cpu").symlink_to(library)
    _check_that_it_starts(out, headers, room)
    return out


def _library(headers: Headers, cache: Path, room: Path) -> Path:
    """Return the folder of the compiled library; Ollamas with equal headers share one."""
    library = cache / f"mlx-{MLX}-c{C_LAYER}-r{RECIPE}-{headers.name}"
    if not (library / "libmlxc.so").exists():
        _fetch(room)
        _compile(headers, room).rename(library)
    return library


def _fetch(room: Path) -> None:
    wheels = room / "wheels"
    pip = _pip(room)
    names = [f"mlx=={MLX}", f"mlx-cpu=={MLX}"]
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--dest", str(wheels)]
    run_step([*pip, "download", *options, *names], f"fetching MLX {MLX}")
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(room / "mlx")
    crate = room / "crate"
    (crate / "src").mkdir(parents=True)
    (crate / "src" / "lib.rs").touch()
    (crate / "Cargo.toml").write_text(CARGO_TOML)
    manifest = ["--manifest-path", str(crate / "Cargo.toml")]
    vendor = ["cargo", "vendor", "--quiet", *manifest, str(crate / "vendor")]
    run_step(vendor, f"fetching MLX's C layer {C_LAYER}")


def _pip(room: Path) -> list[str]:
    """The environment's own pip can be missing where uv made it."""
    own = [sys.executable, "-m", "pip"]
    if subprocess.run([*own, "--version"], capture_output=True, check=False).returncode == 0:
        return own
    run_step([sys.executable, "-m", "venv", str(room / "venv")], "making a Python environment")
    return [str(room / "venv" / "bin" / "python"), "-m", "pip"]


def _compile(headers: Headers, room: Path) -> Path:
    source = room / "crate" / "vendor" / "mlx-sys" / "src" / "mlx-c"
    shim = room / "shim.cpp"
    shim.write_text(_shim(headers))
    renamed = [f"-Dmlx_{name}=c_layer_{name}" for name in _all_renamed(headers)]
    includes = [f"-I{source}", f"-I{room / 'mlx' / 'mlx' / 'include'}"]
    options = [
        "-std=c++20",
        "-O1",
        "-fPIC",
        "-include",
        str(SHIMS / "before.h"),
        *includes,
        *renamed,
    ]
    files = [*sorted((source / "mlx" / "c").glob("*.cpp")), shim]
    _compile_side_by_side([["g++", *options, "-c", str(file)] for file in files], room)
    return _link(room)


def _all_renamed(headers: Headers) -> tuple[str, ...]:
    return (*headers.renamed, "default_gpu_stream_new")


def _shim(headers: Headers) -> str:
    undefined = "".join(f"#undef mlx_{name}\n" for name in _all_renamed(headers))
    parts = [(SHIMS / f"{name}.cpp").read_text() for name in (headers.name, "cpu_stream")]
    return "\n".join(['#include "mlx/c/mlx.h"', undefined, *parts])


def _compile_side_by_side(commands: Sequence[Sequence[str]], room: Path) -> None:
    """One compiler per core, by make: it stops at the first failure and says which."""
    objects = room / "objects"
    objects.mkdir()
    rules = [
        f"{number}.o:\n\t{' '.join(command)} -o {number}.o\n"
        for number, command in enumerate(commands)
    ]
    targets = " ".join(f"{number}.o" for number in range(len(commands)))
    (objects / "Makefile").write_text(f"all: {targets}\n" + "".join(rules))
    jobs = os.environ.get("FLEET_BUILD_JOBS", str(os.cpu_count() or 1))
    run_step(["make", "--silent", "-C", str(objects), f"-j{jobs}"], "compiling the C layer")


def _link(room: Path) -> Path:
    out = room / "mlx_cpu"
    out.mkdir()
    mlx = room / "mlx"
    for library in (mlx / "mlx" / "lib" / "libmlx.so", *(mlx / "mlx_cpu.libs").iterdir()):
        shutil.copy2(library, out)
    # An rpath of the old form, which libmlx.so inherits: it looks for its BLAS in another folder.
    rpath = "-Wl,--disable-new-dtags,-rpath,$ORIGIN"
    objects = [str(each) for each in sorted((room / "objects").glob("*.o"))]
    libraries = [f"-L{out}", "-lmlx", rpath, "-Wl,--allow-shlib-undefined"]
    run_step(["g++", "-shared", "-o", str(out / "libmlxc.so"), *objects, *libraries], "linking")
    return out


def _check_that_it_starts(out: Path, headers: Headers, room: Path) -> None:
    """The runner loads the library before it misses its model; anything else is a refusal."""
    command = [str(out / "bin" / "ollama"), "runner", *headers.runner_flags]
    environment = {**os.environ, "HOME": str(room), "OLLAMA_MODELS": str(room / "none")}
    done = subprocess.run(
        [*command, "--model", "none", "--port", "1"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    if "MLX engine initialized" not in done.stdout:
        last = (done.stdout.strip().splitlines() or ["it printed nothing"])[-1]
        raise CannotBuild(f"this Ollama does not take MLX {MLX}: {last[:200]}")


def main(arguments: Sequence[str]) -> int:
    places = [argument for argument in arguments if argument != "--find"]
    cache = Path(places[0]) if places else install_ollama.default_cache()
    versions = install_ollama.wanted_versions()
    if "--find" in arguments:
        folders = {version: find(version, cache) for version in versions}
        for version, folder in folders.items():
            print(folder or f"{_folder(version, cache)} is missing: run this without --find")
        return 0 if all(folders.values()) else 1
    try:
        for version in versions:
            print(install(version, cache))
    except CannotBuild as problem:
        print(f"no MLX engine: {problem}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
