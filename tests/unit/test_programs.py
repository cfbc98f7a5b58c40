"""Registered programs: what is allowed, what they are on the disk now, what a plan refuses."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.app import join
from fleet.engines.ollama.programs import look_at_program, look_at_programs
from fleet.errors import UserError
from fleet.model.machine import EngineProgram, Machine
from fleet.owner import allowed
from fleet.plan.expand import expand
from fleet.plan.refusals.limits import refused_settings
from fleet.plan.resume import remaining
from tests import builders_plan

OLD, NEW = (EngineProgram(version=v, sha256=v * 8) for v in ("0.32.15", "0.34.4"))


def script(folder: Path, text: str, mode: int = 0o755) -> Path:
    path = folder / "ollama"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(mode)
    return path


def test_a_program_tells_its_version_and_is_known_by_its_content(tmp_path: Path) -> None:
    path = script(tmp_path, 'echo "Warning: client version is 0.34.4-rc1" >&2')
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert look_at_program(path) == EngineProgram(version="0.34.4-rc1", sha256=sha256)
    assert look_at_programs({"a": str(path), "b": "/nowhere"})["b"].refusal


def test_it_is_asked_away_from_the_server_that_runs(tmp_path: Path) -> None:
    path = script(tmp_path, 'echo "ollama version is 1.2.3 $OLLAMA_HOST"')
    assert look_at_program(path).version == "1.2.3"
    path = script(tmp_path, 'test "$OLLAMA_HOST" = 127.0.0.1:1 && echo "version is 0.9.0"')
    assert look_at_program(path).version == "0.9.0"


@pytest.mark.parametrize(
    ("text", "mode", "refusal"),
    [
        ("echo version is 1.0.0", 0o644, "cannot be run by this user"),
        ("echo hello", 0o755, "names no version"),
        ("printf 'version is 1.0\\033[2J'", 0o755, ""),
    ],
)
def test_what_cannot_be_started_says_why(
    tmp_path: Path, text: str, mode: int, refusal: str
) -> None:
    program = look_at_program(script(tmp_path, text, mode))
    assert refusal in program.refusal
    assert bool(program.refusal) == bool(refusal)
    assert "\033" not in program.version


def test_a_permission_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "allowed.json"
    written = allowed.Allowed(programs={"v0.34": "/opt/ollama"})
    allowed.write(path, written)
    assert allowed.read(path) == written


@pytest.mark.parametrize("programs", [{"a b": "/x"}, {"a": "x"}, {"a": 1}, ["a"]])
def test_a_permission_that_is_damaged_allows_nothing(tmp_path: Path, programs: object) -> None:
    path = tmp_path / "allowed.json"
    path.write_text(json.dumps({"form": 1, "allow": [], "hours": None, "programs": programs}))
    with pytest.raises(UserError, match="damaged"):
        allowed.read(path)


def test_one_of_before_has_no_programs(tmp_path: Path) -> None:
    path = tmp_path / "allowed.json"
    path.write_text('{"form": 1, "allow": ["restart-ollama"], "hours": null}')
    assert allowed.read(path) == allowed.Allowed(kinds=frozenset({"restart-ollama"}))


@pytest.mark.parametrize(
    ("kinds", "words", "mistake"),
    [
        ([], ["a=/x"], "nothing allows to start it"),
        (["engine-binary"], [], "which Ollama, by which label"),
        (["engine-binary"], ["a b=/x"], "is no label"),
        (["engine-binary"], ["=/x"], "is no label"),
        (["engine-binary"], ["a=bin/ollama"], "does not begin at /"),
        (["engine-binary"], ["a=/nowhere/ollama"], "there is no file"),
    ],
)
def test_what_cannot_be_registered_is_refused(
    kinds: list[str], words: list[str], mistake: str
) -> None:
    with pytest.raises(UserError, match=mistake) as raised:
        join.allow(kinds, lambda _: None, programs=words)
    assert raised.value.hint


def test_a_head_and_programs_are_told_apart() -> None:
    assert join.head_and_programs(["a=/x", "10.0.0.1", "b=/y"]) == ("10.0.0.1", ["a=/x", "b=/y"])
    assert join.head_and_programs([]) == (None, [])
    with pytest.raises(UserError, match="one and two are two heads"):
        join.head_and_programs(["one", "two"])


def machine(programs: dict[str, EngineProgram], **settable: str) -> Machine:
    found = builders_plan.machine(models=[builders_plan.model("tiny")])
    return replace(found, programs=programs, settable={"engine-program": "", **settable})


def refused(here: Machine, *labels: str) -> list[str]:
    return list(refused_settings([{"engine_binary": label} for label in labels], [here]))


def test_a_plan_refuses_what_is_not_registered_with_the_command_that_does_it() -> None:
    here = machine({"old": OLD, "gone": EngineProgram(refusal="there is no file /x")})
    assert refused(here, "old") == []
    missing, gone = refused(here, "new", "gone", "old")
    assert "new on" in missing
    assert missing.endswith("fleet join --allow engine-binary new=PATH")
    assert gone.endswith("cannot be started: there is no file /x")
    (no_host,) = refused(replace(here, settable={"engine-program": "fleet starts none"}), "old")
    assert no_host.endswith("fleet starts none")


def test_a_trial_is_finished_on_the_program_that_it_names_and_on_no_other() -> None:
    here = machine({"old": OLD, "new": NEW})
    settings = {"num_ctx": 1024, "engine_binary": ["old", "new"]}
    plan = expand(builders_plan.request(settings=settings, repeats=1), [here])
    done = [
        builders_plan.past(
            trial,
            here,
            engine_version=here.programs[str(trial.settings["engine_binary"])].version,
            engine_sha256=here.programs[str(trial.settings["engine_binary"])].sha256,
        )
        for trial in plan.trials()
    ]
    assert remaining(plan, done).finished == len(done) == 2
    rebuilt = replace(NEW, sha256="f" * 8)
    changed = expand(
        builders_plan.request(settings=settings, repeats=1),
        [replace(here, programs={"old": OLD, "new": rebuilt})],
    )
    left = remaining(changed, done)
    assert left.finished == 1
    assert [*left.changes()] == [f"program {NEW.sha256[:12]} -> ffffffff"]
