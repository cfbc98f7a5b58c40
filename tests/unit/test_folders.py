"""Where a home lies, and how a command that is proposed names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fleet.app.head import coordinator_environment
from fleet.app.status import status
from fleet.errors import StoreUnusable, UnknownName
from fleet.folders import home_folder, ledger_file, results_folder, with_home
from fleet.ledger.journal import Ledger
from fleet.query.open_store import open_store
from tests import builders


def test_a_home_is_named_or_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_HOME", str(tmp_path / "usual"))
    assert home_folder(None) == tmp_path / "usual"
    assert home_folder(str(tmp_path / "other")) == tmp_path / "other"
    monkeypatch.delenv("FLEET_HOME")
    assert home_folder(None).name == "fleet"


def test_a_proposed_command_names_a_home_that_it_would_not_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLEET_HOME", str(tmp_path))
    assert with_home("fleet status", tmp_path) == "fleet status"
    other = tmp_path / "my home"
    assert with_home("fleet status", other) == f"fleet status --home '{other}'"
    both = with_home("fleet results", tmp_path, other)
    assert both == f"fleet results --store {tmp_path} --store '{other}'"


def test_a_home_without_results_says_how_to_measure_into_it(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable) as empty:
        open_store([results_folder(tmp_path)])
    assert f"measure first: fleet submit gpt-oss:20b --home {tmp_path}, or" in empty.value.hint


def test_what_the_ledger_and_the_queue_propose_names_their_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    request = builders.request()
    name = request.experiment.name
    first = Ledger(ledger_file(home))
    first.begin(request)
    second = Ledger(ledger_file(home))
    with pytest.raises(StoreUnusable) as running:
        second.begin(request)
    assert running.value.hint == (
        f"fleet status {name} --home {home}    or    fleet cancel {name} --home {home}"
    )
    with pytest.raises(UnknownName) as unknown:
        status(home, "nonsuch")
    assert unknown.value.hint == f"fleet status --home {home}    submitted experiments: {name}"
    first.close()
    second.close()


def test_coordinators_of_a_head_work_in_the_home_of_the_head(tmp_path: Path) -> None:
    assert coordinator_environment(tmp_path)["FLEET_HOME"] == str(tmp_path)
