"""What the owner of a machine allows: kept on it, read anew, taken back; damage allows nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import folders, wiring
from fleet.app.join import allow
from fleet.app.leave import disallow
from fleet.errors import UserError
from fleet.model.experiment import EmbeddedEngine
from fleet.model.hours import Hours
from fleet.owner.allowed import Allowed, read, remove, write
from fleet.owner.ownership import may, permitted
from fleet.wiring import real
from fleet.worker import NodeWorker

NIGHT = Hours.read("22-07")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this machine keeps it."""
    monkeypatch.setenv("FLEET_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("FLEET_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    return real.permission_here()


def test_what_is_written_is_read_and_taken_back(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "m.allowed.json"
    assert read(file) == Allowed()
    told = Allowed(kinds=frozenset({"restart-ollama"}), hours=NIGHT)
    write(file, told)
    assert read(file) == told
    assert [path.name for path in file.parent.iterdir()] == ["m.allowed.json"]
    assert remove(file)
    assert not remove(file)
    assert read(file) == Allowed()


def test_the_owner_s_own_restart_command_is_registered_and_taken_back(file: Path) -> None:
    said: list[str] = []
    allow([], said.append, restart_command="my 'own way'")
    assert read(file).restart_command == ("my", "own way")
    assert may(file)
    assert said[1] == "by: my 'own way'"
    allow([], said.append, hours="22-07")
    assert read(file).restart_command == ("my", "own way"), "it stays"
    assert file.stat().st_mode & 0o777 == 0o600
    disallow(said.append)
    assert read(file) == Allowed()


@pytest.mark.parametrize("command", ["", "  ", "an 'open quote"])
def test_what_is_no_command_registers_nothing(file: Path, command: str) -> None:
    with pytest.raises(UserError, match="--restart-command"):
        allow([], print, restart_command=command)
    assert not file.exists()


DAMAGED = [
    "", "{", "[]", "null", "{}", '{"form": 1}', '{"form": 2, "allow": [], "hours": null}',
    '{"form": 1, "allow": ["everything"], "hours": null}', '{"form": 1, "allow": 3, "hours": null}',
    '{"form": 1, "allow": [[]], "hours": null}', '{"form": 1, "allow": [], "hours": "22"}',
    '{"form": 1, "allow": [], "hours": null, "restart_command": "sh"}',
    '{"form": 1, "allow": [], "hours": null, "restart_command": [3]}',
    '{"form": 1, "allow": [], "hours": 22}', "[" * 9999,
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED, ids=lambda text: text[:50])
def test_a_damaged_file_allows_nothing_and_says_what_mends_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "m.allowed.json"
    file.write_text(text)
    with pytest.raises(
        UserError, match=r"m\.allowed\.json, the permission of this machine"
    ) as problem:
        read(file)
    assert "fleet leave removes it" in problem.value.hint
    allowed, why = permitted(file)
    assert allowed == Allowed()
    assert "cannot be read" in why
    assert not may(file)


@given(st.binary(max_size=200))
def test_no_content_is_an_error_of_another_kind(data: bytes) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        file = Path(folder) / "m"
        file.write_bytes(data)
        allowed, why = permitted(file)
        assert why or allowed == Allowed()


def test_a_file_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "m")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be kept"):
        write(tmp_path / "file" / "m", Allowed(hours=NIGHT))


def test_join_adds_to_what_was_allowed_and_leave_takes_all_back(file: Path) -> None:
    said: list[str] = []
    allow([], said.append, hours="22-07")
    assert said[0] == "trials begin here only within 22-07, by this machine's clock"
    allow(["restart-ollama"], said.append)
    assert read(file) == Allowed(kinds=frozenset({"restart-ollama"}), hours=NIGHT)
    assert "fleet may restart the Ollama of this machine" in said[2]
    assert "it cannot be restarted now: it is unknown how it is run" in said[3]
    allow([], said.append, hours="9-17:30")
    kinds = frozenset({"restart-ollama"})
    assert read(file) == Allowed(kinds=kinds, hours=Hours.read("9-17:30"))
    assert disallow(said.append) == [
        "fleet may no longer restart the Ollama here",
        "trials begin here at any hour again",
    ]
    assert not file.exists()
    assert disallow(said.append) == []


def test_a_damaged_file_is_written_anew_by_join(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("{")
    allow([], print, hours="22-07")
    assert read(file) == Allowed(hours=NIGHT)
    file.write_text("{")
    assert disallow(print) == [f"{file}, which could not be read, is removed"]
    assert not file.exists()


@pytest.mark.parametrize(
    ("kinds", "hours", "words"),
    [
        (["restart-olama"], None, "did you mean restart-ollama"),
        (["restart-ollama", "everything"], None, "--allow everything: there is no such permission"),
        (["restart-ollama"], "22", "--hours '22' is no span of hours"),
        (["restart-ollama", "wired-limit"], "22-07", "only a Mac has a wired limit"),
    ],
)
def test_one_wrong_word_and_nothing_is_allowed(
    file: Path, kinds: list[str], hours: str | None, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        allow(kinds, print, "linux", hours=hours)
    assert not file.exists()


def test_another_machine_of_the_same_home_has_a_permission_of_its_own() -> None:
    assert folders.permission_file("machine-a") != folders.permission_file("machine-b")


def spec(tmp_path: Path) -> wiring.WorkerSpec:
    return wiring.WorkerSpec(engine=EmbeddedEngine(kind="embedded"), state=str(tmp_path / "store"))


def test_a_node_knows_what_is_allowed_and_reads_the_hours_anew(file: Path, tmp_path: Path) -> None:
    node = wiring.node(spec(tmp_path), tmp_path / "store")
    assert (node.allowed, node.hours(), node.refusal) == (frozenset(), None, "")
    allow(["restart-ollama"], print, hours="22-07")
    assert node.hours() == NIGHT
    node = wiring.node(spec(tmp_path), tmp_path / "store")
    assert "restart-ollama" in node.allowed
    file.write_text("{")
    assert node.hours() == NIGHT, "damaged meanwhile: as it was"
    disallow(print)
    assert node.hours() is None


def test_where_it_is_damaged_nothing_is_measured(file: Path, tmp_path: Path) -> None:
    file.parent.mkdir()
    file.write_text(json.dumps({"form": 9}))
    worker = NodeWorker(spec(tmp_path))
    try:
        machine = worker.look()
    finally:
        worker.close()
    assert machine.engine is None
    assert "the permission of this machine, cannot be read" in machine.engine_error
    assert "fleet leave" in machine.engine_error
