"""The simulated server: threads, paths, and a way to start and stop it."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from fleet.engines.simulated import protocol
from fleet.engines.simulated.answer import answer
from fleet.engines.simulated.machine import ScriptedMachine
from fleet.engines.simulated.question import Question, Refusal, body_of, model_of, question_of
from fleet.engines.simulated.state import restore, state_of
from fleet.engines.simulated.wire import ClientGone, Wire
from fleet.model.machine import full_model_name
from fleet.model.script import MachineScript
from fleet.units import NS_PER_S

PULL_STEPS = 4
PULL_STEP_S = 0.06
"""How often the real server tells its progress."""
POLL_S = 0.05
LARGEST_BODY_BYTES = 64 * 2**20


class SimulatedServer:
    """One scripted machine's server on 127.0.0.1; `port` 0 takes a free one."""

    def __init__(self, script: MachineScript, *, seed: int = 0, port: int = 0) -> None:
        self._machine = ScriptedMachine(script, seed)
        self._listener = _Listener(("127.0.0.1", port), self._machine)
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=(POLL_S,), name="simulated", daemon=True
        )
        self.url = f"http://127.0.0.1:{self._listener.server_address[1]}"

    @property
    def requests_seen(self) -> int:
        """Generation requests so far; loads and unloads are none."""
        return self._machine.requests_seen

    @property
    def faults_done(self) -> Sequence[str]:
        """Kinds of the faults that really happened, in order."""
        return tuple(self._machine.faults_done)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End every answer that is being written."""
        self._listener.shutdown()
        self._listener.hang_up()
        self._listener.server_close()
        with contextlib.suppress(FileNotFoundError):  # who asked for the log has cleared up
            self._machine.write_log()
        self._thread.join()


@contextmanager
def serve(script: MachineScript, *, seed: int = 0, port: int = 0) -> Iterator[str]:
    """Run a server in this process; yields its base URL."""
    server = SimulatedServer(script, seed=seed, port=port)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


class _Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    # not http.server.HTTPServer: it asks the name service for its own name, which may hang
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], machine: ScriptedMachine) -> None:
        self.machine = machine
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def hang_up(self) -> None:
        for connection in tuple(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Report an error, but not that of a client that hangs up between two requests."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    def process_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: object) -> None:
        assert isinstance(request, socket.socket)
        self._connections.discard(request)
        super().shutdown_request(request)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener
    _arrived_ns = 0

    def parse_request(self) -> bool:
        """Note the arrival of a request at its first line; reading the rest takes its time."""
        self._arrived_ns = time.monotonic_ns()
        return super().parse_request()

    def do_GET(self) -> None:
        machine = self.server.machine
        paths: dict[str, Callable[[], object]] = {
            "/api/version": lambda: {"version": machine.script.engine_version},
            "/api/tags": lambda: {
                "models": [protocol.tag(name, model) for name, model in machine.models().items()]
            },
            "/api/ps": lambda: {
                "models": [
                    *(protocol.running(name, m) for name, m in machine.loaded().items()),
                    *protocol.resident(machine.residents.expire_unix_ns(time.monotonic_ns())),
                ]
            },
            "/simulated/state": lambda: state_of(machine),
        }
        if machine.meter is not None:
            paths["/simulated/power"] = machine.meter.read
        tell = paths.get(self.path)
        if tell is None:
            self._refuse_path()
        else:
            self._run(lambda wire: wire.json(tell()))

    def do_POST(self) -> None:
        paths: dict[str, Callable[[Wire], None]] = {
            "/api/generate": self._generate,
            "/api/chat": self._chat,
            "/api/show": self._show,
            "/api/pull": self._pull,
            "/simulated/state": self._restore,
        }
        work = paths.get(self.path)
        if work is None:
            self._refuse_path()
        else:
            self._run(work)

    def do_DELETE(self) -> None:
        if self.path == "/api/delete":
            self._run(self._delete)
        else:
            self._refuse_path()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the server's standard error is the user's terminal."""

    def _run(self, work: Callable[[Wire], None]) -> None:
        wire = Wire(self.connection)
        try:
            try:
                work(wire)
            except Refusal as refusal:
                wire.json({"error": refusal.text}, refusal.status)
        except ClientGone:
            self.close_connection = True

    def _refuse_path(self) -> None:
        self._content()
        self._run(lambda wire: wire.body(b"404 page not found", "text/plain", 404))

    def _content(self) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY_BYTES:
            self.close_connection = True
            raise Refusal(400, "http: request body too large")
        return self.rfile.read(length)

    def _generate(self, wire: Wire) -> None:
        question = question_of(body_of(self._content()), "generate")
        self.close_connection |= not self._answer(question, wire)

    def _chat(self, wire: Wire) -> None:
        question = question_of(body_of(self._content()), "chat")
        self.close_connection |= not self._answer(question, wire)

    def _answer(self, question: Question, wire: Wire) -> bool:
        return answer(self.server.machine, question, wire, self._arrived_ns)

    def _restore(self, wire: Wire) -> None:
        restore(self.server.machine, body_of(self._content()))
        wire.json({})

    def _show(self, wire: Wire) -> None:
        name = full_model_name(model_of(body_of(self._content())))
        wire.json(protocol.shown(name, self.server.machine.find(name)))

    def _delete(self, wire: Wire) -> None:
        self.server.machine.delete(model_of(body_of(self._content())))
        wire.body(b"", "application/json")

    def _pull(self, wire: Wire) -> None:
        """Progress lines as the real server has them; an unknown name is an error line."""
        body = body_of(self._content())
        name, machine = model_of(body), self.server.machine
        model = machine.known(name)
        if model is None:
            wire.begin_lines()
            wire.line(b'{"error":"pull model manifest: file does not exist"}\n')
            wire.end_lines()
            return
        digest = protocol.digest(full_model_name(name), model)
        size = model.size_bytes
        lines = [b'{"status":"pulling manifest"}\n']
        for step in range(1, PULL_STEPS + 1):
            counts = (
                f'"digest":"sha256:{digest}","total":{size},"completed":{size * step // PULL_STEPS}'
            )
            lines.append(f'{{"status":"pulling {digest[:12]}",{counts}}}\n'.encode())
        lines += [b'{"status":"verifying sha256 digest"}\n', b'{"status":"writing manifest"}\n']
        wire.begin_lines()
        for line in lines:
            wire.line(line)
            step_ns = PULL_STEP_S * machine.script.time_scale * NS_PER_S
            wire.wait_until(time.monotonic_ns() + round(step_ns))
        machine.add(name)
        wire.line(b'{"status":"success"}\n')
        wire.end_lines()
