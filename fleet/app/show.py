"""One trial in full, and the command that measures its cell again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.app.named_experiments import submitted_request
from fleet.folders import ledger_file, results_folders, with_home
from fleet.ledger.journal import Ledger
from fleet.model.machine import OVER_NETWORK
from fleet.query.one_trial import SHOW_VIEWS, Shown, show
from fleet.query.open_store import WITH_READINGS, narrow_to_trials, open_store


@interruptible()
def read_trial(homes: Sequence[Path], prefix: str) -> Shown:
    """Return the trial whose id begins so."""
    with closing(open_store(results_folders(homes), WITH_READINGS, SHOW_VIEWS)) as con:
        narrow_to_trials(con, WITH_READINGS, prefix)
        return show(con, prefix)


def again_command(homes: Sequence[Path], trial: Mapping[str, object]) -> str:
    """Return what measures the cell of this trial again.

    Empty if the experiment was submitted elsewhere, so that no command here knows it.
    """
    if len(homes) != 1 or trial.get("imported") or trial.get("role") not in (None, "measure"):
        return ""
    name = str(trial["experiment"])
    if submitted_request(name, homes[0]) is None:
        return ""
    only = f"machine={trial['machine']},model={trial['model']},job={trial['job']}"
    words = ["--again", "--only", shlex.quote(only), *_endpoint_words(trial, name, homes[0])]
    return with_home(f"fleet submit {name} {' '.join(words)}", homes[0])


def _endpoint_words(trial: Mapping[str, object], name: str, home: Path) -> list[str]:
    """Return the option that named the endpoint of this trial, as it was last typed."""
    if trial.get("measured_over") != OVER_NETWORK:
        return []
    with closing(Ledger(ledger_file(home))) as ledger:
        typed = [word for command in ledger.commands(name) for word in shlex.split(command)]
    begins = f"{trial['machine']}=http"
    values = (word.removeprefix("--endpoint=") for word in typed)
    endpoint = next((value for value in values if value.startswith(begins)), None)
    return [] if endpoint is None else ["--endpoint", shlex.quote(endpoint)]
