"""Small true things for tests to build on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fleet.model.experiment import EmbeddedEngine, Experiment, Request
from fleet.model.job import Job, Point
from fleet.model.measure import Reply, RequestRecord, TrialResult
from fleet.model.settings import Value
from fleet.model.trial import Attempt, Trial, trial_id
from fleet.ports import Stop
from fleet.units import NS_PER_S

MS = 1_000_000


@dataclass
class SteppedClock:
    """Moves only while somebody sleeps."""

    now_ns: int = 0
    unix_zero_ns: int = 1_700_000_000_000_000_000
    slept_ns: int = 0
    """As the machine itself: what `suspended_ns` tells."""

    def unix_ns(self) -> int:
        return self.unix_zero_ns + self.now_ns + self.slept_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    def suspended_ns(self) -> int:
        return self.slept_ns

    def sleep(self, seconds: float, stop: Stop) -> None:
        self.now_ns += round(seconds * NS_PER_S)


@dataclass
class StoppedClock(SteppedClock):
    """Somebody sets the event that ends a sleep while that lasts; nobody may sleep after it."""

    def sleep(self, seconds: float, stop: Stop) -> None:
        super().sleep(seconds, stop)
        assert isinstance(stop, threading.Event)
        assert not stop.is_set(), "it sleeps although it was told to stop"
        stop.set()


def job(name: str = "gold", **changes: Any) -> Job:
    return Job(name=name, **{"prompt": "why is gold yellow", "requests": 2, **changes})


def exact_job(*points: Point) -> Job:
    return Job(
        name="prefill-decode",
        api="generate",
        points=points or (Point(prompt_tokens=512, output_tokens=1),),
    )


def experiment(**changes: Any) -> Experiment:
    plain = {
        "version": 1,
        "name": "demo",
        "models": ("tiny-llama",),
        "jobs": ("gold",),
        "engine": {"kind": "embedded"},
        "repeats": 3,
    }
    return Experiment.model_validate({**plain, **changes})


def request(**changes: Any) -> Request:
    return Request(experiment=experiment(**changes), jobs=(job(),))


def trial(
    *,
    block: int = 0,
    machine: str = "studio-96",
    model: str = "tiny-llama",
    job: Job | None = None,
    settings: Mapping[str, Value] | None = None,
    **changes: Any,
) -> Trial:
    asked = job or globals()["job"]()
    given = settings or {"num_ctx": 1024, "num_batch": 512, "temperature": 0.0}
    engine = changes.pop("engine", EmbeddedEngine(kind="embedded"))
    plain: dict[str, Any] = {
        "experiment": "demo",
        "machine_id": f"machine-{machine}",
        "model": model,
        "block": block,
    }
    made: dict[str, Any] = {
        **plain,
        "trial_id": "",
        "machine": machine,
        "digest": "",
        "job": asked,
        "engine": engine,
        "settings": given,
        "position": block,
        "seed": 1,
        "estimate_s": 1.0,
    }
    built = Trial(**{**made, **changes})
    return built if built.trial_id else replace(built, trial_id=trial_id(built))


def attempt(fence: int = 0, **changes: Any) -> Attempt:
    return Attempt(trial=trial(**changes), fence=fence)


def reply(**changes: Any) -> Reply:
    plain: dict[str, Any] = {
        "sent_ns": 10 * MS,
        "first_chunk_ns": 60 * MS,
        "first_answer_ns": 60 * MS,
        "last_chunk_ns": 90 * MS,
        "ended_ns": 91 * MS,
        "chunks": 4,
        "chunk_gaps_us": (10_000, 10_000, 10_000),
        "prompt_tokens": 12,
        "prompt_ns": 50 * MS,
        "output_tokens": 4,
        "output_ns": 30 * MS,
        "done_reason": "length",
        "output_sha256": "00" * 32,
    }
    return Reply(**{**plain, **changes})


def record(index: int = 0, **changes: Any) -> RequestRecord:
    plain: dict[str, Any] = {
        "index": index,
        "point": "gold",
        "warmup": False,
        "prompt_tokens_asked": None,
        "depth_tokens": 0,
        "output_tokens_asked": 4,
        "seed": 1,
        "nonce": " the of",
        "reply": reply(),
    }
    return RequestRecord(**{**plain, **changes})


def result(attempt: Attempt, **changes: Any) -> TrialResult:
    plain: dict[str, Any] = {
        "attempt_id": attempt.attempt_id,
        "fence": attempt.fence,
        "trial": attempt.trial,
        "outcome": "ok",
        "zero_ns": 1_000,
        "zero_unix_ns": 1_700_000_000_000_000_000,
        "duration_ns": 200 * MS,
        "fleet_version": "0.1.0",
        "engine_version": "1.0",
        "digest": "sha256:aa",
        "requests": (record(),),
    }
    return TrialResult(**{**plain, **changes})
