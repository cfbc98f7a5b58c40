"""An engine that answers with malice: one failed trial with its reason, and the next goes on."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import pytest

from fleet.engines.ollama import stream
from fleet.errors import EngineUnreachable, TransientError
from fleet.runner.trial import run_trial
from fleet.units import MIB
from tests.faults import hostile_answers
from tests.faults.hostile_answers import SHORT, attempt_of, ports_of
from tests.hostile_ollama import (
    FINAL,
    MODEL,
    HostileOllama,
    Pieces,
    answer_lines,
    hostile_ollama,
    of_generate,
    plain,
    record,
)

TRIALS = 60
GENERATE = attempt_of(0)
PEAK_BYTES = 5 * stream.LARGEST_ANSWER_BYTES


@pytest.fixture
def server() -> Iterator[HostileOllama]:
    with hostile_ollama() as server:
        yield server


def test_no_damaged_answer_crashes_a_trial_or_stays_in_the_spool(tmp_path: Path) -> None:
    outcomes, unsound = hostile_answers.run(TRIALS, 3, tmp_path)
    assert unsound == []
    assert sum(outcomes.values()) == TRIALS
    assert outcomes["ok"] < TRIALS / 2, "the answers were damaged"


def in_answers(damaged: Callable[[], Pieces]) -> Callable[[bytes], Pieces]:
    """Spoil the timed answers alone, and let the loads through."""
    return lambda body: damaged() if b"eval_count" in body else plain(body)


def endless() -> Pieces:
    yield from plain(b"")
    yield from repeat(record(response=" w" * 20_000, done=False))


def one_endless_line() -> Pieces:
    yield from plain(b'{"response": "')
    yield from repeat(b"w" * 2**20)


def tiny_pieces() -> Pieces:
    yield from plain(b'{"response": "')
    yield from repeat(b"w" * 4096)


def drip() -> Pieces:
    """A token more whenever the client is about to lose its patience."""

    yield from plain(b"")
    for _ in repeat(None):
        time.sleep(SHORT.silence_s / 4)
        yield record(response=" w", done=False)


@pytest.mark.parametrize("how", [endless, one_endless_line, tiny_pieces])
def test_an_answer_without_an_end_is_left_and_bounded(
    server: HostileOllama, how: Callable[[], Pieces], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "LARGEST_ANSWER_BYTES", 16 * MIB)
    server.damage = {"/api/generate": in_answers(how)}
    patient = replace(SHORT, whole_s=600.0, silence_s=60.0)
    tracemalloc.start()
    result = run_trial(GENERATE, ports_of(server, patient))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (result.outcome, result.reason) == ("failed", "stream_broken")
    assert peak < PEAK_BYTES // 4
    server.damage = {}
    assert run_trial(attempt_of(2), ports_of(server)).outcome == "ok"


def test_an_answer_that_drips_for_ever_ends_by_its_longest_time(server: HostileOllama) -> None:
    server.damage = {"/api/generate": in_answers(drip)}
    result = run_trial(GENERATE, ports_of(server, replace(SHORT, first_byte_s=0.3)))
    assert (result.outcome, result.reason) == ("failed", "stream_broken")
    assert result.detail == "the answer did not end within 0 s"


@pytest.mark.parametrize("path", ["/api/version", "/api/tags"])
def test_a_small_answer_that_drips_is_no_answer(server: HostileOllama, path: str) -> None:
    server.damage = {path: lambda _: drip()}
    patience = replace(SHORT, answer_s=0.3, connect_s=0.3)
    engine = ports_of(server, patience).engine
    with pytest.raises(EngineUnreachable, match="no whole answer came within 1 s"):
        engine.facts() if path == "/api/version" else engine.models()


def test_a_line_of_a_pull_without_an_end_ends_the_pull(server: HostileOllama) -> None:
    server.damage = {
        "/api/tags": lambda _: plain(record(models=[])),
        "/api/pull": lambda _: one_endless_line(),
    }
    with pytest.raises(TransientError, match="a line of more than 1 MiB"):
        ports_of(server).engine.pull(MODEL, print, ports_of(server).stop)


def test_a_long_line_in_small_pieces_is_joined_once() -> None:
    """Each piece of a line that is joined anew would copy 300 GB here."""
    arrivals = stream.Arrivals()
    line = json.dumps({"response": "w" * 7 * MIB}).encode()
    pieces = [line[at : at + 80] for at in range(0, len(line), 80)]
    assert arrivals.collect(pieces, iter(range(10**6)).__next__)
    assert list(arrivals.lines()) == [(len(pieces) - 1, line)]


def test_only_the_beginning_of_a_line_without_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LONGEST_RECORD_BYTES", 300)
    arrivals = stream.Arrivals()
    arrivals.collect([b"[" * 200, b"[" * 200, b"\n{}\n"], iter(range(9)).__next__)
    assert list(arrivals.lines()) == [(1, b"[" * stream.SHOWN_BYTES)]


def test_a_doubled_final_record_counts_once(server: HostileOllama) -> None:
    def doubled() -> Pieces:
        return plain(answer_lines(of_generate) + record(**{**FINAL, "eval_count": 999}))

    server.damage = {"/api/generate": in_answers(doubled)}
    result = run_trial(GENERATE, ports_of(server))
    assert {each.reply.output_tokens for each in result.requests} == {FINAL["eval_count"]}
