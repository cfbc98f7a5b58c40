"""An Ollama on another machine is refused: it would be stored as this one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.builders_flow import Fleet, experiment

ANOTHER = "240.0.0.1:11434"
"""No machine has this address."""
SECRET = "s3cr3t"
HINT = "to measure this machine: unset OLLAMA_HOST"
COMMANDS = (("plan", "tiny"), ("submit", "tiny"), ("noise", "tiny"))
NO_ADDRESS = {
    "password": (f"http://user:{SECRET}@h:1", "it holds a user or a password"),
    "port": (f"h:{SECRET}", "it has a port that is no number from 1 to 65535"),
    "scheme": (f"{SECRET}://h", "it begins with neither http:// nor https://"),
}


def everything(fleet: Fleet) -> str:
    """All that is written below the home, as text."""
    files = [path for path in fleet.folder.rglob("*") if path.is_file()]
    return "".join(path.read_bytes().decode(errors="replace") for path in files)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_another_machine_is_refused_by_all_that_measure(fleet: Fleet, words: Any) -> None:
    done = fleet(*words, code=2, env={"OLLAMA_HOST": ANOTHER})
    assert done.err.count(f"OLLAMA_HOST names {ANOTHER}, which is another machine") == 1
    assert HINT in done.err
    assert done.out == ""
    assert fleet.parquet() == []


def test_doctor_refuses_it_among_all_that_it_finds(fleet: Fleet) -> None:
    done = fleet("doctor", code=2, env={"OLLAMA_HOST": ANOTHER})
    assert f"unfit        ollama      OLLAMA_HOST names {ANOTHER}" in done.out
    assert HINT in done.out
    told = fleet("machines", "--here", "--json", env={"OLLAMA_HOST": ANOTHER}).json()
    version = told["facts"]["engine_version"]
    assert version["value"] is None
    assert "which is another machine" in version["source"]


def test_the_file_names_it(fleet: Fleet) -> None:
    engine = {"kind": "ollama", "host": ANOTHER}
    fleet.write(experiment({}, engine=engine))
    done = fleet("plan", "configs/demo.yaml", code=2)
    assert f"engine.host names {ANOTHER}, which is another machine" in done.err
    assert "leave out engine.host" in done.err


@pytest.mark.parametrize("kind", NO_ADDRESS)
def test_what_is_no_address_is_one_message_without_its_text(fleet: Fleet, kind: str) -> None:
    host, why = NO_ADDRESS[kind]
    for words in (*COMMANDS, ("doctor",)):
        done = fleet(*words, code=2, env={"OLLAMA_HOST": host})
        assert (done.out + done.err).count(f"OLLAMA_HOST is no address of an Ollama: {why}") == 1
        assert SECRET not in done.out + done.err + everything(fleet)
