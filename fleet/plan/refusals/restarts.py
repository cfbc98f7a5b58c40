"""Which command restarts the Ollama of each machine's owner, and where none may; pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from fleet.model.experiment import Experiment, OllamaEngine
from fleet.model.machine import Machine


def restarts(experiment: Experiment, machines: Sequence[Machine]) -> Iterator[str]:
    """What would be typed on each machine, before each trial."""
    engine = experiment.engine
    if not experiment.restart_engine or not isinstance(engine, OllamaEngine):
        return
    for machine in machines:
        how = shlex.join(engine.restart) if engine.restart else machine.restart.how
        if engine.restart or not machine.restart.refusal:
            yield f"{machine.name}: restarts Ollama before each trial: {how}"


def refused_restarts(experiment: Experiment, machines: Sequence[Machine]) -> Iterator[str]:
    """The owner's command, or the owner's permission: without either nothing is restarted."""
    engine = experiment.engine
    if not experiment.restart_engine or not isinstance(engine, OllamaEngine) or engine.restart:
        return
    for machine in machines:
        if machine.restart.refusal:
            yield (
                f"restart_engine: Ollama on {machine.name}: {machine.restart.refusal}; or give "
                "the command: engine: {kind: ollama, restart: [systemctl, restart, ollama]}"
            )
