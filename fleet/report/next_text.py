"""What to type next: commands that work in the state in which they are printed."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.folders import results_folder, with_home

QUERY = "select model, point, prefill_tokens_per_s, decode_tokens_per_s from cells"
FIRST, MORE = "next:  ", "       "


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredExperiment:
    """What the results hold of one experiment, as far as the next command depends on it."""

    name: str
    axis: str = ""
    """The axis on which two sides or more stand; empty if there is nothing to compare."""
    baseline: str | None = None
    trial: str | None = None
    """The newest trial."""
    energy: bool = False
    answers: bool = False
    """Whether the answers of the models are kept."""


def next_lines(home: Path, experiment: StoredExperiment) -> list[str]:
    """Return one command on each line."""
    name, comparison = experiment.name, ""
    steps = [f"fleet results {name}"]
    if experiment.axis:
        comparison = f"fleet compare {name} --by {experiment.axis}"
        if experiment.baseline:
            comparison += f" --baseline {shlex.quote(experiment.baseline)}"
        steps.append(comparison)
    elif experiment.trial:
        steps.append(f"fleet show {experiment.trial}")
    if experiment.answers:
        steps.append(f"fleet answers {name}")
    if experiment.energy:
        steps.append(f"fleet energy show {name}")
    if experiment.energy and comparison:
        steps.append(f"{comparison} --metric energy")
    steps = [with_home(step, home) for step in (*steps, f"fleet sql '{QUERY}'")]
    if shutil.which("duckdb"):
        steps.append(f"cd {shlex.quote(str(results_folder(home)))} && duckdb -init views.sql")
    return step_lines(steps)


def step_lines(steps: Sequence[str]) -> list[str]:
    """Align the commands below one another."""
    return [f"{MORE if at else FIRST}{step}" for at, step in enumerate(steps)]
