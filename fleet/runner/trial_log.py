"""What a trial has recorded so far. A failure keeps all of it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet import __version__
from fleet.clock import utc_offset_s
from fleet.errors import Interrupted, TrialError
from fleet.model.job import Think
from fleet.model.machine import Drafts, Fingerprint, ModelFacts
from fleet.model.measure import Placement, Reading, RequestRecord, TrialResult
from fleet.model.runners import MLX_FORMAT
from fleet.model.trial import Attempt, Trial
from fleet.ports import Clock, InForce
from fleet.prompts import Scale

Failure = TrialError | Interrupted


@dataclass(slots=True)
class TrialLog:
    """The record of one trial. Several streams may add to it at once."""

    zero_ns: int
    zero_unix_ns: int
    slept_ns: int
    utc_offset_s: int | None = None
    fingerprint: Fingerprint | None = None
    fingerprint_after: Fingerprint | None = None
    model: ModelFacts | None = None
    engine_version: str | None = None
    engine_environment: Mapping[str, str] = field(default_factory=dict)
    placement: Placement | None = None
    memory_after_bytes: int | None = None
    load_ns: int | None = None
    kept_loaded: bool = False
    """The model was in memory before the trial, and stays there afterwards."""
    in_force: InForce | None = None
    think: Think | None = None
    """The value that each chat of this trial sends."""
    scale: Scale | None = None
    """How many tokens this model's vocabulary makes of the words of the job's text."""
    readings: list[Reading] = field(default_factory=list)
    clock_step_ns: int = 0
    """The largest deviation of the wall clock from the steady clocks so far."""
    _fresh: bool = False
    _requests: list[RequestRecord] = field(default_factory=list)
    _indexes: Iterator[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def begun(cls, clock: Clock) -> TrialLog:
        """Return a log whose zero is now."""
        zero_ns, unix_ns = clock.monotonic_ns(), clock.unix_ns()
        return cls(zero_ns, unix_ns, clock.suspended_ns(), utc_offset_s(unix_ns))

    def check_clocks(self, clock: Clock) -> None:
        """Compare the clocks now: a step that is taken back later is seen only meanwhile."""
        steady_ns = clock.monotonic_ns() - self.zero_ns + clock.suspended_ns() - self.slept_ns
        step_ns = clock.unix_ns() - self.zero_unix_ns - steady_ns
        self.clock_step_ns = max(self.clock_step_ns, step_ns, key=abs)

    def next_index(self) -> int:
        """Return the next index; indexes count requests in the order of sending."""
        with self._lock:
            return next(self._indexes)

    def forget_cache(self) -> None:
        """Note a load or an unload: the next request finds nothing in the engine's cache."""
        with self._lock:
            self._fresh = True

    def take_first(self) -> bool:
        """Return True once after each load: for the request that is sent first."""
        with self._lock:
            fresh, self._fresh = self._fresh, False
            return fresh

    def add(self, record: RequestRecord) -> None:
        """Add the record of a request."""
        with self._lock:
            self._requests.append(record)

    def requests(self) -> tuple[RequestRecord, ...]:
        """Return the requests in the order of sending."""
        with self._lock:
            return tuple(sorted(self._requests, key=lambda record: record.index))

    def result(self, attempt: Attempt, failure: Failure | None, clock: Clock) -> TrialResult:
        """Return the trial's result, with everything recorded up to the failure."""
        model, program = self.model, self.in_force.program if self.in_force else None
        self.check_clocks(clock)
        return TrialResult(
            attempt_id=attempt.attempt_id,
            submission_id=attempt.submission_id,
            fence=attempt.fence,
            trial=attempt.trial,
            **outcome_columns(failure),
            zero_ns=self.zero_ns,
            zero_unix_ns=self.zero_unix_ns,
            utc_offset_s=self.utc_offset_s,
            duration_ns=clock.monotonic_ns() - self.zero_ns,
            suspended_ns=clock.suspended_ns() - self.slept_ns,
            clock_step_ns=self.clock_step_ns,
            fleet_version=__version__,
            engine_version=program.version if program else self.engine_version,
            engine_sha256=program.sha256 if program else None,
            engine_environment=self.engine_environment,
            digest=model.digest if model else None,
            model_size_bytes=model.size_bytes if model else None,
            active_bytes=model.active_bytes if model else None,
            model_format=model.model_format if model else None,
            quantization=model.quantization if model else None,
            bits_per_weight=model.bits_per_weight if model else None,
            drafts=_drafts(attempt.trial, model),
            think=self.think,
            placement=self.placement,
            memory_after_bytes=self.memory_after_bytes,
            load_ns=self.load_ns,
            **_applied(self.in_force),
            fingerprint=self.fingerprint,
            fingerprint_after=self.fingerprint_after,
            requests=self.requests(),
            readings=tuple(self.readings),
        )


def _drafts(trial: Trial, model: ModelFacts | None) -> Drafts | None:
    """Return whether the model wrote with drafts; llama-server does where the trial asks for it."""
    if model is None:
        return None
    asked = model.model_format != MLX_FORMAT and trial.settings.get("draft_num_predict")
    return "yes" if asked else model.drafts


def outcome_columns(failure: Failure | None) -> dict[str, Any]:
    """Return how an attempt ended, as fields of its result."""
    if failure is None:
        return {"outcome": "ok", "reason": "", "detail": "", "transient": False}
    return {
        "outcome": failure.outcome,
        "reason": failure.reason,
        "detail": failure.what,
        "transient": failure.transient,
    }


def _applied(in_force: InForce | None) -> dict[str, Any]:
    if in_force is None:
        return {}
    return {
        "engine_restarted": in_force.restarted,
        "wired_limit_applied_mb": in_force.wired_limit_mb,
        "gpu_limit_effective_mb": in_force.gpu_limit_mb,
        "engine_environment_applied": in_force.environment,
    }


def not_begun(attempt: Attempt, failure: Failure, clock: Clock) -> TrialResult:
    """Return the result of an attempt that ended before its trial began."""
    log = TrialLog.begun(clock)
    return TrialResult(
        attempt_id=attempt.attempt_id,
        submission_id=attempt.submission_id,
        fence=attempt.fence,
        trial=attempt.trial,
        **outcome_columns(failure),
        zero_ns=log.zero_ns,
        zero_unix_ns=log.zero_unix_ns,
        utc_offset_s=log.utc_offset_s,
        duration_ns=0,
        fleet_version=__version__,
    )
