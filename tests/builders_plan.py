"""Machines, requests and past attempts for the tests of the plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fleet.comparability import measured_again
from fleet.identity import canonical_json
from fleet.model.experiment import Experiment, Request
from fleet.model.job import Job, Point
from fleet.model.machine import (
    EngineFacts,
    Fact,
    FactValue,
    Fingerprint,
    Machine,
    ModelFacts,
    Proofs,
)
from fleet.model.trial import Trial
from fleet.ports import PastAttempt

GIB = 2**30
CHAT = Job(name="chat", prompt="What is gold?", points=(Point(output_tokens=64),))
SWEEP = Job(
    name="sweep",
    api="generate",
    points=(
        Point(prompt_tokens=512, output_tokens=1),
        Point(prompt_tokens=16, output_tokens=128),
        Point(depth_tokens=8192, output_tokens=128),
    ),
)


def model(name: str, digest: str = "", size_bytes: int = 8_000_000) -> ModelFacts:
    return ModelFacts(name=name, digest=digest or f"{name}-digest", size_bytes=size_bytes)


def machine(
    name: str = "studio-96",
    *,
    models: Sequence[ModelFacts] = (),
    version: str = "0.32.15",
    environment: Mapping[str, str] | None = None,
    hardware_id: str = "",
    engine_error: str = "",
    free_disk_bytes: int | None = 10**12,
    machine_id: str = "",
    **facts: FactValue,
) -> Machine:
    proofs = Proofs(exact_counts=True, server_clock=True, cache_off=True, placement=True)
    engine = EngineFacts(
        kind="ollama", version=version, proofs=proofs, environment=environment or {}
    )
    return Machine(
        machine_id=machine_id or f"id-{name}",
        name=name,
        fingerprint=Fingerprint(
            facts=tuple(Fact(name=k, value=v, source="test") for k, v in facts.items()),
            hardware_id=hardware_id or f"hw-{name}",
            software_id=f"sw-{name}",
            condition_id=f"cond-{name}",
        ),
        engine=None if engine_error else engine,
        engine_error=engine_error,
        models=tuple(models),
        free_disk_bytes=free_disk_bytes,
    )


def request(
    *, jobs: Sequence[Job] = (CHAT,), models: Sequence[str] = ("tiny",), **fields: Any
) -> Request:
    experiment = Experiment.model_validate(
        {
            "version": 1,
            "name": "x",
            "models": tuple(models),
            "jobs": tuple(dict.fromkeys(job.name for job in jobs)),
            "canary": "off",
            **fields,
        }
    )
    return Request(experiment=experiment, jobs=tuple(jobs))


def past(trial: Trial, on: Machine, **changed: Any) -> PastAttempt:
    """An attempt of this trial that went well on this machine, but for what is given."""
    assert on.engine is not None
    fields: dict[str, Any] = {
        "trial_id": trial.trial_id,
        "fence": 0,
        "outcome": "ok",
        "transient": False,
        "reason": "",
        "duration_ns": 10**9,
    }
    state: dict[str, Any] = {
        **{column.name: on.fingerprint.get(column.name) for column in measured_again()},
        "digest": trial.digest or f"{trial.model}-digest",
        "engine_version": on.engine.version,
        "engine_environment": canonical_json(on.engine.environment),
        "hardware_id": on.fingerprint.hardware_id,
    }
    state |= {name: changed.pop(name) for name in list(changed) if name not in fields}
    return PastAttempt(**(fields | changed), state=state)
