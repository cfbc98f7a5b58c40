"""What the Ollama client makes of a server that misbehaves: a small one, written by hand."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from fleet.clock import SystemClock
from fleet.engines.ollama import Ollama, Patience
from fleet.errors import (
    EngineBusy,
    EngineUnreachable,
    Interrupted,
    ModelMissing,
    OutOfMemory,
    RequestRefused,
    TransientError,
)
from fleet.model.measure import Ask

Act = Callable[["_Handler"], None]
ASK = Ask(
    model="m",
    api="generate",
    prompt=" the of and",
    options={"num_ctx": 256, "num_predict": 4, "seed": 1},
)
FINAL = {
    "done": True,
    "done_reason": "length",
    "eval_count": 4,
    "created_at": "2026-11-23T22:08:17Z",
}
NEVER = threading.Event()
TAGS = {"models": [{"name": "m:latest", "model": "m:latest", "size": 9, "digest": "d" * 64}]}
HANGS_S = 600.0
SHORT = Patience(connect_s=2, answer_s=2, load_s=2, first_byte_s=0.4, silence_s=0.4, unload_s=0.2)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._act()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._act()

    def _act(self) -> None:
        self.server.asked.append(self.path)
        usual: Act = lambda handler: handler.answer({"version": "0.0.0"})  # noqa: E731
        self.server.acts.get(self.path, usual)(self)

    def answer(self, body: Any, status: int = 200) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, *records: Any, whole: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for record in records:
            line = json.dumps(record).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
        if whole:
            self.wfile.write(b"0\r\n\r\n")

    def die(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def wait(self) -> None:
        """Until the client went away."""
        self.connection.settimeout(5)
        self.rfile.read(1)
        self.server.left.set()
        self.close_connection = True

    def log_message(self, *words: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, acts: dict[str, Act]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.acts = acts
        self.asked: list[str] = []
        self.left = threading.Event()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def engine(self, patience: Patience | None = None) -> Ollama:
        return Ollama(self.base_url, clock=SystemClock(), patience=patience)


@contextmanager
def _serving(**acts: Act) -> Iterator[_Server]:
    with _Server({f"/api/{name}": act for name, act in acts.items()}) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _token(text: str = " a") -> dict[str, Any]:
    return {"response": text, "done": False, "created_at": "2026-11-23T22:08:17Z"}


def test_a_server_that_dies_in_mid_stream_keeps_what_had_arrived() -> None:
    def die(handler: _Handler) -> None:
        handler.stream(_token(), _token(), whole=False)
        handler.die()

    with _serving(generate=die) as server:
        reply = server.engine().ask(ASK, NEVER)
    assert reply.error_reason == "stream_broken"
    assert (reply.chunks, reply.output_tokens) == (2, None)
    assert reply.sent_ns <= (reply.last_chunk_ns or 0) <= reply.ended_ns


def test_a_server_that_dies_before_the_first_byte() -> None:
    with _serving(generate=_Handler.die) as server:
        reply = server.engine().ask(ASK, NEVER)
    assert (reply.error_reason, reply.first_chunk_ns) == ("stream_broken", None)


def test_a_stream_without_its_final_record() -> None:
    with _serving(generate=lambda handler: handler.stream(_token())) as server:
        assert server.engine().ask(ASK, NEVER).error_reason == "stream_broken"


def test_an_error_before_the_stream_is_a_reply_too() -> None:
    busy = {"error": "server busy, please try again.  maximum pending requests exceeded"}
    with _serving(generate=lambda handler: handler.answer(busy, 503)) as server:
        reply = server.engine().ask(ASK, NEVER)
        assert (reply.error_reason, reply.chunks) == ("engine_busy", 0)
        assert "maximum pending" in (reply.error or "")
        with pytest.raises(EngineBusy):
            server.engine().load("m", {})


def test_silence_in_mid_answer_ends_it() -> None:
    def stall(handler: _Handler) -> None:
        handler.stream(_token(), whole=False)
        handler.wait()

    with _serving(generate=stall) as server:
        before = time.monotonic()
        reply = server.engine(replace(SHORT, first_byte_s=2 * HANGS_S)).ask(ASK, NEVER)
        assert SHORT.silence_s <= time.monotonic() - before < HANGS_S
        assert (reply.error_reason, reply.chunks) == ("stream_broken", 1)
        assert "nothing came" in (reply.error or "")
        assert server.left.wait(HANGS_S), "the connection was left open"


def test_silence_before_the_first_byte_ends_it() -> None:
    with _serving(generate=_Handler.wait) as server:
        reply = server.engine(SHORT).ask(ASK, NEVER)
    assert reply.error_reason == "stream_broken"
    assert "nothing came" in (reply.error or "")


@pytest.mark.parametrize("begun", [False, True], ids=["in prefill", "in mid-answer"])
def test_stop_cuts_a_silent_answer(begun: bool) -> None:
    """In the prefill nothing arrives for minutes: the stop cannot wait for the next chunk."""
    reached, stop = threading.Event(), threading.Event()

    def stall(handler: _Handler) -> None:
        if begun:
            handler.stream(_token(), whole=False)
        reached.set()
        handler.wait()

    def stop_when_reached() -> None:
        reached.wait(HANGS_S)
        stop.set()

    with _serving(generate=stall) as server:
        stopper = threading.Thread(target=stop_when_reached)
        stopper.start()
        with pytest.raises(Interrupted):
            server.engine().ask(ASK, stop)
        stopper.join()
        assert server.left.wait(HANGS_S), "the server still generates"


def test_a_stop_set_when_all_has_arrived_loses_nothing() -> None:
    stop = threading.Event()

    class StopAtTheFinalRecord(SystemClock):
        calls = 0

        def monotonic_ns(self) -> int:
            self.calls += 1
            if self.calls == 3:  # after the sending and the token
                stop.set()
            return super().monotonic_ns()

    with _serving(generate=lambda handler: handler.stream(_token(), FINAL)) as server:
        engine = Ollama(server.base_url, clock=StopAtTheFinalRecord())
        assert engine.ask(ASK, stop).output_tokens == 4
    assert stop.is_set()


def test_a_redirect_is_not_followed_and_not_asked_again() -> None:
    with _serving(generate=lambda handler: handler.answer(b"", 307)) as server:
        assert server.engine().ask(ASK, NEVER).error_reason == "request_refused"
        assert server.asked == ["/api/version", "/api/generate"]


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with _serving(
        generate=lambda handler: handler.stream(_token(), FINAL),
        tags=lambda handler: handler.answer(TAGS),
    ) as server:
        assert server.engine().ask(ASK, NEVER).error is None
        assert len(server.engine().models()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9"),
        ("no_proxy", "localhost,fe80::/10"),
        ("SSL_CERT_FILE", "/nonexistent.pem"),
        ("SSL_CERT_DIR", "/nonexistent"),
        ("SSLKEYLOGFILE", "/nonexistent/keys"),
        ("NETRC", "/nonexistent"),
    ],
)
def test_no_variable_of_the_environment_has_a_say(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with _serving(
        tags=lambda handler: handler.answer(TAGS),
        ps=lambda handler: handler.answer({"models": None}),
        pull=lambda handler: handler.stream({"status": "success"}),
        show=lambda handler: handler.answer({}),
        generate=lambda handler: handler.stream(_token(), FINAL),
    ) as server:
        engine = server.engine()
        assert (engine.facts().version, engine.resident()) == ("0.0.0", [])
        assert engine.pull("m", print, NEVER).name == "m:latest"
        assert engine.ask(ASK, NEVER).error is None
    encrypted = Ollama("https://127.0.0.1:9", clock=SystemClock())
    with pytest.raises(EngineUnreachable, match=r"https://127\.0\.0\.1:9"):
        encrypted.facts()


def test_something_else_at_the_address() -> None:
    def page(handler: _Handler) -> None:
        handler.answer(b"<html>router</html>")

    with _serving(version=page, tags=page) as server:
        for call in (server.engine().facts, server.engine().models):
            with pytest.raises(EngineUnreachable, match="OLLAMA_HOST"):
                call()


def test_the_version_is_told_as_found() -> None:
    with _serving() as server:
        assert server.engine().facts().version == "0.0.0"


def test_a_model_of_the_cloud_is_refused() -> None:
    remote = {"remote_model": "m", "remote_host": "https://ollama.com", "done": True}
    with _serving(
        show=lambda handler: handler.answer(remote),
        tags=lambda handler: handler.answer(TAGS),
        generate=lambda handler: handler.answer(remote),
    ) as server:
        with pytest.raises(RequestRefused, match="cloud"):
            server.engine().describe("m")
        with pytest.raises(RequestRefused, match="cloud"):
            server.engine().load("m", {})
        assert server.engine().ask(ASK, NEVER).error_reason == "request_refused"


def test_no_memory_for_the_load() -> None:
    full = {"error": "model requires more system memory (60.0 GiB) than is available (8.0 GiB)"}
    with (
        _serving(generate=lambda handler: handler.answer(full, 500)) as server,
        pytest.raises(OutOfMemory, match="num_ctx"),
    ):
        server.engine().load("m", {})


def test_a_model_that_stays_in_memory_is_told() -> None:
    loaded = {"models": [{"model": "m:latest", "name": "m:latest", "size": 9, "size_vram": 9}]}
    with (
        _serving(ps=lambda handler: handler.answer(loaded)) as server,
        pytest.raises(EngineBusy, match="still in memory"),
    ):
        server.engine(SHORT).unload("m")


def _pulling(handler: _Handler) -> None:
    layers = [
        {"status": "pulling 1234", "total": 4 * 2**20, "completed": done * 2**20}
        for done in range(5)
    ]
    handler.server.acts["/api/tags"] = lambda later: later.answer(TAGS)
    handler.stream({"status": "pulling manifest"}, *layers, {"status": "success"})


def test_a_pull_tells_its_progress_and_reads_the_digest_back() -> None:
    said: list[str] = []
    with _serving(
        tags=lambda handler: handler.answer({"models": []}),
        pull=_pulling,
        show=lambda handler: handler.answer({"model_info": {"general.architecture": "gptoss"}}),
    ) as server:
        facts = server.engine().pull("m", said.append, NEVER)
        assert (facts.digest, facts.architecture) == ("d" * 64, "gpt-oss")
        assert said == ["pulling m: 0 % of 4.0 MiB"]  # five lines within one second
        server.engine().pull("m", said.append, NEVER)
        assert server.asked.count("/api/pull") == 1


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ({"error": "pull model manifest: file does not exist"}, ModelMissing),
        ({"error": "dial tcp: lookup registry.ollama.ai: no such host"}, TransientError),
        ({"status": "verifying sha256 digest"}, TransientError),
    ],
)
def test_a_pull_that_fails(line: dict[str, str], kind: type[Exception]) -> None:
    with (
        _serving(
            tags=lambda handler: handler.answer({"models": []}),
            pull=lambda handler: handler.stream({"status": "pulling manifest"}, line),
        ) as server,
        pytest.raises(kind, match="pulling m"),
    ):
        server.engine().pull("m", print, NEVER)


def test_a_stop_ends_a_silent_pull() -> None:
    stop = threading.Event()

    def stall(handler: _Handler) -> None:
        handler.stream({"status": "pulling manifest"}, whole=False)
        stop.set()
        handler.wait()

    with (
        _serving(tags=lambda handler: handler.answer({"models": []}), pull=stall) as server,
        pytest.raises(Interrupted),
    ):
        server.engine().pull("m", print, stop)


def test_a_pull_that_falls_silent_is_told() -> None:
    def stall(handler: _Handler) -> None:
        handler.stream({"status": "pulling manifest"}, whole=False)
        handler.wait()

    with (
        _serving(tags=lambda handler: handler.answer({"models": []}), pull=stall) as server,
        pytest.raises(TransientError, match="nothing came for"),
    ):
        server.engine(replace(SHORT, first_byte_s=5)).pull("m", print, NEVER)


def test_many_at_once_do_not_share_a_connection() -> None:
    with _serving(generate=lambda handler: handler.stream(_token(), FINAL)) as server:
        engine, replies = server.engine(), []
        threads = [
            threading.Thread(target=lambda: replies.append(engine.ask(ASK, NEVER)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [reply.error for reply in replies] == [None] * 4
