"""Writes a program that stands for an Ollama which is slower by a factor than a real one.

It starts the real one and passes everything on. Of an answer it delays each chunk, and lengthens
the durations in the final record to match, so that what a client sees and what the server counts
agree, as with a version that is slower.
"""

from __future__ import annotations

import sys
from pathlib import Path

PROGRAM = '''\
#!{python} -I
"""{comment}"""
import http.client, http.server, json, os, queue, signal, socket, subprocess, sys, threading, time

REAL, FACTOR = {real!r}, {factor!r}
if sys.argv[1:] != ["serve"]:
    os.execv(REAL, [REAL, *sys.argv[1:]])
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
own_host, own_port = os.environ["OLLAMA_HOST"].rsplit(":", 1)
real = subprocess.Popen([REAL, "serve"], env=os.environ | {{"OLLAMA_HOST": f"127.0.0.1:{{port}}"}})


def end(*_):
    real.terminate()
    os._exit(real.wait() and 0)


def longer(record):
    for name in ("prompt_eval_duration", "eval_duration"):
        if name in record:
            more = round(record[name] * (FACTOR - 1))
            record[name] += more
            record["total_duration"] += more
    return record


def receive(reply, arrived):
    """Note when each line arrives, whatever the other side of the proxy does meanwhile."""
    for line in reply:
        arrived.put((line, time.monotonic()))
    arrived.put(None)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        there = http.client.HTTPConnection("127.0.0.1", port)
        began = time.monotonic()
        try:
            there.request(self.command, self.path, self.rfile.read(length))
            reply = there.getresponse()
        except OSError:  # the real one is not ready yet
            self.close_connection = True
            return
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.headers.get("Content-Type", ""))
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        slow = FACTOR > 1 and self.path in ("/api/generate", "/api/chat")
        arrived = queue.SimpleQueue()
        threading.Thread(target=receive, args=(reply, arrived)).start()
        while (chunk := arrived.get()) is not None:
            line, at = chunk
            if slow:
                time.sleep(max(0.0, began + FACTOR * (at - began) - time.monotonic()))
            if slow and b'"done":true' in line:
                line = json.dumps(longer(json.loads(line)), separators=(",", ":")).encode() + b"\\n"
            self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(line), line))
            self.wfile.flush()
        self.wfile.write(b"0\\r\\n\\r\\n")

    do_GET = do_POST = do_DELETE = do_HEAD = answer

    def log_message(self, *_):
        pass


signal.signal(signal.SIGTERM, end)
http.server.ThreadingHTTPServer((own_host, int(own_port)), Handler).serve_forever()
'''


def write_slowed(path: Path, real: Path, factor: float, comment: str) -> Path:
    """Write the program; `comment` tells two of them apart that are equally slow."""
    path.write_text(
        PROGRAM.format(python=sys.executable, real=str(real), factor=factor, comment=comment)
    )
    path.chmod(0o755)
    return path
