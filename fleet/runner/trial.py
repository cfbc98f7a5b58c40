"""One trial on one machine: check, load, warm, ask, restore."""

from __future__ import annotations

import random
import threading
from contextlib import suppress
from dataclasses import replace

from fleet.errors import DigestChanged, Interrupted, RequestRefused, TrialError
from fleet.model.job import Point, Think
from fleet.model.machine import EngineFacts, ModelFacts
from fleet.model.measure import TrialResult
from fleet.model.runners import MLX_FORMAT, variant_hint
from fleet.model.trial import Attempt, Trial
from fleet.runner.exact import fit_prompt
from fleet.runner.loaded import is_loaded_as_required
from fleet.runner.sending import RequestSender, load_options
from fleet.runner.side_by_side import EitherStop, run_side_by_side
from fleet.runner.streams import Stream
from fleet.runner.trial_log import Failure, TrialLog
from fleet.runner.trial_ports import TrialPorts

LEAST_WITH_DRAFTS = 3
"""Warm-ups of a point, where there are any."""


def run_trial(attempt: Attempt, ports: TrialPorts) -> TrialResult:
    """Measure one trial; every outcome, also a failure, is a result."""
    log = TrialLog.begun(ports.clock)
    failure: Failure | None = None
    try:
        _check(attempt.trial, ports, log)
        with ports.applied(attempt, ports.engine, ports.stop) as log.in_force:
            inside = replace(ports, engine=log.in_force.engine)
            with ports.sampling(attempt.trial, log.zero_ns, log.readings):
                _load(attempt.trial, inside, log)
                sender = RequestSender(attempt.trial, inside, log, _look_name(attempt))
                for point in _points_in_order(attempt.trial):
                    _measure(sender, point)
                    log.check_clocks(ports.clock)
                log.memory_after_bytes = _memory_after(attempt.trial, inside, log)
    except (TrialError, Interrupted) as problem:
        failure = problem
    if log.in_force and not log.in_force.restarted and not log.kept_loaded:
        failure = _tidy(attempt, ports, failure) if failure else _restore(attempt.trial, ports)
    if failure is None:
        log.fingerprint_after = ports.look()
    return log.result(attempt, failure, ports.clock)


def _check(trial: Trial, ports: TrialPorts, log: TrialLog) -> None:
    """Check that machine, engine and model are those of the plan."""
    log.fingerprint = ports.fingerprint or ports.look()
    engine = ports.engine.facts()
    log.engine_version, log.engine_environment = engine.version, engine.environment
    log.model = ports.engine.describe(trial.model)
    if trial.digest and log.model.digest != trial.digest:
        raise DigestChanged(
            f"{trial.model} on {trial.machine} is {log.model.digest[:12]}, "
            f"planned was {trial.digest[:12]}",
            "submit again for a new plan",
        )
    _refuse_streams(trial, engine)
    log.think = _think(trial, log.model)


def _refuse_streams(trial: Trial, engine: EngineFacts) -> None:
    for point in trial.job.points:
        if point.concurrency > 1 and not engine.concurrent:
            raise RequestRefused(
                f"{point.name(trial.job.name)} needs {point.concurrency} streams at once, and the "
                f"{engine.kind} engine answers one request at a time",
                "give the point concurrency: 1, or use Ollama as the engine",
            )


def _think(trial: Trial, model: ModelFacts) -> Think | None:
    """Return the explicit value to send: the engine's default may change with its version."""
    if trial.job.api != "chat":
        return None
    return model.default_think if trial.job.think is None else trial.job.think


def _load(trial: Trial, ports: TrialPorts, log: TrialLog) -> None:
    """Load the model afresh, so that nothing of an earlier trial stays in the engine.

    Only a quick look takes a model as it is loaded.
    """
    log.kept_loaded = is_loaded_as_required(trial, ports.engine)
    if not log.kept_loaded:
        ports.engine.unload(trial.model)
        before_ns = ports.clock.monotonic_ns()
        ports.engine.load(trial.model, load_options(trial.settings))
        log.load_ns = ports.clock.monotonic_ns() - before_ns
        log.forget_cache()
    log.placement = ports.engine.placement(trial.model)
    others = log.model.other_digests if log.model else ()
    if log.placement is not None and log.placement.digest in others:
        raise DigestChanged(
            f"{trial.model} on {trial.machine} was loaded as another of its variants, "
            f"{log.placement.digest[:12]}",
            variant_hint(trial.model),
        )


def _memory_after(trial: Trial, ports: TrialPorts, log: TrialLog) -> int | None:
    """Return what a model on MLX holds after its last request: it grows with each prompt."""
    if log.model is None or log.model.model_format != MLX_FORMAT:
        return None
    with suppress(TrialError):
        placement = ports.engine.placement(trial.model)
        return None if placement is None else placement.size_bytes
    return None


def _look_name(attempt: Attempt) -> str:
    if attempt.trial.job.answer_s is None:
        return ""
    return f"{attempt.submission_id}/{attempt.attempt_id}"


def _points_in_order(trial: Trial) -> list[Point]:
    """Return the points in a seeded random order, equal on every machine."""
    points = list(trial.job.points)
    random.Random(f"{trial.seed}/{trial.model}/{trial.job.name}/{trial.block}").shuffle(points)
    return points


def _measure(sender: RequestSender, point: Point) -> None:
    """Warm up with one stream, whatever the concurrency of the point, then measure with all."""
    exact = fit_prompt(sender, point) if point.exact else None
    failed = threading.Event()
    stop = EitherStop(sender.ports.stop, failed) if point.concurrency > 1 else sender.ports.stop
    streams = [Stream(sender, point, exact, number, stop) for number in range(point.concurrency)]
    for _ in range(_warm_ups(sender)):
        streams[0].warm()
    for stream in streams[1:]:
        stream.token_ns = streams[0].token_ns
    if point.concurrency > 1:
        run_side_by_side(streams, failed, sender.ports.clock)
    else:
        streams[0].run()


def _warm_ups(sender: RequestSender) -> int:
    """Return the number of warm-ups; a model with drafts learns in them how many to try."""
    model, warm_ups = sender.log.model, sender.trial.job.warmup
    drafting = model is not None and model.drafts == "yes"
    return max(warm_ups, LEAST_WITH_DRAFTS) if drafting and warm_ups else warm_ups


def _restore(trial: Trial, ports: TrialPorts) -> TrialError | None:
    """Unload the model; an engine that cannot do so fails the trial."""
    try:
        ports.engine.unload(trial.model)
    except TrialError as problem:
        return problem
    return None


def _tidy(attempt: Attempt, ports: TrialPorts, failure: Failure) -> Failure:
    """Unload after a failure, whose reason stands whatever the unload says."""
    if not isinstance(failure, Interrupted):
        _restore(attempt.trial, ports)
    return failure
