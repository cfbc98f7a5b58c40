"""A small Ollama on a port of its own, whose every answer a test can change.

It keeps its models and what is loaded, counts a prompt's words as its tokens and takes the time
that it says it took. It finds a model as Ollama does: capital letters and `:latest` do not count.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DROP = object()
"""As a value: the field is left out."""
TOKEN_S = 0.001
PROMPT_TOKEN_S = 0.000_02
GB = 10**9

Fields = Mapping[str, Any]


@dataclass
class WireModel:
    """One model, and the fields in which its answers differ from those of a plain one."""

    tag: Fields = field(default_factory=dict)
    shown: Fields = field(default_factory=dict)
    in_memory: Fields = field(default_factory=dict)
    final: Fields = field(default_factory=dict)
    scale: Fields = field(default_factory=dict)
    """By counter of the final record, what it is multiplied with."""
    cached_share: float | None = None
    """Of each prompt, what came from the cache; None: the server does not say."""


def changed(plain: dict[str, Any], changes: Fields) -> dict[str, Any]:
    return {key: value for key, value in {**plain, **changes}.items() if value is not DROP}


class WireOllama(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, models: Mapping[str, WireModel], address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), _Handler)
        self.models = dict(models)
        self.pullable: dict[str, WireModel] = {}
        self.loaded: dict[str, int] = {}
        """Context length of each model in memory."""
        self.requests: list[str] = []
        self.version = "0.34.4"
        self.ps_fails = False
        """Whether what is in memory cannot be asked."""

    @property
    def host(self) -> str:
        return f"{self.server_address[0]!s}:{self.server_port}"

    def name_of(self, model: str) -> str | None:
        name = model.lower() if ":" in model else f"{model.lower()}:latest"
        return next((each for each in self.models if each.lower() == name), None)


@contextmanager
def wire_ollama(
    models: Mapping[str, WireModel], address: str = "127.0.0.1"
) -> Iterator[WireOllama]:
    with WireOllama(models, address) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _entry(name: str) -> dict[str, Any]:
    details = {"format": "gguf", "family": "llama", "quantization_level": "Q4_K_M"}
    return {"name": name, "model": name, "digest": "d" * 64, "details": details, "size": GB}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: WireOllama

    def log_message(self, *words: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        if self.path == "/api/ps" and self.server.ps_fails:
            self._send_json({"models": "none of your business"}, 500)
            return
        self._send_json(
            {"/api/version": self._version, "/api/tags": self._tags, "/api/ps": self._ps}[
                self.path
            ]()
        )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self.server.requests.append(self.path)
        name = self.server.name_of(str(body["model"]))
        if self.path == "/api/pull":
            self._pull(str(body["model"]))
        elif name is None:
            self._send_json({"error": f"model '{body['model']}' not found"}, 404)
        elif self.path == "/api/show":
            self._send_json(self._shown(name))
        else:
            self._generate(name, body)

    def _version(self) -> dict[str, Any]:
        return {"version": self.server.version}

    def _tags(self) -> dict[str, Any]:
        return {"models": [changed(_entry(n), m.tag) for n, m in self.server.models.items()]}

    def _ps(self) -> dict[str, Any]:
        models = []
        for name, context in self.server.loaded.items():
            plain = {"size_vram": GB, "context_length": context, "expires_at": _later()}
            entry = _entry(name) | plain
            models.append(changed(entry, self.server.models[name].in_memory))
        return {"models": models}

    def _shown(self, name: str) -> dict[str, Any]:
        info = {"general.architecture": "llama", "llama.context_length": 131_072}
        tensors = [{"name": "output.weight", "type": "F16", "shape": [1000, 1000]}]
        plain = {"model_info": info, "tensors": tensors, "capabilities": ["completion"]}
        return changed(plain, self.server.models[name].shown)

    def _pull(self, name: str) -> None:
        model = self.server.pullable.get(name)
        if model is None:
            self._send_json({"error": "pull model manifest: file does not exist"}, 500)
            return
        self.server.models[f"{name}:latest"] = model
        self._send_json({"status": "success"})

    def _generate(self, name: str, body: Fields) -> None:
        options, chat = body.get("options") or {}, self.path == "/api/chat"
        words = json.dumps(body.get("messages")) if chat else str(body.get("prompt") or "")
        if not chat and not words:
            self._load_or_unload(name, body)
            return
        self.server.loaded[name] = options["num_ctx"]
        prompt_tokens, tokens = len(words.split()), options["num_predict"]
        began = time.monotonic_ns()
        time.sleep(prompt_tokens * PROMPT_TOKEN_S)
        first = time.monotonic_ns()
        self._begin()
        for number in range(tokens):
            time.sleep(TOKEN_S if number else 0)
            text = f" w{number}"
            holder = {"message": {"content": text}} if chat else {"response": text}
            self._line({"created_at": _now(), "done": False, **holder})
        ended = time.monotonic_ns()
        plain = {
            "created_at": _now(),
            "done": True,
            "done_reason": "length",
            "total_duration": ended - began,
            "load_duration": 1_000_000,
            "prompt_eval_count": prompt_tokens,
            "prompt_eval_duration": first - began,
            "eval_count": tokens,
            "eval_duration": ended - first,
        }
        model = self.server.models[name]
        if model.cached_share is not None:
            plain["prompt_eval_cached_count"] = int(prompt_tokens * model.cached_share)
        scaled = {key: int(plain[key] * share) for key, share in model.scale.items()}  # type: ignore[call-overload]
        self._line(changed({**plain, **scaled}, model.final))
        self.wfile.write(b"0\r\n\r\n")

    def _load_or_unload(self, name: str, body: Fields) -> None:
        if body.get("keep_alive") == 0:
            self.server.loaded.pop(name, None)
        else:
            self.server.loaded[name] = body["options"]["num_ctx"]
        self._send_json({"done": True, "done_reason": "load"})

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _line(self, record: Fields) -> None:
        line = json.dumps(record).encode() + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))

    def _send_json(self, content: Fields, status: int = 200) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _later() -> str:
    """Half an hour from now, as for a model that was just used."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 1800))
