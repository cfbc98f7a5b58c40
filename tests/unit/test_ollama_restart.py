"""Ollama restarted by a command of the user: what it did is seen, not believed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.clock import SystemClock
from fleet.commands import SystemCommands
from fleet.engines.ollama import Ollama
from fleet.engines.ollama import restart as room
from fleet.engines.ollama.restart import restart
from fleet.errors import EngineNotRestarted

SERVER = """
import http.server, os, pathlib, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{"version":"0.1.%d"}' % os.getpid()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer.allow_reuse_address = True
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
folder = pathlib.Path(sys.argv[2])
(folder / "port").write_text(str(server.server_address[1]))
(folder / "pid").write_text(str(os.getpid()))
server.serve_forever()
"""

AGAIN = """
import os, pathlib, signal, subprocess, sys, time
folder = pathlib.Path(sys.argv[1])
pid = int((folder / "pid").read_text())
os.kill(pid, signal.SIGKILL)
subprocess.Popen(
    [sys.executable, str(folder / "server.py"), (folder / "port").read_text(), str(folder)],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "server.py").write_text(SERVER)
    (tmp_path / "again.py").write_text(AGAIN)
    argv = [sys.executable, str(tmp_path / "server.py"), "0", str(tmp_path)]
    process = subprocess.Popen(argv)
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert process.poll() is None
    yield tmp_path
    for pid in {process.pid, int((tmp_path / "pid").read_text())}:
        subprocess.run(["kill", f"-{signal.SIGKILL.value}", str(pid)], capture_output=True)
    process.wait()


def told(folder: Path, *argv: str) -> str:
    """Version after the restart; it holds the server's process id."""
    url = f"http://127.0.0.1:{(folder / 'port').read_text()}"
    engine = Ollama(url, clock=SystemClock())
    assert restart(engine, argv, url, SystemCommands(), SystemClock()) is engine
    return engine.facts().version


def test_a_new_process_answers_when_it_returns(folder: Path) -> None:
    before = (folder / "pid").read_text()
    version = told(folder, sys.executable, str(folder / "again.py"), str(folder))
    assert version != f"0.1.{before}"
    assert version == f"0.1.{(folder / 'pid').read_text()}"


def test_a_command_that_does_nothing_is_found_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "ANSWERS_S", 0.3)
    with pytest.raises(EngineNotRestarted, match="is still the same process after true"):
        told(folder, "true")


def test_a_server_that_does_not_come_back_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "ANSWERS_S", 0.3)
    pid = (folder / "pid").read_text()
    with pytest.raises(EngineNotRestarted, match="does not answer after kill -9"):
        told(folder, "kill", "-9", pid)


def test_a_command_that_fails_is_told_with_its_words(folder: Path) -> None:
    with pytest.raises(EngineNotRestarted, match=r"exit code 7: no rights"):
        told(folder, "sh", "-c", "echo no rights >&2; exit 7")
    with pytest.raises(EngineNotRestarted, match="could not be started"):
        told(folder, "/no/such/program")
