"""What is typed as an endpoint and is none ends before anything is measured."""

from __future__ import annotations

import http.server
import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.builders_flow import Fleet, experiment, machine
from tests.wire_ollama import WireModel, wire_ollama

URL = "http://127.0.0.1:9"
"""A port of this machine at which nothing listens."""


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """Something that listens and is no Ollama."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["box"], "'box' is not NAME=URL"),
        (["box=gpu-box:11434"], "is not NAME=URL"),
        ([f"={URL}"], "is not NAME=URL"),
        (["box=ftp://gpu-box"], "is not NAME=URL"),
        (["box=http://me:secret@gpu-box"], "holds a user or a password"),
        (["box=http://gpu box"], "a host with characters that no host name has"),
        (["box=http://gpu-box:99999"], "a port that is no number"),
        ([f"box\x1b[2J={URL}"], "cannot be printed"),
        ([f"box={URL}", "box=http://gpu-box:11434"], "box has two addresses"),
        ([f"box={URL}", f"mini={URL}"], "box and mini have one address"),
        (["me=http://127.0.0.1:11434"], "me is the address of this machine's own Ollama"),
    ],
)
def test_words_that_name_no_endpoint(fleet: Fleet, words: list[str], says: str) -> None:
    options = [part for word in words for part in ("--endpoint", word)]
    done = fleet("submit", "tiny", *options, code=2)
    assert says in done.err
    assert "secret" not in done.err
    assert "\x1b[2J" not in done.err


def test_scripted_machines_and_endpoints_are_not_mixed(fleet: Fleet) -> None:
    file = fleet.write(experiment({"a": machine()}))
    done = fleet("submit", file, "--endpoint", f"box={URL}", code=2)
    assert "the machines of this experiment are scripted" in done.err


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html></html>"), (401, b"who are you"), (302, b""), (200, b'{"hello": 1}')],
)
def test_what_answers_and_is_no_ollama_is_named(fleet: Fleet, status: int, body: bytes) -> None:
    with answering(status, body) as url:
        words = ("--endpoint", f"box={url}", "--only", "machine=box")
        done = fleet("submit", "tiny", *words, code=None)
    assert done.code in (2, 3)
    assert "box" in done.err
    assert not fleet.parquet()


def test_an_address_at_which_nothing_listens(fleet: Fleet) -> None:
    words = ("--endpoint", f"box={URL}", "--only", "machine=box")
    done = fleet("submit", "tiny", *words, code=3)
    assert f"box: no Ollama answers at {URL}" in done.err
    start = "start it with: OLLAMA_HOST=0.0.0.0 ollama serve, on box"
    assert f"{start}   (another address: --endpoint box=URL, or configs/fleet.yaml)" in done.err


def test_an_engine_in_the_process_leaves_declared_endpoints_out(fleet: Fleet) -> None:
    """What the command line names is refused; what the file declares for all is not."""
    machines = {"box": {"endpoint": URL}}
    fleet.write({"version": 1, "machines": machines}, "fleet")
    words = ("plan", "nosuch", "--engine", "embedded")
    done = fleet(*words)
    assert "box: left out, since an endpoint runs Ollama" in done.err
    assert "1 model x 2 jobs on 1 machine" in done.out
    refused = fleet(*words, "--endpoint", f"mini={URL}", code=2)
    assert "mini is an endpoint and runs Ollama" in refused.err


def test_a_trial_of_an_endpoint_is_measured_again_there(fleet: Fleet) -> None:
    words = ("--job", "exact", "--repeats", "1", "--gates", "record", "--only", "machine=box")
    with wire_ollama({"tiny:latest": WireModel()}) as server:
        endpoint = f"box=http://{server.host}"
        plan = fleet("plan", "tiny", *words, "--endpoint", endpoint).out
        fleet("submit", "tiny", *words, "--endpoint", endpoint)
        [trial] = fleet.rows("from trials")
        shown = fleet("show", trial["trial_id"]).out
        again = shown.rpartition("again:  fleet ")[2].strip()
        assert again.endswith(f"--endpoint {endpoint}")
        fleet(*shlex.split(again))
    assert len(fleet.rows("from trials")) == 2
    assert "1 trial, " in plan
    assert "1 trials" not in plan
    assert " 0 s" not in plan


def test_nothing_of_an_endpoint_is_set(fleet: Fleet) -> None:
    """Its owner's Ollama is neither restarted nor replaced by one of fleet's own."""
    with answering(200, b'{"version": "0.34.4", "models": []}') as url:
        words = ("--endpoint", f"box={url}", "--only", "machine=box")
        for setting, why in (
            ("flash_attention=true", "this engine takes no environment"),
            ("wired_limit_mb=8192", "only a Mac has a wired limit"),
        ):
            plan = fleet("plan", "tiny", "--set", setting, *words, code=2).out
            assert f"cannot be set on box: {why}" in plan
