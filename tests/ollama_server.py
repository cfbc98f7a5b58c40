"""A real Ollama with tiny models, for tests: `with real_ollama(folder) as server`.

The server is one of those that `tests/tools/install_ollama.py` builds once per machine, with the
MLX engine of `tests/tools/install_mlx.py` where that could be built. Its models are tiny, but bear
the names of big ones, so that shipped configurations run unchanged.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
import pytest

from fleet.engines import tiny
from tests import processes
from tests.tools import install_mlx, install_ollama, mlx_models
from tests.tools.install_ollama import NEWEST, Version

WHY_ABSENT = "no real Ollama here: python tests/tools/install_ollama.py builds it (10 minutes)"
WHY_NO_MLX = "no MLX engine here: python tests/tools/install_mlx.py builds it (2 minutes)"

ModelKind = tiny.Kind | Literal["mlx-twin", "mlx-drafts"]
"""mlx-twin: the tiny llama for the MLX engine. mlx-drafts: a model with a draft head, all of
whose drafts are right."""
MODELS: Mapping[str, ModelKind] = {
    "gpt-oss:20b": "gpt-oss",
    "gpt-oss:120b": "gpt-oss",
    "tiny-llama": "llama",
}
"""Name in Ollama to the kind of tiny model behind it."""
MLX_MODELS: Mapping[str, ModelKind] = {
    "tiny-llama": "llama",
    "tiny-llama-mlx": "mlx-twin",
    "tiny-drafts-mlx": "mlx-drafts",
}

START_S = 600.0
END_S = 60.0
"""Both are for a server that hangs."""


@dataclass(frozen=True, slots=True)
class RealOllama:
    base_url: str
    log: Path
    models: Mapping[str, Path]
    """Name in Ollama to the file it was made from: a GGUF, or the Modelfile of a checkpoint."""
    process: subprocess.Popen[bytes]
    version: Version

    @property
    def build(self) -> Path:
        """The folder of its program and libraries."""
        folder = find(self.version)
        assert folder is not None, WHY_ABSENT
        return folder

    @property
    def program(self) -> Path:
        return self.build / "bin" / "ollama"

    @property
    def environment(self) -> dict[str, str]:
        """What a second server, or a client, of this one's models needs."""
        return environment(self.log.parent, int(self.base_url.rpartition(":")[2]))

    def create(self, name: str, file: Path) -> None:
        """Add a model, made from a GGUF file or from the Modelfile of a checkpoint."""
        modelfile = file
        if file.suffix == ".gguf":
            modelfile = self.log.parent / "Modelfile"
            modelfile.write_text(f"FROM {file.resolve()}\n")
        # Without the flag 0.32.15 turns a checkpoint into a GGUF; 0.34.4 ignores the flag.
        command = [self.program, "create", name, "--experimental", "-f", modelfile]
        if file.suffix == ".gguf":
            command.remove("--experimental")
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"ollama create {name}: {done.stderr[-500:]}")

    def runners(self) -> list[int]:
        """Process ids of the llama-servers that it has started."""
        task = Path(f"/proc/{self.process.pid}/task")
        children = [
            int(pid)
            for thread in task.iterdir()
            for pid in (thread / "children").read_text().split()
        ]
        return [pid for pid in children if _name(pid).startswith("llama-server")]

    def kill_runner(self) -> None:
        """Ends the process that computes, as a crash would; the server itself lives on."""
        for pid in self.runners():
            os.kill(pid, signal.SIGKILL)


def find(version: Version = NEWEST) -> Path | None:
    """Return the folder of a real Ollama, with its MLX engine where that was built."""
    return install_mlx.find(version) or install_ollama.find(version)


def skip_or_fail(version: Version = NEWEST, *, mlx: bool = False) -> None:
    """Skip the test where the real Ollama or its MLX engine is missing; fail it if required."""
    if mlx and install_mlx.find(version) is None:
        why = WHY_NO_MLX
    elif find(version) is None:
        why = WHY_ABSENT
    else:
        return
    if os.environ.get("FLEET_REQUIRE_OLLAMA") == "1":
        pytest.fail(why)
    pytest.skip(why)


@contextmanager
def real_ollama(
    folder: Path,
    models: Mapping[str, ModelKind] = MODELS,
    variables: Mapping[str, str] | None = None,
    version: Version = NEWEST,
) -> Iterator[RealOllama]:
    """Run a server of its own in `folder`: own home, own models, a free port."""
    build = find(version)
    if build is None:
        raise FileNotFoundError(WHY_ABSENT)
    log = folder / "ollama.log"
    (folder / "home").mkdir(parents=True, exist_ok=True)
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [build / "bin" / "ollama", "serve"],
            env={**environment(folder, port), **(variables or {})},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    base_url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(base_url, process, log)
        files = {kind: _model_file(kind, folder) for kind in sorted(set(models.values()))}
        made = {name: files[kind] for name, kind in models.items()}
        server = RealOllama(base_url, log, made, process, version)
        for name, file in made.items():
            server.create(name, file)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _model_file(kind: ModelKind, folder: Path) -> Path:
    if kind == "mlx-twin":
        return mlx_models.make_twin(tiny_model("llama", folder), folder / kind)
    if kind == "mlx-drafts":
        return mlx_models.make_drafting(tiny_model("llama", folder), folder / kind, acceptance=100)
    return tiny_model(kind, folder)


def tiny_model(kind: tiny.Kind, folder: Path) -> Path:
    return tiny.make(kind, folder)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def environment(folder: Path, port: int) -> dict[str, str]:
    """Return a server's environment, free of the user's own Ollama."""
    return {
        "PATH": os.environ.get("PATH", ""),
        processes.MARK: os.environ.get(processes.MARK, ""),
        "HOME": str(folder / "home"),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_NO_CLOUD": "1",
    }


def _wait_until_it_answers(base_url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < end:
        try:
            if httpx.get(f"{base_url}/api/version", trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"ollama serve does not answer: {log.read_text()[-2000:]}")


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""
