"""One trial on one machine: check, load, warm, ask, restore."""

from __future__ import annotations

import random
import threading
from dataclasses import replace

from fleet.errors import DigestChanged, Interrupted, RequestRefused, TrialError
from fleet.model.job import Point, Think
from fleet.model.machine import EngineFacts, ModelFacts
from fleet.model.measure import TrialResult
from fleet.model.trial import Attempt, Trial
from fleet.runner.asking import Asking, load_options
from fleet.runner.exact import fit_prompt
from fleet.runner.loaded import is_loaded_as_asked
from fleet.runner.side_by_side import Either, run_side_by_side
from fleet.runner.streams import Stream
from fleet.runner.trial_log import Course, Failure
from fleet.runner.trial_ports import Place

LEAST_WITH_DRAFTS = 3
"""Warm-ups of a point, where there are any."""


def run_trial(attempt: Attempt, place: Place) -> TrialResult:
    """Measure one trial; every outcome, failures too, comes back as a result."""
    course = Course.begun(place.clock)
    failure: Failure | None = None
    try:
        _check(attempt.trial, place, course)
        with place.applied(attempt, place.engine, place.stop) as course.in_force:
            inside = replace(place, engine=course.in_force.engine)
            with place.sampling(attempt.trial, course.zero_ns, course.readings):
                _load(attempt.trial, inside, course)
                asking = Asking(attempt.trial, inside, course, _look(attempt))
                for point in _points_in_order(attempt.trial):
                    _measure(asking, point)
                    course.check_clocks(place.clock)
    except (TrialError, Interrupted) as problem:
        failure = problem
    if course.in_force and not course.in_force.restarted and not course.kept_loaded:
        failure = _tidy(attempt, place, failure) if failure else _restore(attempt.trial, place)
    if failure is None:
        course.fingerprint_after = place.look()
    return course.result(attempt, failure, place.clock)


def _check(trial: Trial, place: Place, course: Course) -> None:
    """The machine, the engine and the model are what the plan was made for."""
    course.fingerprint = place.found or place.look()
    engine = place.engine.facts()
    course.engine_version, course.engine_environment = engine.version, engine.environment
    course.model = place.engine.describe(trial.model)
    if trial.digest and course.model.digest != trial.digest:
        raise DigestChanged(
            f"{trial.model} on {trial.machine} is {course.model.digest[:12]}, "
            f"planned was {trial.digest[:12]}",
            "submit again: the plan is made anew",
        )
    _refuse_streams(trial, engine)
    course.think = _think(trial, course.model)


def _refuse_streams(trial: Trial, engine: EngineFacts) -> None:
    for point in trial.job.points:
        if point.concurrency > 1 and not engine.concurrent:
            raise RequestRefused(
                f"{point.name(trial.job.name)} needs {point.concurrency} streams at once, and the "
                f"{engine.kind} engine answers one request at a time",
                "give the point concurrency: 1, or take an Ollama as the engine",
            )


def _think(trial: Trial, model: ModelFacts) -> Think | None:
    """Never left to the engine's default, which may change with its version."""
    if trial.job.api != "chat":
        return None
    return model.default_think if trial.job.think is None else trial.job.think


def _load(trial: Trial, place: Place, course: Course) -> None:
    """A fresh load: nothing of an earlier trial stays in the engine. Only a quick look takes a
    model that is loaded as it is."""
    course.kept_loaded = is_loaded_as_asked(trial, place.engine)
    if not course.kept_loaded:
        place.engine.unload(trial.model)
        before_ns = place.clock.monotonic_ns()
        place.engine.load(trial.model, load_options(trial.settings))
        course.load_ns = place.clock.monotonic_ns() - before_ns
        course.loaded()
    course.placement = place.engine.placement(trial.model)


def _look(attempt: Attempt) -> str:
    if attempt.trial.job.answer_s is None:
        return ""
    return f"{attempt.submission_id}/{attempt.attempt_id}"


def _points_in_order(trial: Trial) -> list[Point]:
    """Seeded random order, the same on every machine."""
    points = list(trial.job.points)
    random.Random(f"{trial.seed}/{trial.model}/{trial.job.name}/{trial.block}").shuffle(points)
    return points


def _measure(asking: Asking, point: Point) -> None:
    """Warm-ups come one at a time, whatever the point's number of streams."""
    exact = fit_prompt(asking, point) if point.exact else None
    failed = threading.Event()
    stop = Either(asking.place.stop, failed) if point.concurrency > 1 else asking.place.stop
    streams = [Stream(asking, point, exact, number, stop) for number in range(point.concurrency)]
    for _ in range(_warm_ups(asking)):
        streams[0].warm()
    for stream in streams[1:]:
        stream.token_ns = streams[0].token_ns
    if point.concurrency > 1:
        run_side_by_side(streams, failed, asking.place.clock)
    else:
        streams[0].run()


def _warm_ups(asking: Asking) -> int:
    """A model with drafts learns over its first requests how many of them to try."""
    model, warm_ups = asking.course.model, asking.trial.job.warmup
    drafting = model is not None and model.drafts == "yes"
    return max(warm_ups, LEAST_WITH_DRAFTS) if drafting and warm_ups else warm_ups


def _restore(trial: Trial, place: Place) -> TrialError | None:
    """The model is out of memory again; an engine that cannot do that has failed the trial."""
    try:
        place.engine.unload(trial.model)
    except TrialError as problem:
        return problem
    return None


def _tidy(attempt: Attempt, place: Place, failure: Failure) -> Failure:
    """After a failure the first reason counts, whatever the clearing up says."""
    if failure.exit_code != Interrupted.exit_code:
        _restore(attempt.trial, place)
    return failure
