"""The life of a trial's settings against a system that fails at any of its calls, in any order."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.errors import SettingFailed, SettingStuck, TrialError
from fleet.model.machine import EngineFacts, EngineProgram, ModelFacts, Proofs
from fleet.model.script import MachineScript
from fleet.model.settings import variables_of
from fleet.ports import Engine, OwnEngine, Stop
from fleet.settings.journal import Journal
from fleet.settings.life import TrialSettings
from fleet.settings.simulated import ScriptedLimit
from fleet.units import NS_PER_S
from tests import builders

PROOFS = Proofs(exact_counts=True, server_clock=True, cache_off=True, placement=True)
NEVER = threading.Event()


@dataclass
class Number:
    """One side of ports.Setting; each call may fail before or after its effect."""

    name: str = "number"
    value: int = 7
    faults: list[str] = field(default_factory=list)
    """One for each call to come: `ok`, `before`, `after`, `ignored`."""

    def refusal(self) -> str:
        return ""

    def current(self) -> int:
        self._call(self.value)
        return self.value

    def apply(self, value: int) -> None:
        self._call(value)

    def verify(self, value: int) -> None:
        self._call(self.value)
        if self.value != value:
            raise SettingFailed(f"is {self.value}, not {value}", "")

    def restore(self, before: int) -> None:
        self._call(before)

    def _call(self, value: int) -> None:
        fault = self.faults.pop(0) if self.faults else "ok"
        if fault == "before":
            raise SettingFailed("failed before", "")
        if fault != "ignored":
            self.value = value
        if fault == "after":
            raise SettingFailed("failed after", "")


@dataclass
class Host:
    """One side of ports.EngineHost, whose engine sees what the number is when it starts."""

    number: Number
    told: Mapping[str, str] = field(default_factory=dict)
    digest: str = "sha256:aa"
    version: str = "1"
    running: int = 0

    def refusal(self) -> str:
        return ""

    def wait_until_free(self, stop: Stop) -> None:
        assert self.number.value == 7, "nothing is changed while it waits"

    def programs(self) -> Mapping[str, EngineProgram]:
        return {}

    def start(
        self, environment: Mapping[str, str], attempt_id: str, stop: Stop, program: str = ""
    ) -> OwnEngine:
        self.running += 1
        return OwnEngine(
            engine=engine(self.version, self.digest),
            environment={**environment, **self.told},
            gpu_limit_mb=self.number.value or 100,
            close=self._close,
        )

    def _close(self) -> None:
        self.running -= 1


def engine(version: str = "1", digest: str = "sha256:aa") -> Engine:
    facts = EngineFacts(kind="ollama", version=version, proofs=PROOFS)
    model = ModelFacts(name="tiny-llama:latest", digest=digest, size_bytes=1)
    return cast(Engine, SimpleNamespace(facts=lambda: facts, models=lambda: [model]))


def life(folder: Path, number: Number, host: Host | None = None) -> TrialSettings:
    return TrialSettings(
        limit=number,
        host=host or Host(number),
        journal=Journal(folder, "m"),
        boot_unix_s=lambda: None,
    )


def attempt(**asked: Any) -> Any:
    return builders.attempt(settings={"num_ctx": 1024, **asked}, digest="sha256:aa")


@pytest.mark.parametrize(
    ("asked", "mac", "linux"),
    [
        ({}, False, False),
        ({"wired_limit_mb": "default"}, True, False),
        ({"wired_limit_mb": 81_920}, True, True),
        ({"kv_cache_type": "q8_0"}, True, True),
    ],
)
def test_which_trials_are_measured_on_an_engine_of_their_own(
    tmp_path: Path, asked: dict[str, Any], mac: bool, linux: bool
) -> None:
    number = Number()
    without = TrialSettings(
        limit=None, host=Host(number), journal=Journal(tmp_path, "m"), boot_unix_s=lambda: None
    )
    given = attempt(**asked).trial.settings
    assert life(tmp_path, number).needs_own_engine(given) is mac
    assert without.needs_own_engine(given) is linux


FAULTS = st.lists(st.sampled_from(["ok", "ok", "ok", "before", "after", "ignored"]), max_size=12)


@given(first=FAULTS, later=FAULTS, wanted=st.sampled_from(["default", 7, 81_920]))
@settings(max_examples=200, deadline=None)
def test_whatever_fails_the_number_is_back_or_the_journal_says_so(
    first: list[str], later: list[str], wanted: int | str
) -> None:
    with TemporaryDirectory() as folder:
        number = Number(faults=first)
        host = Host(number)
        trial = life(Path(folder), number, host)
        with (
            suppress(TrialError),
            trial.applied(attempt(wired_limit_mb=wanted), engine(), NEVER),
        ):
            assert number.value == (0 if wanted == "default" else wanted)
        assert host.running == 0
        journal = Journal(Path(folder), "m")
        assert number.value == 7 or journal.pending() is not None
        number.faults = later
        for _ in range(14):
            try:
                life(Path(folder), number).recover()
                break
            except SettingStuck:
                assert journal.pending() is not None
        assert number.value == 7
        assert journal.pending() is None


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"version": "2"}, "the engine that runs here is version 1, the one on PATH is 2"),
        ({"digest": "sha256:bb"}, "does not have the same tiny-llama"),
        ({"told": {"OLLAMA_KV_CACHE_TYPE": "f16"}}, "was set to q8_0, the engine reports 'f16'"),
    ],
)
def test_an_engine_that_is_not_the_same_is_not_measured(
    tmp_path: Path, host: dict[str, Any], words: str
) -> None:
    number = Number()
    made = Host(number, **host)
    trial = life(tmp_path, number, made)
    asked = attempt(wired_limit_mb=81_920, kv_cache_type="q8_0")
    with (
        pytest.raises(SettingFailed, match=words),
        trial.applied(asked, engine(), NEVER),
    ):
        pytest.fail("it was measured")
    assert (number.value, made.running) == (7, 0)


def test_a_trial_that_asks_for_nothing_gets_the_engine_that_is_there(tmp_path: Path) -> None:
    number = Number()
    made = Host(number)
    there = engine()
    with life(tmp_path, number, made).applied(attempt(), there, NEVER) as in_force:
        assert (in_force.engine is there, in_force.restarted, made.running) == (True, False, 0)
    assert not list(tmp_path.iterdir())


def test_where_there_is_no_limit_the_default_is_what_there_is(tmp_path: Path) -> None:
    trial = TrialSettings(
        limit=None, host=None, journal=Journal(tmp_path, "m"), boot_unix_s=lambda: None
    )
    with trial.applied(attempt(wired_limit_mb="default"), engine(), NEVER) as in_force:
        assert in_force.wired_limit_mb is None
    with (
        pytest.raises(SettingFailed, match="only a Mac"),
        trial.applied(attempt(wired_limit_mb=81_920), engine(), NEVER),
    ):
        pytest.fail("it was measured")
    assert set(trial.settable()) == {"wired-limit", "engine-environment", "engine-program"}
    assert all(trial.settable().values())


def test_the_environment_that_settings_ask_for() -> None:
    assert variables_of({"num_ctx": 1024}) == {}
    asked: dict[str, Any] = {"flash_attention": False, "swa_full": True, "num_parallel": 2}
    assert variables_of({**asked, "cache_ram_mb": 0}) == {
        "OLLAMA_FLASH_ATTENTION": "0",
        "OLLAMA_NUM_PARALLEL": "2",
        "LLAMA_ARG_CACHE_RAM": "0",
        "LLAMA_ARG_SWA_FULL": "1",
    }


@pytest.mark.parametrize(
    ("asked", "limit", "words"),
    [
        (
            {"flash_attention": True},
            Number(),
            "this engine cannot be restarted",
        ),
        ({"wired_limit_mb": 9}, None, "only a Mac has a wired limit"),
    ],
)
def test_what_is_not_there_to_be_set_is_said(
    tmp_path: Path, asked: dict[str, Any], limit: Number | None, words: str
) -> None:
    trial_settings = TrialSettings(
        limit=limit, host=None, journal=Journal(tmp_path, "m"), boot_unix_s=lambda: None
    )
    attempt = builders.attempt(settings={"num_ctx": 1024, **asked})
    with (
        pytest.raises(SettingFailed, match=words),
        trial_settings.applied(attempt, engine(), NEVER),
    ):
        pytest.fail("it was measured")


def test_the_limit_of_a_scripted_machine_is_put_back_where_it_was_changed(tmp_path: Path) -> None:
    script = MachineScript(chip="Test", memory_gb=96, gpu_memory_mb=73_728, os="darwin")
    limit = ScriptedLimit(script, tmp_path / "limit" / "mb")
    before = limit.current()
    limit.restore(before)
    assert not limit.file.exists(), "nothing was changed"
    limit.apply(80_000)
    limit.verify(80_000)
    limit.restore(before)
    assert limit.current() == before


def test_a_change_that_a_boot_undid_is_closed_and_told_once(tmp_path: Path) -> None:
    number = Number(faults=["ok", "ok", "ok", *["before"] * 20])
    trial = life(tmp_path, number)
    with suppress(TrialError), trial.applied(attempt(wired_limit_mb=81_920), engine(), NEVER):
        pass
    assert Journal(tmp_path, "m").pending() is not None
    since = TrialSettings(
        limit=number,
        host=None,
        journal=Journal(tmp_path, "m"),
        boot_unix_s=lambda: time.time_ns() // NS_PER_S + 10_000,
    )
    assert "before this system started; nothing to do" in since.recover()
    assert Journal(tmp_path, "m").pending() is None
    assert since.recover() == ""
