"""The life of a trial's settings: read, record, apply, verify, measure, put back, verify.

This order makes a crash at any moment harmless: the entry of the journal is durable before the
first change, and it is closed only when the system confirms that everything is as before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from fleet.errors import SettingFailed, SettingStuck
from fleet.model.machine import (
    ENGINE_ENVIRONMENT,
    ENGINE_PROGRAM,
    WIRED_LIMIT,
    EngineProgram,
    full_model_name,
)
from fleet.model.settings import Value, needs_own_engine, variables_of
from fleet.model.trial import Attempt
from fleet.ports import Engine, EngineHost, InForce, OwnEngine, Setting, Stop
from fleet.settings.journal import Journal, SettingChange


class TrialSettings:
    """What a trial can change on this machine, whose lock is held around `applied` and `recover`.

    `limit` None: this system has no wired limit; `host` None: fleet cannot start an engine of its
    own here. `boot_unix_s`: when the system booted; None: not known.
    """

    def __init__(
        self,
        *,
        limit: Setting | None,
        host: EngineHost | None,
        journal: Journal,
        boot_unix_s: Callable[[], int | None],
    ) -> None:
        self._limit = limit
        self._host = host
        self._journal = journal
        self._boot_unix_s = boot_unix_s

    def settable(self) -> dict[str, str]:
        """Return what `Machine.settable` holds."""
        host = self._host.refusal() if self._host else "this engine takes no environment"
        limit = self._limit.refusal() if self._limit else "only a Mac has a wired limit"
        program = "" if self._host else "fleet starts no engine there"
        return {WIRED_LIMIT: limit or host, ENGINE_ENVIRONMENT: host, ENGINE_PROGRAM: program}

    def programs(self) -> Mapping[str, EngineProgram]:
        """Return the programs that the setting `engine_binary` can name here, by label."""
        return self._host.programs() if self._host else {}

    def is_changed(self) -> bool:
        """Tell whether a trial changed something that is not put back yet."""
        return self._journal.pending() is not None

    def recover(self) -> str:
        """Put back what a crash left changed, and say what was done; raises SettingStuck."""
        entry = self._journal.pending()
        if entry is None:
            return ""
        if entry.is_older_than(self._boot_unix_s()):
            self._journal.close(entry, "the system has booted since, which undid the change")
            return f"{entry.setting}: changed by a trial before this system started; nothing to do"
        limit = self._limit
        if limit is None or limit.name != entry.setting:
            raise SettingStuck(
                f"{entry.setting} was changed by a trial and cannot be put back from here",
                f"set it to {entry.before}, then remove {self._journal.path}",
            )
        note = self._put_back(limit, entry, "put back at the next start, after a trial cut off")
        return f"{entry.setting}: {note}"

    def needs_own_engine(self, settings: Mapping[str, Value]) -> bool:
        """Tell whether a trial needs an engine that fleet starts beside the owner's."""
        return self._wanted_mb(settings) is not None or needs_own_engine(settings)

    @contextmanager
    def applied(self, attempt: Attempt, engine: Engine, stop: Stop) -> Iterator[InForce]:
        """Keep the settings of a trial in force inside the block, and put them back at its end.

        Raises SettingFailed if one cannot be made or proven, SettingStuck if it cannot be put back.
        """
        self.recover()
        settings = attempt.trial.settings
        if not self.needs_own_engine(settings):
            yield InForce(engine=engine)
            return
        wanted_mb, variables = self._wanted_mb(settings), variables_of(settings)
        host = self._able_host(wanted_mb)
        host.wait_until_free(stop)
        with (
            self._limited(attempt, wanted_mb),
            _own_engine(host, variables, attempt, stop) as own,
        ):
            _same_engine(attempt, engine, own)
            _environment_in_force(variables, own.environment)
            yield InForce(
                engine=own.engine,
                restarted=True,
                wired_limit_mb=wanted_mb,
                gpu_limit_mb=own.gpu_limit_mb if not wanted_mb else _effective_mb(wanted_mb, own),
                environment={name: own.environment.get(name, "") for name in variables},
                program=own.program,
            )

    @contextmanager
    def _limited(self, attempt: Attempt, wanted_mb: int | None) -> Iterator[None]:
        limit = self._limit
        if wanted_mb is None or limit is None:
            yield
            return
        before = limit.current()
        if before == wanted_mb:
            yield
            limit.verify(before)
            return
        entry = SettingChange(
            setting=limit.name,
            before=before,
            wanted=wanted_mb,
            attempt_id=attempt.attempt_id,
            written_unix_ns=time.time_ns(),
        )
        self._journal.begin(entry)
        try:
            limit.apply(wanted_mb)
            limit.verify(wanted_mb)
            yield
            limit.verify(wanted_mb)
        finally:
            self._put_back(limit, entry, "put back after the trial")

    def _put_back(self, limit: Setting, entry: SettingChange, note: str) -> str:
        """Put the setting back and return how that ended; a third value is the owner's own."""
        try:
            now = limit.current()
            if now not in (entry.before, entry.wanted):
                note = f"left at {now}: somebody else has set it since"
            else:
                _restore(limit, entry.before)
                note = f"{note}: {entry.before}"
        except SettingFailed as problem:
            raise SettingStuck(
                f"{entry.setting} could not be put back to {entry.before}: {problem.what}",
                f"sudo sysctl {entry.setting}={entry.before}   fleet tries again at its next start",
            ) from problem
        self._journal.close(entry, note)
        return note

    def _wanted_mb(self, settings: Mapping[str, Value]) -> int | None:
        """Return the requested limit; a system without a limit already has the default."""
        wanted_mb = _wanted_mb(settings)
        return None if self._limit is None and wanted_mb == 0 else wanted_mb

    def _able_host(self, wanted_mb: int | None) -> EngineHost:
        if wanted_mb is not None and self._limit is None:
            raise SettingFailed("wired_limit_mb: only a Mac has a wired limit", "")
        if self._host is None:
            raise SettingFailed("this engine cannot be restarted with other settings", "")
        return self._host


@contextmanager
def _own_engine(
    host: EngineHost, variables: Mapping[str, str], attempt: Attempt, stop: Stop
) -> Iterator[OwnEngine]:
    label = str(attempt.trial.settings.get("engine_binary", ""))
    own = host.start(variables, attempt.attempt_id, stop, label)
    try:
        yield own
    finally:
        own.close()


def _restore(limit: Setting, before: int) -> None:
    """Restore the value; a command that did not answer in time may have done its work."""
    try:
        limit.restore(before)
    except SettingFailed:
        if limit.current() != before:
            raise
    limit.verify(before)


def _wanted_mb(settings: Mapping[str, Value]) -> int | None:
    """Return the requested limit in MiB; 0: the system's default; None: the trial sets none."""
    requested = settings.get("wired_limit_mb")
    if requested is None:
        return None
    return 0 if requested == "default" else int(requested)


def _effective_mb(wanted_mb: int, own: OwnEngine) -> int:
    """Return the exact limit that was set, which the rounded report of the engine must confirm."""
    reported_mb = own.gpu_limit_mb
    if reported_mb is None:
        raise SettingFailed(
            f"the limit was set to {wanted_mb} MiB, but the engine does not report its own",
            "see its start in the log: ollama serve prints `inference compute`",
        )
    if abs(reported_mb - wanted_mb) > own.gpu_limit_step_mb:
        raise SettingFailed(
            f"the limit was set to {wanted_mb} MiB, but the engine works with {reported_mb} MiB", ""
        )
    return wanted_mb


def _same_engine(attempt: Attempt, owners: Engine, started: OwnEngine) -> None:
    """Refuse an engine of another version than was meant, or without the planned model."""
    own, now = started.engine, started.engine.facts().version
    if started.program is None and now != (before := owners.facts().version):
        raise SettingFailed(
            f"the engine that runs here is version {before}, the one on PATH is {now}",
            "put the program of the one that runs first on PATH",
        )
    if started.program is not None and now != started.program.version:
        label = attempt.trial.settings["engine_binary"]
        raise SettingFailed(
            f"{label} says that it is version {started.program.version}, its server says {now}", ""
        )
    trial = attempt.trial
    wanted = full_model_name(trial.model)
    digests = {full_model_name(model.name): model.digest for model in own.models()}
    if wanted not in digests or (trial.digest and digests[wanted] != trial.digest):
        raise SettingFailed(
            f"the engine started for this trial does not have the same {trial.model}",
            "set OLLAMA_MODELS to the folder of the Ollama that runs, where fleet is started",
        )


def _environment_in_force(wanted: Mapping[str, str], reported: Mapping[str, str]) -> None:
    """Refuse a variable that the engine reports otherwise; one it does not list is in force."""
    for name, value in wanted.items():
        if name in reported and _plain(reported[name]) != _plain(value):
            raise SettingFailed(
                f"{name} was set to {value}, the engine reports {reported[name]!r}", ""
            )


def _plain(value: str) -> str:
    return {"true": "1", "false": "0"}.get(value.lower(), value.lower())
