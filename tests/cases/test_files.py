"""Files and surroundings of public reports: every line is a row or named, one message each."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet.store.parquet import ParquetStore
from tests.builders_cases import case, with_cases
from tests.builders_flow import Fleet
from tests.builders_store import record, result

pytestmark = with_cases

METERED = datetime(2026, 11, 30, 16, 4, tzinfo=UTC)
"""The minute of the meter's log."""
METER = ("energy", "import")
OF_VM = ("--machine", "vm")
TO_A_FULL_DISK = ("sh", "-c", 'exec "$@" > /dev/full', "sh")
IN_A_DELETED_FOLDER = ("sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh")
ANSWER = "$ ollama run m --verbose 'größe?'\nµ → 日本\n\n"


@pytest.fixture
def metered(fleet: Fleet) -> Fleet:
    """A store with one trial of the machine `vm` in the minute of the meter's log."""
    unix_ns = int(METERED.timestamp()) * 10**9
    trial = result(machine="vm", unix_ns=unix_ns, duration_ns=59 * 10**9, requests=(record(),))
    ParquetStore(fleet.store / "results").write(trial)
    return fleet


def test_40_a_stray_quotation_mark_loses_no_row(metered: Fleet) -> None:
    report = metered(*METER, str(case("40")), *OF_VM, "--json").json()
    assert (report["rows"], report["stored"], report["trials"]) == (60, 60, 1)
    assert (report["outside"], report["without_value"]) == ([], [])
    query = "select value from readings where metric = 'wall_power_w' order by offset_ns"
    watts = [row["value"] for row in metered.rows(query)]
    assert watts == pytest.approx([50 + n / 10 for n in range(60)])


def test_43_a_cell_without_end_is_one_message(metered: Fleet) -> None:
    refused = metered(*METER, str(case("43")), *OF_VM, code=2)
    assert refused.out == ""
    assert f"{case('43')}:2:1: a cell of more than 131,072 characters" in refused.err
    assert len(refused.err) < 1000


@pytest.mark.parametrize(
    ("number", "messages"),
    [
        ("50", ["50-utf16.yaml:1:1: is UTF-16 text", "save it as UTF-8"]),
        ("52", ['models: must be text, not 3.10 (write "3.10")', '(write "1e3")']),
        ("55", ["models: 'm ' has a space at its beginning or end"]),
    ],
)
def test_50_52_55_what_is_wrong_is_said(fleet: Fleet, number: str, messages: list[str]) -> None:
    refused = fleet("plan", str(case(number)), code=2)
    assert refused.out == ""
    for message in messages:
        assert refused.err.count(message) == 1
    assert "binary" not in refused.err


@pytest.mark.parametrize("host", ["host:abc", "http://user:pw@h:1"])
@pytest.mark.parametrize("command", ["plan", "submit", "doctor", "machines"])
def test_a_bad_address_is_one_message_without_its_password(
    fleet: Fleet, host: str, command: str
) -> None:
    words = {"doctor": ["doctor"], "machines": ["machines", "--here"]}.get(command, [command, "m"])
    done = fleet(*words, code=0 if command == "machines" else 2, env={"OLLAMA_HOST": host})
    printed = done.out + done.err
    assert "OLLAMA_HOST is no address of an Ollama" in printed
    assert command == "machines" or printed.count("OLLAMA_HOST is no address") == 1
    assert "pw" not in printed
    assert "abc" not in printed


def test_a_backslash_in_the_stores_name_is_refused_before_anything_is_written(
    fleet: Fleet,
) -> None:
    env = {"FLEET_HOME": "x/back\\\\slash"}
    given = ("--machine", "m", "--date", "2026-10-01", "--source", "t")
    for words in (["results"], ["import", str(case("03")), *given], ["submit", "m"]):
        refused = fleet(*words, code=2, env=env)
        assert "no query can look into a folder with a backslash" in refused.err
    assert not (fleet.folder / "x").exists()


@pytest.fixture
def answered(fleet: Fleet) -> Fleet:
    """A store with one imported answer, whose letters ASCII lacks."""
    file = fleet.folder / "answer.txt"
    figures = case("03").read_text().partition("\n")[2]
    file.write_text(ANSWER + figures)
    given = ("--machine", "m", "--date", "2026-10-01", "--source", "t", "--keep-text")
    fleet("import", str(file), *given)
    return fleet


def test_letters_that_ascii_lacks_are_escaped(answered: Fleet) -> None:
    done = answered("answers", env={"PYTHONIOENCODING": "ascii"})
    assert r"gr\xf6\xdfe?" in done.out
    assert r"\xb5 \u2192 \u65e5\u672c" in done.out


@pytest.mark.parametrize("words", [("results",), ("answers",), ("sql", "from cells")], ids=str)
def test_a_full_disk_is_one_message(answered: Fleet, words: Sequence[str]) -> None:
    done = answered(*words, code=None, before=TO_A_FULL_DISK)
    assert done.code != 0
    assert done.err.count(os.strerror(errno.ENOSPC)) == 1


def test_a_deleted_working_folder_is_one_message_where_it_is_needed(answered: Fleet) -> None:
    assert "m1" not in answered("results", before=IN_A_DELETED_FOLDER).err
    done = answered("submit", "m", code=2, before=IN_A_DELETED_FOLDER)
    assert done.err.splitlines()[0] == "the current folder has been deleted"
    assert not Path(answered.folder / "gone").exists()
