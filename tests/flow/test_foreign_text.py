"""What others have written reaches no terminal raw: names, versions, errors and answers in a store.

Each text of a store that is no word of fleet's own gets characters that steer a terminal, and then
every reading command prints it.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fleet.cli import output
from fleet.cli.main import build
from fleet.errors import FleetError
from fleet.store.schema import TABLES
from tests.record.recording import COMMANDS, WITHOUT_JSON
from tests.record.stores import current

STEERING = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\r\x00\x7f"
OWN_WORDS = frozenset(
    """attempt_id trial_id submission_id experiment outcome role api point machine_id machine model
    job settings metric side engine facts done_reason fleet_version kind scope session chat_id
    look_id""".split()
)
"""Words by which rows are found, or that fleet itself chooses; names have a test of their own."""
NAMES = ("model", "machine", "experiment", "job")
ALLOWED = "\n"


def planted(home: Path, names: Sequence[str]) -> list[str]:
    """Append steering characters to each text in these columns; return the columns."""
    changed = set[str]()
    for table in TABLES:
        for file in (home / "results" / "current" / table).glob("*.parquet"):
            data = pq.read_table(file, partitioning=None)
            for at, field in enumerate(data.schema):
                if field.type == pa.string() and field.name in names:
                    values = [v and v + STEERING for v in data[field.name].to_pylist()]
                    changed |= {field.name} if any(values) else set()
                    data = data.set_column(at, field, pa.array(values, field.type))
            pq.write_table(data, file)
    return sorted(changed)


def printed(home: Path, words: Sequence[str], columns: str) -> str:
    variables = {"FLEET_HOME": str(home), "FLEET_STATE": str(home), "HOME": str(home)}
    with patch.dict(os.environ, {**variables, "COLUMNS": columns, "TZ": "UTC"}):
        done = CliRunner().invoke(build(), list(words))
    if isinstance(done.exception, FleetError):
        return "\n".join(output.shown([str(done.exception)], None))
    assert not done.exception or isinstance(done.exception, SystemExit), done.exception
    return done.stdout + done.stderr


def steering_in(text: str) -> list[str]:
    """Return the lines that hold a character that steers a terminal, as Python writes them."""
    bad = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return [
        ascii(line)
        for line in text.split(ALLOWED)
        if any(unicodedata.category(letter) in bad for letter in line)
    ]


def texts_of_others() -> list[str]:
    named = {f.name for schema in TABLES.values() for f in schema if f.type == pa.string()}
    return sorted(named - OWN_WORDS)


@pytest.mark.parametrize(
    "names", [texts_of_others(), *([name] for name in NAMES)], ids=["others", *NAMES]
)
def test_no_reading_command_prints_what_steers_a_terminal(tmp_path: Path, names: list[str]) -> None:
    home = current(tmp_path / "home")
    assert planted(home, names)
    wrong = {}
    for words in COMMANDS:
        forms = [tuple(words)]
        forms += [] if set(WITHOUT_JSON) & set(words) else [(*words, "--json")]
        for form in forms:
            text = printed(home, form, "100")
            if lines := steering_in(text):
                wrong[" ".join(form)] = lines[:2]
            if form[-1] == "--json" and text.startswith(("[", "{")):
                json.loads(text)
    assert wrong == {}
