"""fleet doctor on this very machine: with a real Ollama, without one, with a past in the store."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.commands import SystemCommands
from fleet.fingerprint.assemble import assembled
from fleet.folders import results_folder
from fleet.model.machine import Fact, Fingerprint
from fleet.store.parquet import ParquetStore
from fleet.wiring import host_name
from tests import ollama_server
from tests.builders_flow import Fleet, experiment, machine
from tests.builders_store import result

NOBODY = {"OLLAMA_HOST": "127.0.0.1:9"}
"""Where no Ollama listens."""


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def states(told: dict[str, Any]) -> dict[str, str]:
    return {check["name"]: check["state"] for check in told["checks"]}


def check(told: dict[str, Any], name: str) -> dict[str, str]:
    return next(one for one in told["checks"] if one["name"] == name)


def doctor(fleet: Fleet, *words: str, code: int | None = None, **env: str) -> dict[str, Any]:
    told: dict[str, Any] = fleet("doctor", "--json", *words, code=code, env=NOBODY | env).json()
    return told


def test_without_an_engine_the_machine_is_unfit_and_the_hint_is_said(fleet: Fleet) -> None:
    done = fleet("doctor", code=1, env=NOBODY)
    lines = done.out.splitlines()
    at = next(at for at, line in enumerate(lines) if line.startswith("unfit        ollama"))
    assert "127.0.0.1:9" in lines[at]
    assert "ollama serve" in lines[at + 1]
    assert f"{host_name()} is unfit: ollama" in lines[-1]
    assert done.err == ""
    assert not (fleet.store / "results").exists(), "doctor reads only"


def test_a_label_of_128_gb_on_another_machine_is_refused(fleet: Fleet) -> None:
    memory_gb = doctor(fleet)["facts"]["memory_gb"]["value"]
    wrong = memory_gb + 32
    file = fleet.folder / "configs" / "fleet.yaml"
    file.write_text(f"version: 1\nmachines:\n  {host_name()}: {{memory_gb: {wrong}}}\n")
    told = doctor(fleet, code=1)
    assert check(told, "declared") == {
        "name": "declared",
        "state": "unfit",
        "found": f"configs/fleet.yaml says memory_gb {wrong}, it is {memory_gb}",
        "hint": f"correct machines.{host_name()}.memory_gb there, or use the right machine",
    }
    file.write_text(file.read_text().replace(str(wrong), str(memory_gb)))
    assert states(doctor(fleet))["declared"] == "ok"


def test_mistakes_of_the_file_are_told_with_their_places(fleet: Fleet) -> None:
    file = fleet.folder / "other.yaml"
    file.write_text("version: 1\nmachines: {a: {memory: 96}}\n")
    done = fleet("doctor", "--fleet", "other.yaml", code=2)
    assert "other.yaml:2:16: machines.a.memory: unknown key" in done.err
    assert "no such file" in fleet("doctor", "--fleet", "gone.yaml", code=2).err


def test_a_machine_that_changed_since_it_was_measured_is_told(fleet: Fleet) -> None:
    """The store holds this machine as it would have been with other memory and another kernel."""
    now = doctor(fleet)
    assert check(now, "history")["found"].startswith("not measured yet")
    facts = {name: fact["value"] for name, fact in now["facts"].items()}
    measured(fleet, now["machine_id"], facts)
    assert states(doctor(fleet))["history"] == "ok"
    measured(fleet, now["machine_id"], facts | {"memory_gb": 8, "kernel": "1.0"}, later=1)
    found = check(doctor(fleet), "history")
    assert f"memory_gb 8 -> {facts['memory_gb']}, kernel 1.0 -> {facts['kernel']}" in found["found"]
    assert "a new history begins" in found["hint"]


def measured(fleet: Fleet, machine_id: str, facts: dict[str, Any], later: int = 0) -> None:
    then = as_looked_at(facts)
    plain = result(later)
    trial = replace(plain.trial, machine_id=machine_id)
    zero_unix_ns = plain.zero_unix_ns + later * 10**12
    kept = replace(plain, trial=trial, fingerprint=then, zero_unix_ns=zero_unix_ns)
    ParquetStore(results_folder(fleet.store), views_sql="").write(kept)


def as_looked_at(facts: dict[str, Any]) -> Fingerprint:
    return assembled(Fact(name=name, value=value, source="then") for name, value in facts.items())


def test_a_real_ollama_is_found_with_its_environment_and_its_models(
    fleet: Fleet, tmp_path: Path
) -> None:
    ollama_server.skip_or_fail()
    variables = {"OLLAMA_FLASH_ATTENTION": "1", "OLLAMA_NUM_PARALLEL": "2", "TOKEN": "secret"}
    with ollama_server.real_ollama(tmp_path / "o", {"tiny-llama": "llama"}, variables) as server:
        there = {"OLLAMA_HOST": server.base_url, "OLLAMA_MODELS": str(tmp_path / "o" / "models")}
        idle = doctor(fleet, **there)
        assert states(idle)["ollama"] == "ok"
        assert check(idle, "ollama")["found"] == f"{server.version.ollama} at {server.base_url}"
        known = "OLLAMA_FLASH_ATTENTION=1 OLLAMA_NUM_PARALLEL=2"
        assert check(idle, "environment")["found"] == known
        assert "secret" not in json.dumps(idle)
        assert str(tmp_path) in check(idle, "disk")["found"]
        load(server.base_url, "tiny-llama")
        loaded = doctor(fleet, **there)
    assert check(loaded, "resident")["hint"] == "ollama stop tiny-llama:latest"
    assert "resident" not in states(idle)
    gone = doctor(fleet, **there)
    assert gone["software_id"] != idle["software_id"] == loaded["software_id"]
    assert gone["hardware_id"] == idle["hardware_id"]


def load(base_url: str, model: str) -> None:
    import httpx

    body = {"model": model, "prompt": "a", "stream": False, "options": {"num_predict": 1}}
    httpx.post(
        f"{base_url}/api/generate", json=body, timeout=600, trust_env=False
    ).raise_for_status()


def test_doctor_looks_at_what_is_there_and_starts_nothing(fleet: Fleet) -> None:
    """Every fact named has its source; the runner of commands is the system's own."""
    told = doctor(fleet)
    assert set(told) >= {"fit", "machine", "machine_id", "checks", "facts", "recipe"}
    assert all(fact["source"] for fact in told["facts"].values())
    assert told["fit"] is False
    kernel = SystemCommands().run(["uname", "-r"]).stdout.strip()
    assert told["facts"]["kernel"]["value"] == kernel
    assert told["facts"]["cpu_threads"]["value"] == os.cpu_count()


# fleet machines


def test_machines_here_agrees_with_the_commands_of_the_system(fleet: Fleet) -> None:
    told = fleet("machines", "--here", "--json", env=NOBODY).json()
    facts = {name: fact["value"] for name, fact in told["facts"].items()}
    assert facts["kernel"] == printed("uname", "-r")
    assert facts["architecture"] == printed("uname", "-m")
    assert facts["cpu_threads"] == int(printed("getconf", "_NPROCESSORS_CONF"))
    text = fleet("machines", "--here", env=NOBODY).out
    assert told["machine_id"] in text
    assert facts["kernel"] in text


def printed(*argv: str) -> str:
    return SystemCommands().run(argv).stdout.strip()


def test_machines_tell_guests_cores_and_bandwidth_and_a_change_of_hardware(fleet: Fleet) -> None:
    facts = {
        "chip": "Apple M3 Ultra",
        "gpu": "Apple M3 Ultra",
        "gpu_cores": 60,
        "memory_gb": 96,
        "cpu_cores": 28,
        "virtual": True,
        "hypervisor": "kvm",
        "container": False,
        "gpu_limit_mb": 73728,
        "os": "darwin",
    }
    measured(fleet, "machine-one", facts | {"memory_gb": 64})
    assert "other hardware" not in fleet("machines").out
    measured(fleet, "machine-one", facts, later=1)
    [row] = fleet("machines", "--json").json()
    assert (row["virtual"], row["hypervisor"], row["container"]) == (True, "kvm", False)
    assert (row["cpu_cores"], row["memory_bandwidth_gb_s"], row["hardware_seen"]) == (28, 800, 2)
    text = fleet("machines").out
    assert "guest (kvm)" in text
    assert "container" not in text
    assert "800 GB/s" in text
    assert "73728 MiB" in text
    assert "studio-96 was seen with other hardware before: histories stay apart" in text


def test_submit_says_what_changed_on_a_machine_since_the_last_time(fleet: Fleet) -> None:
    """Scripted machines: one gets another system, the other more memory; both are told."""
    machines = {"alpha": machine(), "beta": machine()}
    first = fleet("submit", fleet.write(experiment(machines, repeats=1)), "--yes")
    assert "has changed" not in first.err
    machines = {"alpha": machine(os_version="2.0"), "beta": machine(memory_gb=128)}
    file = fleet.write(experiment(machines, repeats=1))
    said = fleet("submit", file, "--yes").err
    assert "alpha has changed since" in said
    assert "os_version 1.0 -> 2.0 (results are kept apart by software)" in said
    assert "memory_gb 96 -> 128 (a new history begins)" in said
    beta = {row["state"]: row for row in cells(fleet) if row["machine"] == "beta"}
    assert len(beta) == 2, "one row for each of its memories"
    assert {row["trials"] for row in beta.values()} == {1}
    again = fleet("submit", file, "--yes").err
    assert "beta has changed" not in again, "it has been measured since"
    assert "alpha has changed" in again, "its results are finished, so it has not"


def cells(fleet: Fleet) -> list[dict[str, Any]]:
    return [row for row in fleet("results", "demo", "--json").json() if row["test"] == "tg128"]


def test_blocks_after_a_new_system_are_kept_apart_from_those_before(fleet: Fleet) -> None:
    """One session: a third of its blocks were measured before the update."""
    plain = {"settings": {"num_ctx": 1024, "num_batch": [8, 512]}}
    fleet("submit", fleet.write(experiment({"alpha": machine()}, repeats=1, **plain)), "--yes")
    updated = {"alpha": machine(os_version="2.0")}
    done = fleet("submit", fleet.write(experiment(updated, repeats=3, **plain)), "--yes")
    assert "os_version 1.0 -> 2.0 (results are kept apart by software)" in done.err
    assert sorted((row["state"], row["trials"]) for row in cells(fleet)) == [
        ("OS 1.0", 1),
        ("OS 1.0", 1),
        ("OS 2.0", 2),
        ("OS 2.0", 2),
    ]
    assert "in another state" in done.out
