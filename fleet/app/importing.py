"""Figures that others measured, put into the same tables."""

from __future__ import annotations

from pathlib import Path

from fleet import config
from fleet.app.homes import Home
from fleet.store.imported import import_file


def import_transcripts(
    home: Path,
    file: Path,
    *,
    machine: str,
    date: str,
    source: str,
    model: str | None,
    experiment: str,
) -> list[str]:
    """One line per trial found, then what to type next; nothing is stored twice."""
    found = import_file(
        file,
        machine=machine,
        date=date,
        source=source,
        model=model,
        experiment=experiment,
        known_jobs=config.shipped_prompts(),
    )
    store = Home(home).store
    lines = []
    for each in found:
        new = store.write_rows(each.attempt_id, each.rows)
        words = "stored" if new else "there already"
        count = each.transcript.output_tokens
        tokens = f"{count} output tokens" if count else ""
        lines.append(f"{words}: {each.model}  {each.job}  {tokens}".rstrip())
    lines.append(f"next:  fleet results {experiment}    fleet compare {experiment} --by model")
    return lines
