"""Trials and their ends as short lines of text, for progress and plans."""

from __future__ import annotations

from fleet.model.event import Finished
from fleet.model.settings import Settings
from fleet.model.trial import Trial
from fleet.units import NS_PER_S


def cell_text(trial: Trial) -> str:
    varied = " ".join(f"{key}={value}" for key, value in varied_settings(trial).items())
    if trial.role == "canary":
        return f"canary  {trial.model}"
    side = f"side {trial.side}" if trial.side else ""
    parts = (f"block {trial.block + 1}", trial.model, trial.job.name, varied, side)
    return "  ".join(part for part in parts if part)


def varied_settings(trial: Trial) -> dict[str, object]:
    """The settings that say something here: those off their default."""
    plain = Settings()
    return {k: v for k, v in trial.settings.items() if v != getattr(plain, k) and k != "num_thread"}


def finished_text(event: Finished) -> str:
    """How long a trial took and what the views make of it, or why it failed."""
    result = event.result
    if result.outcome == "ok":
        return f"{result.duration_ns / NS_PER_S:.1f} s  {event.speeds}".rstrip()
    return f"{result.outcome}: {result.reason} {result.detail}".strip()
