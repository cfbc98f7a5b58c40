"""Trials and their outcomes as short lines of text, for progress and plans."""

from __future__ import annotations

from fleet.model.event import Failed, Finished, Lost, ModelRefused
from fleet.model.settings import Settings
from fleet.model.trial import Trial
from fleet.units import NS_PER_S


def cell_text(trial: Trial) -> str:
    """Name the block, model, job and settings of a trial."""
    varied = " ".join(f"{key}={value}" for key, value in varied_settings(trial).items())
    if trial.role == "canary":
        return f"canary  {trial.model}"
    side = f"side {trial.side}" if trial.side else ""
    parts = (f"block {trial.block + 1}", trial.model, trial.job.name, varied, side)
    return "  ".join(part for part in parts if part)


def varied_settings(trial: Trial) -> dict[str, object]:
    """Return the settings that differ from their default."""
    plain = Settings()
    return {k: v for k, v in trial.settings.items() if v != getattr(plain, k) and k != "num_thread"}


def finished_text(event: Finished) -> str:
    """Say how long a trial took and its speeds, or why it failed."""
    result = event.result
    if result.outcome == "ok":
        return f"{result.duration_ns / NS_PER_S:.1f} s  {event.speeds}".rstrip()
    return f"{result.outcome}: {result.reason} {result.detail}".strip()


def refusal_text(event: Failed | Lost | ModelRefused, machine: str) -> str:
    """Say which machine, or which model on it, is left out, and why."""
    if isinstance(event, ModelRefused):
        hint = f"; {event.hint}" if event.hint else ""
        return f"{machine}: {event.model} is left out: {event.what}{hint}"
    return f"{machine} is left out: {event.what}"
