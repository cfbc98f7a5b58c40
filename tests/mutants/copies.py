"""A copy of the tree in which one mutant at a time is tested, and the process that tests it."""

from __future__ import annotations

import compileall
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.mutants.mutant import Mutant

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "dist")


class Server:
    """A process that answers one JSON object a line with another one."""

    def __init__(
        self, module: str, words: Sequence[str], tree: Path, environment: Mapping[str, str]
    ) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.mutants.{module}", *words],
            cwd=tree,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, request: Mapping[str, object]) -> dict[str, Any]:
        """Return the answer to one request."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(request)}\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """End the process, which ends by itself when its input does."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Copy:
    """One copy of the tree; close it to be rid of it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mutants-")
        self.tree = Path(self._folder.name).resolve() / "tree"
        shutil.copytree(ROOT, self.tree, ignore=LEFT_OUT)
        temporary = self.tree.parent / "tmp"
        temporary.mkdir()
        compileall.compile_dir(self.tree / "fleet", quiet=1, workers=1)
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(temporary)}
        environment["PYTHONPATH"] = str(self.tree)  # before the tree that the project's own is
        environment.pop("PYTEST_XDIST_WORKER", None)
        self._environment = environment
        self._plain: Server | None = None
        self._loaded: Server | None = None

    def run(self, arguments: Sequence[str], limit_s: float, **more: str) -> dict[str, Any]:
        """Run these tests on the tree as it is now."""
        if self._plain is None:
            self._plain = Server("fork_server", (), self.tree, self._environment)
        return self._plain.ask({"arguments": arguments, "limit_s": limit_s, **more})

    def load(self, files: Sequence[str]) -> list[str]:
        """Import all tests of these files, and what they import of fleet; return their names."""
        self._loaded = Server("preloaded", files, self.tree, self._environment)
        names: list[str] = self._loaded.ask({"list": True})["names"]
        return names

    def run_loaded(
        self, tests: Sequence[str], limit_s: float, change: Mapping[str, str] | None
    ) -> dict[str, Any]:
        """Run these tests, with the code of one function changed in memory."""
        assert self._loaded is not None
        return self._loaded.ask({"tests": tests, "limit_s": limit_s, "change": change})

    @contextlib.contextmanager
    def changed(self, mutant: Mutant) -> Iterator[None]:
        """Hold the tree with this mutant in it; its compiled form of before is never used again."""
        path = self.tree / mutant.path
        source = path.read_bytes()
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()
        path.write_bytes(mutant.applied(source))
        try:
            yield
        finally:
            path.write_bytes(source)

    def close(self) -> None:
        """End the processes and remove the copy."""
        for server in (self._plain, self._loaded):
            if server is not None:
                server.close()
        self._folder.cleanup()
