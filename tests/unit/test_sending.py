"""A request on its way to a head: registered before anything is promised, or refused with why."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fleet.app import target
from fleet.app.options import REGISTERED, Options
from fleet.app.target import Target, send
from fleet.dispatch.access import make_token
from fleet.errors import FleetUnreachable, UserError
from tests import builders


@dataclass
class Head:
    """Ray's Jobs interface with one job; `logs` and `states` are told look by look."""

    logs: list[str]
    states: list[str] = field(default_factory=lambda: ["RUNNING"])
    exit_code: int | None = None
    environment: dict[str, str] = field(default_factory=dict)
    stopped: bool = False
    port: int = 0

    def answer(self, method: str, path: str, body: bytes) -> dict[str, object]:
        if path.endswith("/stop"):
            self.stopped = True
            return {"stopped": True}
        if method == "POST":
            asked = json.loads(body)
            self.environment = asked["runtime_env"]["env_vars"]
            return {"submission_id": asked["submission_id"]}
        if path.endswith("/logs"):
            return {"logs": _next(self.logs)}
        return {"status": _next(self.states), "driver_exit_code": self.exit_code, "message": "gone"}


def _next(told: list[str]) -> str:
    return told.pop(0) if len(told) > 1 else told[0]


Serve = Callable[[Head], Head]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv("FLEET_STATE", str(tmp_path))
    monkeypatch.setattr(target, "POLL_S", 0.0)
    make_token(tmp_path)
    servers: list[ThreadingHTTPServer] = []

    def start(head: Head) -> Head:
        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                told = head.answer(self.command, self.path, self.rfile.read(length))
                body = json.dumps(told).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _answer  # noqa: N815

            def log_message(self, *_: object) -> None: ...

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        head.port = servers[-1].server_address[1]
        threading.Thread(target=servers[-1].serve_forever, args=(0.05,), daemon=True).start()
        return head

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def sent(head: Head, tmp_path: Path, *, detach: bool) -> tuple[int, list[str]]:
    said: list[str] = []
    options = Options(home=tmp_path / "home", command="fleet submit x", submitter="me@laptop")
    target = Target(None, head.port)
    return send(builders.request(), options, target, detach=detach, say=said.append), said


IN_QUEUE = f"results, ledger and spool: /x\n{REGISTERED.format(name='demo')}\n"


def status(tmp_path: Path) -> str:
    return f"fleet status demo --home {tmp_path / 'home'}"


def test_detach_returns_once_the_ledger_of_the_head_holds_it(serve: Serve, tmp_path: Path) -> None:
    head = serve(Head(logs=["", "2026 INFO job_manager.py:1 -- up\n", IN_QUEUE]))
    code, said = sent(head, tmp_path, detach=True)
    assert (code, head.logs) == (0, [IN_QUEUE]), "it looked until it was there"
    assert said == [f"demo is in the queue of the head, which works on alone: {status(tmp_path)}"]
    asked = json.loads(head.environment["FLEET_OPTIONS"])
    assert (asked["command"], asked["submitter"]) == ("fleet submit x", "me@laptop")
    assert head.environment["FLEET_JOB"].startswith("demo-")


def test_what_the_coordinator_refuses_is_no_success(serve: Serve, tmp_path: Path) -> None:
    words = "demo is being measured already\n  fleet cancel demo"
    head = serve(Head(logs=[words + "\n"], states=["RUNNING", "FAILED"], exit_code=2))
    with pytest.raises(UserError) as caught:
        sent(head, tmp_path, detach=True)
    assert str(caught.value) == words


def test_a_coordinator_that_ends_without_a_word_promised_nothing(
    serve: Serve, tmp_path: Path
) -> None:
    head = serve(Head(logs=[""], states=["PENDING", "FAILED"], exit_code=137))
    with pytest.raises(FleetUnreachable, match="the coordinator ended: gone"):
        sent(head, tmp_path, detach=True)


def test_one_that_does_not_start_in_time_is_ended(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "REGISTERED_S", 0.0)
    head = serve(Head(logs=[""], states=["PENDING"]))
    with pytest.raises(FleetUnreachable, match="did not start in 0 s and was stopped"):
        sent(head, tmp_path, detach=True)
    assert head.stopped, "what failed here does not go on there"


@pytest.mark.parametrize(
    ("exit_code", "code", "words"),
    [
        (1, 1, []),
        (2, 2, []),
        (130, 130, []),
        (137, 1, ["the coordinator ended without a message; stored results are kept: "]),
        (None, 1, ["the coordinator ended without a message; stored results are kept: "]),
    ],
)
def test_who_follows_gets_the_coordinators_exit_code(
    serve: Serve, tmp_path: Path, exit_code: int | None, code: int, words: list[str]
) -> None:
    head = serve(Head(logs=[IN_QUEUE], states=["FAILED"], exit_code=exit_code))
    told = [f"{line}{status(tmp_path)}" for line in words]
    assert sent(head, tmp_path, detach=False) == (code, told)
