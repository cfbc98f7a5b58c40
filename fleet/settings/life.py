"""The life of a trial's settings: read, write down, apply, verify, measure, put back, verify.

The order on disk and on the machine makes a crash at any moment harmless: the journal's entry is
durable before the first change, and closed only when the system says that all is as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from fleet.errors import SettingFailed, SettingStuck
from fleet.model.machine import ENGINE_ENVIRONMENT, WIRED_LIMIT, full_model_name
from fleet.model.settings import Value, variables_of
from fleet.model.trial import Attempt
from fleet.ports import Engine, EngineHost, InForce, OwnEngine, Setting, Stop
from fleet.settings.journal import Entry, Journal


class TrialSettings:
    """What can be changed on this machine. Its machine's lock is held around `applied`, `recover`.

    `limit` None: this system has no wired limit; `host` None: no engine of fleet's own can be
    started here. `boot_unix_s`: when the system started, None where that is not known.
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
        """As `Machine.settable`."""
        host = self._host.refusal() if self._host else "this engine takes no environment"
        limit = self._limit.refusal() if self._limit else "only a Mac has a wired limit"
        return {WIRED_LIMIT: limit or host, ENGINE_ENVIRONMENT: host}

    def is_changed(self) -> bool:
        """A trial has changed something that is not put back yet."""
        return self._journal.pending() is not None

    def recover(self) -> str:
        """Puts back what a crash left changed; what was done, in words. Raises SettingStuck."""
        entry = self._journal.pending()
        if entry is None:
            return ""
        if entry.is_older_than(self._boot_unix_s()):
            self._journal.close(entry, "the system has started anew since and forgot the change")
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
        """Such a trial is measured on an engine that fleet starts beside the owner's."""
        return self._wanted_mb(settings) is not None or bool(variables_of(settings))

    @contextmanager
    def applied(self, attempt: Attempt, engine: Engine, stop: Stop) -> Iterator[InForce]:
        """All of the trial's settings are in force inside, and as before outside.

        Raises SettingFailed where one cannot be had or proven, SettingStuck where one could not
        be put back.
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
            _same_engine(attempt, engine, own.engine)
            _environment_in_force(variables, own.environment)
            yield InForce(
                engine=own.engine,
                restarted=True,
                wired_limit_mb=wanted_mb,
                gpu_limit_mb=own.gpu_limit_mb if not wanted_mb else _effective_mb(wanted_mb, own),
                environment={name: own.environment.get(name, "") for name in variables},
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
        entry = Entry(
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

    def _put_back(self, limit: Setting, entry: Entry, note: str) -> str:
        """A third value is the owner's own since: it stays. Returns how it ended."""
        try:
            found = limit.current()
            if found not in (entry.before, entry.wanted):
                note = f"left at {found}: somebody else has set it since"
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
        """No limit is what a system without one is asked for."""
        wanted_mb = _wanted_mb(settings)
        return None if self._limit is None and wanted_mb == 0 else wanted_mb

    def _able_host(self, wanted_mb: int | None) -> EngineHost:
        if wanted_mb is not None and self._limit is None:
            raise SettingFailed("wired_limit_mb: only a Mac has a wired limit", "")
        if self._host is None:
            raise SettingFailed("this engine cannot be started anew with other settings", "")
        return self._host


@contextmanager
def _own_engine(
    host: EngineHost, variables: Mapping[str, str], attempt: Attempt, stop: Stop
) -> Iterator[OwnEngine]:
    own = host.start(variables, attempt.attempt_id, stop)
    try:
        yield own
    finally:
        own.close()


def _restore(limit: Setting, before: int) -> None:
    """What did not answer in time may have done its work all the same."""
    try:
        limit.restore(before)
    except SettingFailed:
        if limit.current() != before:
            raise
    limit.verify(before)


def _wanted_mb(settings: Mapping[str, Value]) -> int | None:
    """None: the trial says nothing of it; 0: the system's default."""
    asked = settings.get("wired_limit_mb")
    if asked is None:
        return None
    return 0 if asked == "default" else int(asked)


def _effective_mb(wanted_mb: int, own: OwnEngine) -> int:
    """A limit that is set holds to the MiB: what the engine tells, rounded, must not contradict."""
    told = own.gpu_limit_mb
    if told is None:
        raise SettingFailed(
            f"the limit was set to {wanted_mb} MiB, but the engine does not tell its own",
            "see its start in the log: ollama serve prints `inference compute`",
        )
    if abs(told - wanted_mb) > own.gpu_limit_step_mb:
        raise SettingFailed(
            f"the limit was set to {wanted_mb} MiB, but the engine works with {told} MiB", ""
        )
    return wanted_mb


def _same_engine(attempt: Attempt, found: Engine, own: Engine) -> None:
    """The engine started for the trial is the one that the plan was made for, with its model."""
    before, now = found.facts().version, own.facts().version
    if before != now:
        raise SettingFailed(
            f"the engine that runs here is version {before}, the one on PATH is {now}",
            "put the program of the one that runs first on PATH",
        )
    trial = attempt.trial
    wanted = full_model_name(trial.model)
    digests = {full_model_name(model.name): model.digest for model in own.models()}
    if wanted not in digests or (trial.digest and digests[wanted] != trial.digest):
        raise SettingFailed(
            f"the engine started for this trial does not find {trial.model} as it was found before",
            "set OLLAMA_MODELS to the folder of the Ollama that runs, where fleet is started",
        )


def _environment_in_force(wanted: Mapping[str, str], told: Mapping[str, str]) -> None:
    """A variable that the engine does not list at all is taken as given to its process."""
    for name, value in wanted.items():
        if name in told and _plain(told[name]) != _plain(value):
            raise SettingFailed(f"{name} was set to {value}, the engine says {told[name]!r}", "")


def _plain(value: str) -> str:
    return {"true": "1", "false": "0"}.get(value.lower(), value.lower())
