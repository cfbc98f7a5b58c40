"""A real Ollama with tiny models, for tests: `with real_ollama(folder) as server`.

The server is the one that `tests/tools/install_ollama.py` builds once per machine. Its models are
tiny, but bear the names of big ones, so that shipped configurations run unchanged.
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

import httpx
import pytest

from fleet.engines import tiny
from tests.tools import install_ollama

WHY_ABSENT = "no real Ollama here: python tests/tools/install_ollama.py builds it (10 minutes)"
MODELS: Mapping[str, tiny.Kind] = {
    "gpt-oss:20b": "gpt-oss",
    "gpt-oss:120b": "gpt-oss",
    "tiny-llama": "llama",
}
"""Name in Ollama to the kind of tiny model behind it."""

START_S = 30.0
END_S = 10.0


@dataclass(frozen=True, slots=True)
class RealOllama:
    base_url: str
    log: Path
    models: Mapping[str, Path]
    """Name in Ollama to the GGUF file it was made from."""
    process: subprocess.Popen[bytes]

    def create(self, name: str, file: Path) -> None:
        """One more model, of a GGUF file."""
        build = install_ollama.find()
        assert build is not None
        _create(build, self.log.parent, int(self.base_url.rpartition(":")[2]), name, file)

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


def skip_or_fail() -> None:
    """Skips the test that needs a real Ollama where none is; fails it where one is required."""
    if install_ollama.find() is not None:
        return
    if os.environ.get("FLEET_REQUIRE_OLLAMA") == "1":
        pytest.fail(WHY_ABSENT)
    pytest.skip(WHY_ABSENT)


@contextmanager
def real_ollama(
    folder: Path,
    models: Mapping[str, tiny.Kind] = MODELS,
    environment: Mapping[str, str] | None = None,
) -> Iterator[RealOllama]:
    """Runs a server of its own in `folder`: own home, own models, a free port."""
    build = install_ollama.find()
    if build is None:
        raise FileNotFoundError(WHY_ABSENT)
    log = folder / "ollama.log"
    (folder / "home").mkdir(parents=True, exist_ok=True)
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [build / "bin" / "ollama", "serve"],
            env={**_environment(folder, port), **(environment or {})},
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    base_url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(base_url, process, log)
        files = {kind: tiny_model(kind, folder) for kind in sorted(set(models.values()))}
        for name, kind in models.items():
            _create(build, folder, port, name, files[kind])
        made = {name: files[kind] for name, kind in models.items()}
        yield RealOllama(base_url, log, made, process)
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def tiny_model(kind: tiny.Kind, folder: Path) -> Path:
    return tiny.make(kind, folder)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _environment(folder: Path, port: int) -> dict[str, str]:
    """Nothing of the user's own Ollama gets in."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder / "home"),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(folder / "models"),
        "OLLAMA_NO_CLOUD": "1",
    }


def _create(build: Path, folder: Path, port: int, name: str, file: Path) -> None:
    recipe = folder / "Modelfile"
    recipe.write_text(f"FROM {file.resolve()}\n")
    done = subprocess.run(
        [build / "bin" / "ollama", "create", name, "-f", recipe],
        env=_environment(folder, port),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"ollama create {name}: {done.stderr[-500:]}")


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
