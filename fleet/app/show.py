"""One trial whole."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from fleet.app.interrupts import interruptible
from fleet.folders import results_folders
from fleet.query.one_trial import SHOW_VIEWS, Shown, show
from fleet.query.open_store import (
    WITH_READINGS,
    narrow_to_trials,
    open_store,
)


@interruptible()
def read_trial(homes: Sequence[Path], prefix: str) -> Shown:
    with closing(open_store(results_folders(homes), WITH_READINGS, SHOW_VIEWS)) as con:
        narrow_to_trials(con, WITH_READINGS, prefix)
        return show(con, prefix)
