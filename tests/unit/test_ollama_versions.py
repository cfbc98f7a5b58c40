"""Which versions of Ollama are known, in Python as in the views."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from fleet.model.ollama_versions import is_checked, version_of
from fleet.plan.refusals.unchecked_version import unchecked_versions
from fleet.query.open_store import open_store, rows
from tests.builders_compare import GoldenStore
from tests.builders_plan import machine

CHECKED = ("0.12.0", "0.12", "0.30.0-rc1", "0.34.4", "0.40.9")
UNCHECKED = ("0.11.11", "0.41.0", "1.0.0", "0.0.0", "unknown", "v0.34.4", "")


def test_python_and_the_views_know_the_same_versions(tmp_path: Path) -> None:
    store = GoldenStore()
    for number, version in enumerate((*CHECKED, *UNCHECKED)):
        own = {"engine": "ollama", "engine_version": version, "model": f"m{number}"}
        store.trial(f"v{number}", **own)
        store.trial(f"i{number}", **own, imported=True, job="imported")
        store.trial(f"e{number}", **{**own, "engine": "embedded"}, job="embedded")
    with closing(open_store([store.write(tmp_path)])) as con:
        flagged = rows(con, "from speeds where contains(flags, 'unchecked_version')")
    assert {row["engine_version"] for row in flagged} == set(UNCHECKED)
    assert len(flagged) == len(UNCHECKED), "neither what was imported nor another engine"
    assert [version for version in (*CHECKED, *UNCHECKED) if is_checked(version)] == list(CHECKED)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("0.34.4", (0, 34, 4)), ("0.12", (0, 12, 0)), ("0.40.0-rc2", (0, 40, 0)), (None, None)],
)
def test_the_numbers_of_a_version(text: str | None, numbers: tuple[int, ...] | None) -> None:
    assert version_of(text) == numbers


def test_the_plan_names_each_unchecked_version_once() -> None:
    versions = {"a": "0.41.0", "b": "0.34.4", "c": "0.41.0", "d": "0.11.4"}
    machines = [machine(name, version=version) for name, version in versions.items()]
    told = [(each.machine, each.what.partition(":")[0]) for each in unchecked_versions(machines)]
    assert told == [("a, c", "Ollama 0.41.0"), ("d", "Ollama 0.11.4")]
