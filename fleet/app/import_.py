"""Figures that were measured without fleet, stored in the same tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fleet.app.home import Home
from fleet.clock import in_local_zone
from fleet.config.shipped_parts import shipped_prompts
from fleet.store.imported import Imported, ImportedFile, Origin, answer_rows, read_file
from fleet.store.imported_models import model_names
from fleet.store.transcripts import UNKNOWN
from fleet.store.written_dates import check_date, read_date


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """The request of `fleet import`, in the words of the command line."""

    file: Path
    machine: str
    date: str
    source: str
    models: Sequence[str] = ()
    experiment: str = "imported"
    keep_text: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One turn of the file, as it is stored."""

    trial: Imported
    new: bool
    """False if the store had its figures before."""
    kept_text: bool
    """Its answer was added by this import."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportReport:
    """What became of each figure of the file."""

    stored: tuple[Stored, ...]
    file: ImportedFile
    request: ImportRequest

    @property
    def complete(self) -> bool:
        """Return whether every figure of a kind that fleet knows is stored.

        A line of an unknown kind, which a newer Ollama may print, is reported and does not count.
        """
        contents = self.file.contents
        return not contents.refused and all(line.why == UNKNOWN for line in contents.unread)


def import_transcripts(home: Path, request: ImportRequest) -> ImportReport:
    """Store the turns of a file, none of them twice; raise UserError before any is stored."""
    written, now = read_date(request.date), datetime.now().astimezone()
    check_date(written, now, "--date")
    origin = Origin(
        machine=request.machine,
        source=request.source,
        date=in_local_zone(written),
        now=now,
        experiment=request.experiment,
        models=model_names(request.models),
    )
    file = read_file(request.file, origin, shipped_prompts())
    store = Home(home).store
    stored = []
    for trial in file.trials:
        new = store.write_rows(trial.attempt_id, trial.rows)
        texts = answer_rows(trial) if request.keep_text else []
        kept = bool(texts) and store.add_answers(trial.attempt_id, texts)
        stored.append(Stored(trial=trial, new=new, kept_text=kept))
    return ImportReport(stored=tuple(stored), file=file, request=request)
