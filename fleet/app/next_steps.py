"""What to type next: commands that work in the state in which they are printed."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.app.named_experiments import submitted_request
from fleet.folders import home_folder, results_folder

QUERY = "select model, point, prefill_tokens_per_s, decode_tokens_per_s from cells"
FIRST, MORE = "next:  ", "       "


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a store holds of one experiment, as far as the next command depends on it."""

    experiment: str
    by: str = ""
    """The axis that two sides or more stand on; empty: there is nothing to compare."""
    baseline: str | None = None
    trial: str | None = None
    """Its newest trial."""
    energy: bool = False
    answers: bool = False
    """It keeps what the models said."""


def next_lines(home: Path, measured: Measured) -> list[str]:
    """A command in each line, under one another."""
    name, compared = measured.experiment, ""
    steps = [f"fleet results {name}"]
    if measured.by:
        compared = f"fleet compare {name} --by {measured.by}"
        compared += f" --baseline {shlex.quote(measured.baseline)}" if measured.baseline else ""
        steps.append(compared)
    elif measured.trial:
        steps.append(f"fleet show {measured.trial}")
    if measured.answers:
        steps.append(f"fleet answers {name}")
    if measured.energy:
        steps.append(f"fleet energy show {name}")
    if measured.energy and compared:
        steps.append(f"{compared} --metric energy")
    steps = [with_store(step, home) for step in (*steps, f"fleet sql '{QUERY}'")]
    if shutil.which("duckdb"):
        steps.append(f"cd {shlex.quote(str(results_folder(home)))} && duckdb -init views.sql")
    return step_lines(steps)


def again_lines(homes: Sequence[Path], trial: Mapping[str, object]) -> list[str]:
    """What measures the cell of this trial once more; nothing where its experiment was submitted
    elsewhere, so that no command here knows it."""
    if len(homes) != 1 or trial.get("imported") or trial.get("role") not in (None, "measure"):
        return []
    name = str(trial["experiment"])
    if submitted_request(name, homes[0]) is None:
        return []
    only = f"machine={trial['machine']},model={trial['model']},job={trial['job']}"
    command = f"fleet submit {name} --again --only {shlex.quote(only)}"
    return [f"again:  {with_store(command, homes[0])}"]


def step_lines(steps: Sequence[str]) -> list[str]:
    return [f"{MORE if at else FIRST}{step}" for at, step in enumerate(steps)]


def with_store(command: str, home: Path) -> str:
    """The same for a home that the command would not find by itself."""
    return command if home == home_folder(None) else f"{command} --store {shlex.quote(str(home))}"
