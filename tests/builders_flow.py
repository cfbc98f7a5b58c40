"""`fleet` as its users run it: a process with a home, a store and scripted machines of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from tests import in_process, processes

DEADLINE_S = 600.0
"""For what hangs only: a machine that does other things besides may be slow for minutes."""
POLL_S = 0.02
KEPT = ("PATH", "LANG", "PYTHONPATH", processes.MARK)
"""What a command takes over from the environment of its test."""
READING = frozenset(
    "advise answers compare config energy fit machines metrics plan results show sql status".split()
)
"""Commands that need no process of their own: they read, print and end."""

JOB = {
    "name": "exact",
    "api": "generate",
    "requests": 1,
    "points": [
        {"prompt_tokens": 512, "output_tokens": 1},
        {"prompt_tokens": 16, "output_tokens": 128},
    ],
}
REQUESTS_PER_TRIAL = 8
"""Of JOB: the engine's own tokens are counted four times, then a warm-up and a request for each
point."""


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def model(**changes: Any) -> dict[str, Any]:
    plain = {"prefill_tokens_per_s": 20_000, "decode_tokens_per_s": 2_000, "load_s": 0.01}
    return {**plain, **changes}


def machine(*faults: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """One scripted machine; a trial of JOB takes it a fifth of a second."""
    plain = {
        "chip": "Apple M3 Ultra",
        "memory_gb": 96,
        "gpu_memory_mb": 73_728,
        "noise_percent": 1,
        "models": {"tiny": model()},
        "faults": list(faults),
    }
    return {**plain, **changes}


def experiment(machines: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "version": 1,
        "name": "demo",
        "models": ["tiny"],
        "jobs": ["exact"],
        "settings": {"num_ctx": 1024},
        "repeats": 2,
        "canary": "off",
        "engine": {"kind": "simulated", "machines": dict(machines)},
    }
    return {**plain, **changes}


class Fleet:
    """A folder with configs, jobs and a store; nothing in it is shared with anyone else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self._started: list[Running] = []
        for each in (folder / "home", folder / "tmp", folder / "jobs", folder / "configs"):
            each.mkdir(parents=True, exist_ok=True)
        (folder / "jobs" / "exact.yaml").write_text(json.dumps(JOB))

    def write(self, content: Mapping[str, Any], name: str = "demo") -> str:
        """The experiment's file, as the command line takes it. JSON is YAML too."""
        (self.folder / "configs" / f"{name}.yaml").write_text(json.dumps(content))
        return f"configs/{name}.yaml"

    def copied_to(self, folder: Path) -> Fleet:
        shutil.copytree(self.folder, folder, symlinks=True, dirs_exist_ok=True)
        return Fleet(folder)

    def environment(self, **changes: str) -> dict[str, str]:
        """Machines of one name in two tests do not wait for each other: each has its own locks."""
        kept = {key: os.environ[key] for key in KEPT if key in os.environ}
        own = {
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "FLEET_LOCKS": str(self.folder / "locks"),
            "FLEET_HOME": str(self.store),
        }
        return {**kept, **own, **changes}

    def start(
        self, *words: str, env: Mapping[str, str] | None = None, before: Sequence[str] = ()
    ) -> Running:
        """`before` is a command line that runs the rest of its own line."""
        path = self.folder / f"stderr-{len(self._started)}"
        with path.open("w") as err:
            process = subprocess.Popen(
                [*before, sys.executable, "-m", "fleet", *words],
                cwd=self.folder,
                env=self.environment(**(env or {})),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
                text=True,
                start_new_session=True,
                # whatever runs behind a shell ignores SIGINT, and so would all it starts
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        self._started.append(Running(process, path))
        return self._started[-1]

    def __call__(
        self,
        *words: str,
        code: int | None = 0,
        env: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
    ) -> Done:
        """Runs one command to its end, which must be the exit code given, and no traceback."""
        environment = self.environment(**(env or {}))
        if words[0] in READING and not before and in_process.suits(environment):
            done = Done(*in_process.run(words, environment, self.folder))
        else:
            done = self.start(*words, env=env, before=before).end()
        assert "Traceback" not in done.err, done.err
        assert code in (None, done.code), f"{words}: {done.code}\n{done.out}\n{done.err}"
        return done

    def parquet(self) -> list[str]:
        """Names of the files that hold rows."""
        files = (self.store / "results" / "current").glob("*/*.parquet")
        return sorted(f"{f.parent.name}/{f.name}" for f in files if f.stem != "_schema")

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Asked by a bare DuckDB started in the results folder, with nothing of ours but views."""
        before = Path.cwd()
        os.chdir(self.store / "results")
        try:
            with duckdb.connect() as con:
                con.execute(Path("views.sql").read_text())
                answer = con.execute(query)
                names = [column[0] for column in answer.description or ()]
                return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
        finally:
            os.chdir(before)

    def clear(self) -> None:
        """Ends what a test that failed has left running."""
        for each in self._started:
            if each.process.poll() is None:
                each.process.kill()
                each.end()
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def spooled(self) -> list[Path]:
        return sorted((self.store / "spool").glob("*/*.json"))

    def processes(self, part: str = "") -> list[int]:
        """Living processes of this fleet, told by the home in their environment."""
        mark = f"HOME={self.folder / 'home'}".encode()
        own = (pid for pid in processes.living() if _holds(pid, "environ", mark))
        return [pid for pid in own if (line := processes.command(pid)) and part in line]


class Running:
    """One command while it runs; its standard error is read from a file, so it never blocks."""

    def __init__(self, process: subprocess.Popen[str], err: Path) -> None:
        self.process = process
        self._err = err

    @property
    def err(self) -> str:
        return self._err.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        until(lambda: self.err.count(text) >= times or self.process.poll() is not None)
        assert self.err.count(text) >= times, self.err

    def interrupt(self) -> None:
        """What Ctrl-C on a terminal does: the whole foreground group is told."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> Done:
        out, _ = self.process.communicate(timeout=DEADLINE_S)
        return Done(self.process.returncode, out, self.err)


def until(true: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    """Looks again and again; fails where it does not become true in time."""
    end = time.monotonic() + deadline_s
    while not true():
        assert time.monotonic() < end, f"not within {deadline_s:.0f} s"
        time.sleep(POLL_S)


def _holds(pid: int, file: str, text: bytes) -> bool:
    try:
        return text in Path(f"/proc/{pid}/{file}").read_bytes().split(b"\0")
    except OSError:
        return False


def names(rows: Sequence[Mapping[str, Any]], key: str) -> set[Any]:
    return {row[key] for row in rows}
