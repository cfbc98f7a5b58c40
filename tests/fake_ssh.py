"""ssh between the machines of tests/namespaces.py, in two halves without any cipher.

`python fake_ssh.py serve IP` runs on a machine like its sshd. `client(folder)` writes a program
called `ssh` that knows what fleet says to the real one: `-N -L ADDRESS:PORT:HOST:PORT DESTINATION`
and `DESTINATION COMMAND`. Destinations are host names, `user@` before them is ignored.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

PORT = 2222
WITH_VALUE = ("-o", "-p", "-i", "-l", "-F", "-L")


def client(folder: Path) -> Path:
    """A folder to put first on PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "ssh"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).resolve()} "$@"\n')
    program.chmod(0o755)
    return folder


class Session(socketserver.StreamRequestHandler):
    """One line of JSON says what is wanted: {"run": COMMAND} or {"forward": [HOST, PORT]}."""

    rbufsize = 0  # what follows the line belongs to the forwarded connection

    def handle(self) -> None:
        wanted = json.loads(self.rfile.readline())
        if "forward" in wanted:
            with socket.create_connection(tuple(wanted["forward"])) as onward:
                _both_ways(self.connection, onward)
            return
        done = subprocess.run(["sh", "-c", wanted["run"]], capture_output=True, text=True)
        told = {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
        self.wfile.write(json.dumps(told).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def _both_ways(one: socket.socket, other: socket.socket) -> None:
    back = threading.Thread(target=_copy, args=(other, one), daemon=True)
    back.start()
    _copy(one, other)
    back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


def _dial(destination: str) -> socket.socket:
    try:
        return socket.create_connection((destination.rpartition("@")[2], PORT), timeout=10)
    except OSError as problem:
        print(f"ssh: connect to host {destination}: {problem}", file=sys.stderr)
        raise SystemExit(255) from None


def _run(destination: str, command: str) -> int:
    with _dial(destination) as connection, connection.makefile("rwb") as stream:
        connection.settimeout(None)
        stream.write(json.dumps({"run": command}).encode() + b"\n")
        stream.flush()
        told = json.loads(stream.readline())
    print(told["stdout"], end="", flush=True)
    print(told["stderr"], end="", file=sys.stderr)
    return int(told["code"])


def _forward(destination: str, rule: str) -> int:
    address, port, host, remote = rule.split(":")
    _dial(destination).close()

    class Forward(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with _dial(destination) as onward:
                onward.settimeout(None)
                onward.sendall(json.dumps({"forward": [host, int(remote)]}).encode() + b"\n")
                _both_ways(self.request, onward)

    with Server((address, int(port)), Forward) as server:
        server.serve_forever()
    return 0


def _as_client(arguments: list[str]) -> int:
    rule, rest = "", list(arguments)
    while rest and rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag == "--":
            break
        value = rest.pop(0) if flag in WITH_VALUE else ""
        rule = value if flag == "-L" else rule
    destination, command = rest[0], " ".join(rest[1:])
    return _forward(destination, rule) if rule else _run(destination, command)


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    if sys.argv[1] == "serve":
        with Server((sys.argv[2], PORT), Session) as server:
            server.serve_forever()
        return 0
    return _as_client(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
