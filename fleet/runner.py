"""One trial on one machine: check, load, warm, ask, restore. Effects only through ports."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

from fleet import __version__, prompts
from fleet.errors import DigestChanged, Interrupted, RequestFailed, TrialError
from fleet.model.job import Point
from fleet.model.machine import Fingerprint, ModelFacts
from fleet.model.measure import Ask, Placement, Reading, Reply, RequestRecord, TrialResult
from fleet.model.settings import Value
from fleet.model.trial import Attempt, Trial
from fleet.ports import Clock, Engine, Stop

LOAD_OPTIONS = ("num_ctx", "num_batch", "num_thread", "num_gpu")
"""Options that make an engine load anew when they change; every request sends them too."""

REQUEST_OPTIONS = ("temperature", "repeat_penalty")


Sampling = Callable[[Trial, int, list[Reading]], AbstractContextManager[None]]
"""While it is entered the machine is read; readings, counted from the zero, go into the list."""


def no_sampling(trial: Trial, zero_ns: int, into: list[Reading]) -> AbstractContextManager[None]:
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trial runs: its effects, all of them."""

    engine: Engine
    look: Callable[[], Fingerprint]
    clock: Clock
    stop: Stop
    sampling: Sampling = no_sampling


@dataclass(slots=True)
class _Course:
    """What a trial has gathered so far; a failure keeps all of it."""

    zero_ns: int
    zero_unix_ns: int
    slept_ns: int
    requests: list[RequestRecord] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    fingerprint: Fingerprint | None = None
    model: ModelFacts | None = None
    engine_version: str | None = None
    engine_environment: Mapping[str, str] = field(default_factory=dict)
    placement: Placement | None = None
    load_ns: int | None = None
    overhead_tokens: int | None = None
    """Tokens that the engine adds to the words of a raw prompt."""


def run_trial(attempt: Attempt, place: Place) -> TrialResult:
    """Measure one trial; every outcome, failures too, comes back as a result."""
    clock = place.clock
    course = _Course(clock.monotonic_ns(), clock.unix_ns(), clock.suspended_ns())
    failure: TrialError | Interrupted | None = None
    try:
        _check(attempt.trial, place, course)
        with place.sampling(attempt.trial, course.zero_ns, course.readings):
            _load(attempt.trial, place, course)
            for point in _points_in_order(attempt.trial):
                _measure(attempt.trial, point, place, course)
    except (TrialError, Interrupted) as problem:
        failure = problem
    failure = _restore(attempt.trial, place) if failure is None else _tidy(attempt, place, failure)
    return _result(attempt, course, failure, clock)


def _check(trial: Trial, place: Place, course: _Course) -> None:
    """The machine, the engine and the model are what the plan was made for."""
    course.fingerprint = place.look()
    engine = place.engine.facts()
    course.engine_version, course.engine_environment = engine.version, engine.environment
    course.model = place.engine.describe(trial.model)
    if trial.digest and course.model.digest != trial.digest:
        raise DigestChanged(
            f"{trial.model} on {trial.machine} is {course.model.digest[:12]}, "
            f"planned was {trial.digest[:12]}",
            "submit again: the plan is made anew",
        )


def _load(trial: Trial, place: Place, course: _Course) -> None:
    """A fresh load: nothing of an earlier trial stays in the engine."""
    place.engine.unload(trial.model)
    before_ns = place.clock.monotonic_ns()
    place.engine.load(trial.model, load_options(trial.settings))
    course.load_ns = place.clock.monotonic_ns() - before_ns
    course.placement = place.engine.placement(trial.model)


def _points_in_order(trial: Trial) -> list[Point]:
    """Seeded random order, the same on every machine."""
    points = list(trial.job.points)
    random.Random(f"{trial.seed}/{trial.model}/{trial.job.name}/{trial.block}").shuffle(points)
    return points


def _measure(trial: Trial, point: Point, place: Place, course: _Course) -> None:
    words = _fitting_words(trial, point, place, course)
    for _ in range(trial.job.warmup):
        _ask(trial, point, place, course, words=words, warmup=True)
    for _ in range(1 if trial.cut else trial.job.requests):
        if trial.job.load == "request":
            place.engine.unload(trial.model)
        _ask(trial, point, place, course, words=words, warmup=False)


def _fitting_words(trial: Trial, point: Point, place: Place, course: _Course) -> int:
    """Words that make the exact prompt length, found on the engine itself; 0 for a text."""
    target = point.prompt_length()
    if target is None:
        return 0

    def count(words: int) -> int:
        return _ask(trial, point, place, course, words=words, probe=True).prompt_tokens or 0

    if course.overhead_tokens is None:
        course.overhead_tokens = count(prompts.CALIBRATION_WORDS) - prompts.CALIBRATION_WORDS
    words = max(target - course.overhead_tokens, prompts.NONCE_WORDS)
    if 0 <= course.overhead_tokens < prompts.NONCE_WORDS:
        return words
    return prompts.fit_words(count, target, words) or target


def _ask(
    trial: Trial,
    point: Point,
    place: Place,
    course: _Course,
    *,
    words: int,
    warmup: bool = True,
    probe: bool = False,
) -> Reply:
    """One request, recorded whatever comes of it; raises RequestFailed where it failed.

    A probe asks for one token, only to have the engine count the prompt.
    """
    name, index = point.name(trial.job.name), len(course.requests)
    nonce = prompts.nonce(trial.seed, trial.model, trial.job.name, name, trial.block, index)
    output_tokens = 1 if probe else point.output_tokens
    reply = place.engine.ask(build_ask(trial, output_tokens, nonce, words), place.stop)
    course.requests.append(
        RequestRecord(
            index=index,
            point=name,
            warmup=warmup,
            prompt_tokens_asked=None if probe else point.prompt_length(),
            depth_tokens=point.depth_tokens,
            output_tokens_asked=output_tokens,
            seed=trial.seed,
            nonce=nonce,
            reply=_from_zero(reply, course.zero_ns),
        )
    )
    if reply.error_reason is not None:
        raise RequestFailed(reply.error or reply.error_reason, "", reply.error_reason)
    return reply


def build_ask(trial: Trial, output_tokens: int, nonce: str, words: int) -> Ask:
    """The nonce stands first: in a raw prompt, or in the system message of a chat."""
    chat = trial.job.api == "chat"
    text = trial.job.prompt or ""
    prompt = prompts.filled(nonce, words) if words else text if chat else f"{nonce}\n{text}"
    sent = {name: trial.settings[name] for name in REQUEST_OPTIONS if name in trial.settings}
    return Ask(
        model=trial.model,
        api=trial.job.api,
        prompt=prompt,
        system=nonce.strip() if chat else None,
        options={
            **load_options(trial.settings),
            **sent,
            "seed": trial.seed,
            "num_predict": output_tokens,
        },
        think=trial.job.think,
        keep_text=trial.job.keep_text,
    )


def load_options(settings: Mapping[str, Value]) -> dict[str, Value]:
    return {name: settings[name] for name in LOAD_OPTIONS if name in settings}


def _restore(trial: Trial, place: Place) -> TrialError | None:
    """The model is out of memory again; an engine that cannot do that has failed the trial."""
    try:
        place.engine.unload(trial.model)
    except TrialError as problem:
        return problem
    return None


def _tidy(
    attempt: Attempt, place: Place, failure: TrialError | Interrupted
) -> TrialError | Interrupted:
    """After a failure the first reason counts, whatever the clearing up says."""
    if failure.exit_code != Interrupted.exit_code:
        _restore(attempt.trial, place)
    return failure


def _from_zero(reply: Reply, zero_ns: int) -> Reply:
    """The same reply with its stamps counted from the trial's zero."""

    def offset(stamp_ns: int | None) -> int | None:
        return None if stamp_ns is None else stamp_ns - zero_ns

    return replace(
        reply,
        sent_ns=reply.sent_ns - zero_ns,
        first_chunk_ns=offset(reply.first_chunk_ns),
        first_thinking_ns=offset(reply.first_thinking_ns),
        first_answer_ns=offset(reply.first_answer_ns),
        last_chunk_ns=offset(reply.last_chunk_ns),
        ended_ns=reply.ended_ns - zero_ns,
    )


def _result(
    attempt: Attempt, course: _Course, failure: TrialError | Interrupted | None, clock: Clock
) -> TrialResult:
    cancelled = isinstance(failure, Interrupted)
    return TrialResult(
        attempt_id=attempt.attempt_id,
        fence=attempt.fence,
        trial=attempt.trial,
        outcome="ok" if failure is None else "cancelled" if cancelled else "failed",
        reason=failure.reason if isinstance(failure, TrialError) else "",
        detail="" if failure is None else failure.what,
        transient=isinstance(failure, TrialError) and failure.transient,
        zero_ns=course.zero_ns,
        zero_unix_ns=course.zero_unix_ns,
        duration_ns=clock.monotonic_ns() - course.zero_ns,
        suspended_ns=clock.suspended_ns() - course.slept_ns,
        fleet_version=__version__,
        engine_version=course.engine_version,
        engine_environment=course.engine_environment,
        digest=course.model.digest if course.model else None,
        model_size_bytes=course.model.size_bytes if course.model else None,
        placement=course.placement,
        load_ns=course.load_ns,
        fingerprint=course.fingerprint,
        requests=tuple(course.requests),
        readings=tuple(course.readings),
    )
