"""The command that restarts the owner's Ollama on each machine, if one may; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.model.experiment import Experiment, OllamaEngine
from fleet.model.machine import Machine


def restarts(experiment: Experiment, machines: Sequence[Machine]) -> Iterator[str]:
    """Yield, for each machine, the command that runs before each trial."""
    engine = experiment.engine
    if not experiment.restart_engine or not isinstance(engine, OllamaEngine):
        return
    for machine in machines:
        if not machine.restart.refusal:
            yield f"{machine.name}: restarts Ollama before each trial: {machine.restart.how}"


def refused_restarts(experiment: Experiment, machines: Sequence[Machine]) -> Iterator[str]:
    """Refuse machines without a restart command and without the owner's permission."""
    engine = experiment.engine
    if not experiment.restart_engine or not isinstance(engine, OllamaEngine):
        return
    for machine in machines:
        if machine.restart.refusal:
            yield (
                f"restart_engine: Ollama on {machine.name}: {machine.restart.refusal}; with a "
                "command of its own: fleet join --restart-command 'systemctl restart ollama'"
            )
