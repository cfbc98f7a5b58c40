"""What a worker raises reaches the other end of its pipe as one message, never as a traceback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from fleet.dispatch.local import LocalDispatcher
from fleet.errors import Fault, FleetUnreachable, UserError
from fleet.model.experiment import SimulatedEngine
from fleet.pipe import serve
from fleet.ports import Worker
from fleet.wiring import WorkerSpec
from tests.builders_dispatch import FakeWorker, Spec
from tests.builders_flow import machine


class Wrong(FakeWorker):
    """Raises what no worker is meant to raise."""

    def look(self) -> Any:
        raise TypeError("'NoneType' object\nis not iterable")

    def acknowledge(self, attempt_id: str) -> None:
        raise PermissionError("the spool is read-only")


def broken() -> Worker:
    return {}["no such key"]  # type: ignore[no-any-return]


@contextmanager
def served(make: Callable[[], Worker], faults: Path) -> Iterator[Connection]:
    ours, theirs = Pipe()
    server = threading.Thread(target=serve, args=(theirs, make, faults))
    server.start()
    try:
        yield ours
    finally:
        ours.close()
        server.join()
        theirs.close()


def call(connection: Connection, name: str, *arguments: Any) -> tuple[str, Any]:
    connection.send((name, arguments))
    kind, value = connection.recv()
    return kind, value


def test_a_worker_that_cannot_be_made_answers_each_call_with_the_reason(tmp_path: Path) -> None:
    make = partial(FakeWorker, Spec("x", "id", breaks="begin"))
    with served(make, tmp_path / "faults.log") as connection:
        for name, *arguments in (("look",), ("prepare", []), ("run", [])):
            kind, problem = call(connection, name, *arguments)
            assert (kind, type(problem)) == ("raised", UserError)
            assert problem.what == "no scripted machine is called 'x'"
        connection.send(("stop", ()))
        assert call(connection, "look")[0] == "raised"
    assert not (tmp_path / "faults.log").exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (broken, "KeyError: 'no such key'"),
        (partial(Wrong, Spec("x", "id")), "TypeError: 'NoneType' object is not iterable"),
    ],
)
def test_a_fault_of_fleet_is_one_line_and_its_traceback_in_a_file(
    make: Callable[[], Worker], words: str, tmp_path: Path
) -> None:
    file = tmp_path / "state" / "faults.log"
    with served(make, file) as connection:
        kind, problem = call(connection, "look")
    assert (kind, type(problem)) == ("raised", Fault)
    assert problem.what == f"fleet itself is at fault: {words}"
    assert problem.hint == f"where it happened stands in {file}"
    assert "Traceback" in file.read_text()


def test_where_the_file_cannot_be_written_the_fault_is_told_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with served(broken, tmp_path / "taken" / "faults.log") as connection:
        _, problem = call(connection, "look")
    assert "KeyError" in problem.what
    assert "taken" in problem.hint


def test_a_spool_that_cannot_be_cleared_ends_nothing(tmp_path: Path) -> None:
    with served(partial(Wrong, Spec("x", "id")), tmp_path / "faults.log") as connection:
        connection.send(("acknowledge", ("attempt",)))
        assert call(connection, "prepare", ["m"])[0] == "event"
        assert connection.recv()[0] == "event"
        assert connection.recv() == ("done", None)


@pytest.mark.parametrize(
    ("spec", "kind", "words"),
    [
        (None, FleetUnreachable, "x: fleet itself is at fault: AttributeError"),
        ("scripted", UserError, "x: no scripted machine is called 'x'"),
    ],
)
def test_a_worker_process_that_cannot_begin_is_told_by_name(
    spec: str | None,
    kind: type[Exception],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FLEET_STATE", str(tmp_path))
    engine = SimulatedEngine.model_validate({"kind": "simulated", "machines": {"y": machine()}})
    made = WorkerSpec(engine=engine, name="x", state=str(tmp_path)) if spec else None
    with closing(LocalDispatcher({"x": made})) as dispatcher, pytest.raises(kind, match=words):
        dispatcher.machines()
    assert capfd.readouterr().err == ""
