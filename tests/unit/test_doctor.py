"""What doctor makes of what it found: each check on findings of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.comparability import state_facts
from fleet.config.declared import load_declared
from fleet.doctor.changes import SYSTEM, LastSeen
from fleet.doctor.findings import Findings, MachineCheck, OllamaFacts, Ownership, RayFacts
from fleet.doctor.machine import CHECKS
from fleet.doctor.owner import CHECKS as OWNERS
from fleet.doctor.system import CHECKS as AROUND
from fleet.errors import ConfigError
from fleet.fingerprint.assemble import assembled
from fleet.model.declared import DeclaredFleet, disagreements, size_in_name
from fleet.model.hours import Hours
from fleet.model.machine import FINGERPRINT_RECIPE, EngineRestart, Fact, FactValue, Fingerprint
from fleet.owner.allowed import Allowed
from fleet.units import GIB

MAC: dict[str, FactValue] = {
    "os": "darwin",
    "os_version": "26.3",
    "os_build": "25D1",
    "chip": "Apple M3 Ultra",
    "gpu": "Apple M3 Ultra",
    "gpu_cores": 60,
    "memory_gb": 96,
    "gpu_limit_mb": 79626,
    "power_source": "mains",
    "power_mode": "auto",
    "low_power_mode": False,
    "thermal_class": "nominal",
    "memory_pressure": "normal",
    "foreign_cpu_percent": 1.0,
    "engine_environment": "",
    "virtual": False,
    "container": False,
}
BOX: dict[str, FactValue] = {
    "os": "linux",
    "chip": "AMD Ryzen 9 7950X",
    "gpu": "NVIDIA GeForce RTX 4090",
    "gpu_memory_mb": 24564,
    "memory_gb": 64,
    "foreign_cpu_percent": 0.0,
}
OLLAMA = OllamaFacts(
    address="http://127.0.0.1:11434",
    version="0.32.15",
    resident=(),
    folder=Path("/models"),
    free_bytes=500 * GIB,
)


def look(facts: Mapping[str, FactValue]) -> Fingerprint:
    return assembled(
        Fact(name=name, value=value, source="told" if value is not None else "told: no reason")
        for name, value in facts.items()
    )


def findings(facts: Mapping[str, FactValue] = MAC, **changes: Any) -> Findings:
    whole = Findings(
        name="studio-96",
        label="M3-Ultra-96GB-60c",
        fingerprint=look(facts),
        ollama=OLLAMA,
        ray=RayFacts(version="2.60.0"),
    )
    return replace(whole, **changes)


def every(found: Findings) -> dict[str, MachineCheck]:
    makers = (*CHECKS, *OWNERS, *AROUND)
    return {check.name: check for make in makers for check in make(found)}


def unfit(found: Findings) -> set[str]:
    return {name for name, check in every(found).items() if check.state == "unfit"}


def mac(**facts: FactValue) -> Findings:
    return findings({**MAC, **facts})


def test_a_machine_in_order_has_nothing_unfit() -> None:
    assert unfit(findings()) == set()
    assert unfit(findings(BOX)) == set()


def test_what_can_never_be_told_is_said_once_and_makes_nothing_unfit() -> None:
    box = every(findings(BOX))["gates"]
    assert (box.state, box.finding) == (
        "cannot tell",
        "unverified: power source, low-power mode, thermal level, memory pressure; they delay "
        "no trial, except under gates: strict",
    )
    assert "gates" not in every(findings())


@pytest.mark.parametrize(
    ("version", "on_mlx"), [("0.34.0", True), ("0.33.4", False), ("main", True)]
)
def test_no_other_model_in_memory_is_said_to_hold_a_core(version: str, on_mlx: bool) -> None:
    ollama = replace(OLLAMA, version=version, resident=("a",), resident_on_mlx=on_mlx)
    assert every(findings(ollama=ollama))["resident"].finding == "in memory now: a"


@pytest.mark.parametrize(
    ("found", "name", "says", "hint"),
    [
        (mac(power_source="battery"), "power", "on battery", "plug"),
        (mac(low_power_mode=True), "power", "low-power", "pmset"),
        (mac(thermal_class="heavy"), "heat", "heavy", "cool"),
        (mac(memory_pressure="critical"), "memory", "critical", "close"),
        (mac(foreign_cpu_percent=40.0), "others", "40 %", "top"),
        (mac(foreign_gpu_percent=40), "others", "40 % of the GPU", "top"),
        (findings({**BOX, "gpu_slowed": True}), "heat", "throttled", "cool"),
        (findings({**BOX, "cpu_temperature_c": 91.0}), "heat", "91 C", "cool"),
        (
            findings(ollama=replace(OLLAMA, version=None, problem="none", hint="ollama serve")),
            *("ollama", "none", "ollama serve"),
        ),
        (
            findings(ollama=replace(OLLAMA, resident=("gpt-oss:20b",))),
            *("resident", "gpt-oss:20b", "ollama stop gpt-oss:20b"),
        ),
        (
            findings(
                ollama=replace(OLLAMA, version="0.33.4", resident=("a",), resident_on_mlx=True)
            ),
            *("resident", "before Ollama 0.34 a model on MLX keeps a core busy", "ollama stop a"),
        ),
        (findings(ollama=replace(OLLAMA, free_bytes=GIB)), "disk", "1.0", "ollama rm"),
        (findings(answers={"clock": "NTPSynchronized=no\n"}), "clock", "not set", "timedatectl"),
        (
            findings(ray=RayFacts(version="2", role="joined", address="h:1", reaches=False)),
            *("ray", "does not answer", "firewall"),
        ),
        (findings(ray=RayFacts(version="2", busy_port=6379)), "ray", "6379", "lsof -i :6379"),
    ],
)
def test_what_is_unfit_is_named_alone_and_with_its_hint(
    found: Findings, name: str, says: str, hint: str
) -> None:
    assert unfit(found) == {name}
    check = every(found)[name]
    assert says in check.finding
    assert hint in check.hint


@pytest.mark.parametrize(
    ("fact", "name"),
    [
        ("power_source", "power"),
        ("thermal_class", "heat"),
        ("memory_pressure", "memory"),
        ("foreign_cpu_percent", "others"),
        ("engine_environment", "environment"),
        ("gpu_limit_mb", "gpu"),
    ],
)
def test_what_a_machine_cannot_tell_holds_nobody_and_says_why(fact: str, name: str) -> None:
    check = every(mac(**{fact: None}))[name]
    assert check.state == "cannot tell"
    assert "no reason" in check.finding
    assert unfit(mac(**{fact: None})) == set()


def test_a_temperature_is_told_where_there_are_no_classes_of_heat() -> None:
    warm = findings({**BOX, "thermal_class": None, "cpu_temperature_c": 44.0})
    assert (every(warm)["heat"].state, every(warm)["heat"].finding) == ("ok", "44 C")
    gpu = findings({**BOX, "gpu_slowed": False, "gpu_temperature_c": 51, "cpu_temperature_c": 44})
    assert every(gpu)["heat"].finding == "51 C"


def test_what_mlx_tells_of_the_limit_stands_in_for_ollamas_log() -> None:
    printed = "{'device_name': 'Apple M3 Ultra', 'max_recommended_working_set_size': 77309411328}"
    check = every(replace(mac(gpu_limit_mb=None), answers={"mlx": printed}))["gpu"]
    assert check.state == "cannot tell"
    assert "limit 73728 MiB now, as MLX reports" in check.finding


@pytest.mark.parametrize("facts", [MAC, BOX, {**BOX, "virtual": True}, {"os": "linux"}])
def test_whatever_is_not_in_order_has_its_hint(facts: dict[str, FactValue]) -> None:
    """Of a machine that tells nothing: no engine, no folder, no past, no answers."""
    nothing = {
        name: value if name in ("os", "virtual", "gpu") else None for name, value in facts.items()
    }
    silent = findings(
        nothing,
        ollama=replace(OLLAMA, version=None, problem="none", hint="ollama serve", folder=None),
        declared=declared(memory_gb=96),
    )
    wrong = [check for check in every(silent).values() if check.state != "ok"]
    assert len(wrong) >= 8
    assert [check.name for check in wrong if not check.hint] == []


def unread(name: str, *, absent: bool = False, **facts: FactValue) -> Findings:
    """One fact of a Mac could not be had; `facts` are others of it."""
    lost = Fact(name=name, value=None, source="tool: no answer", absent=absent)
    known = {other: value for other, value in {**MAC, **facts}.items() if other != name}
    return findings(fingerprint=assembled([*look(known).facts, lost]))


def test_memory_of_the_gpu_that_others_hold_is_unfit_and_named() -> None:
    held = mac(foreign_gpu_memory_mb=70_656, foreign_gpu_programs="python 70656 MiB")
    assert unfit(held) == {"gpu users"}
    check = every(held)["gpu users"]
    assert check.finding == "others hold 69.0 GiB of the GPU's memory: python 70656 MiB"
    assert "end what holds it" in check.hint
    few = every(mac(foreign_gpu_memory_mb=300))["gpu users"]
    assert (few.state, few.finding) == ("ok", "other programs hold 300.0 MiB of the GPU's memory")
    assert "gpu users" not in every(findings({"os": "linux"}))


def test_all_that_is_in_use_is_others_while_ollama_holds_no_model() -> None:
    resting = unread("foreign_gpu_memory_mb", gpu_memory_in_use_mb=9000)
    assert unfit(resting) == {"gpu users"}
    busy = replace(resting, ollama=replace(OLLAMA, resident=None))
    assert every(busy)["gpu users"].state == "cannot tell"
    assert "no answer" in every(busy)["gpu users"].finding
    assert "GPU memory of others" in every(busy)["gates"].finding
    assert "gates" not in every(resting)


def test_a_limit_that_was_set_and_is_not_in_effect_is_unfit() -> None:
    words = "set to 90000 MiB, Ollama works with 79626 MiB"
    conflict = mac(wired_limit_mb=90_000, gpu_limit_conflict=words)
    assert unfit(conflict) == {"wired limit"}
    assert every(conflict)["wired limit"].finding == f"wired limit {words}"
    assert "restart Ollama" in every(conflict)["wired limit"].hint
    kept = replace(conflict, ownership=Ownership(restart=RESTART))
    assert every(kept)["wired limit"].hint == RESTART.how
    unknown = unread("gpu_limit_conflict", wired_limit_mb=90_000, gpu_limit_mb=90_000)
    check = every(unknown)["gpu"]
    assert (check.state, check.finding) == (
        *("cannot tell", "Apple M3 Ultra, limit 90000 MiB as set; no answer"),
    )
    assert "restart Ollama" in check.hint
    agreed = unread("gpu_limit_conflict", absent=True, wired_limit_mb=90_000)
    assert every(agreed)["gpu"].state == "ok"


def test_another_default_than_the_usual_one_is_remarked() -> None:
    odd = mac(wired_limit_mb=0, gpu_limit_mb=90_000, gpu_limit_expected_mb=79_626)
    assert every(odd)["gpu"].finding.endswith("90000 MiB, where 79626 MiB is the usual default")
    usual = mac(wired_limit_mb=0, gpu_limit_expected_mb=79_626)
    assert every(usual)["gpu"].finding == "Apple M3 Ultra, limit 79626 MiB"


def test_a_gpu_that_cannot_be_read_is_not_none() -> None:
    check = every(unread("gpu"))["gpu"]
    assert (check.state, check.finding) == ("cannot tell", "cannot be read: no answer")
    assert every(unread("gpu", absent=True))["gpu"].finding == "none: models run on the CPU"


def test_a_gpu_without_memory_of_its_own_tells_what_it_may_use() -> None:
    facts = {"gpu": "NVIDIA GB10", "gpu_memory_mb": 131_072, "gpu_usable_mb": 122_572}
    shared = every(findings({**BOX, **facts, "gpu_unified_memory": True}))["gpu"]
    assert shared.finding == (
        "NVIDIA GB10, shares the machine's memory, of which it may use 122572 MiB"
    )


def test_guests_and_containers_are_told_as_such() -> None:
    found = mac(virtual=True, hypervisor="kvm", container=True, container_kind="docker")
    told = every(found)["machine"].finding
    assert "a guest under kvm" in told
    assert "in a container (docker)" in told
    assert every(findings())["machine"].finding == "M3-Ultra-96GB-60c"


def test_a_gpu_in_parts_and_a_gpu_without_memory_of_its_own() -> None:
    parts = findings({**BOX, "gpu_mig": True, "gpu_mig_parts": "4 x 19968 MiB"})
    assert "4 x 19968 MiB: one part" in every(parts)["gpu"].finding
    assert every(findings({"os": "linux"}))["gpu"].finding == "none: models run on the CPU"
    assert every(findings(BOX))["gpu"].finding.endswith("24564 MiB of its own")


# declared against probed


def declared(**told: Any) -> tuple[Path, DeclaredFleet]:
    machines = {"studio-96": told} if told else {"another": {}}
    return Path("f.yaml"), DeclaredFleet.model_validate({"version": 1, "machines": machines})


def test_a_label_of_128_gb_on_a_machine_of_96_is_refused() -> None:
    found = findings(declared=declared(memory_gb=128))
    assert unfit(found) == {"declared"}
    assert every(found)["declared"].finding == "f.yaml says memory_gb 128, it is 96"
    assert unfit(findings(name="studio-128gb")) == {"name"}
    assert unfit(findings(name="studio-96GB", declared=declared(memory_gb=96))) == set()


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ({"chip": "m3 ultra", "gpu_cores": 60, "memory_gb": 96, "os": "darwin"}, []),
        ({"os_version": "26"}, []),
        ({"os_version": "26.3"}, []),
        ({"os_version": "2"}, ["os_version"]),
        ({"os_version": "26.30"}, ["os_version"]),
        ({"chip": "M3 Max", "gpu_cores": 80}, ["chip", "gpu_cores"]),
        ({"os": "linux", "gpu": "RTX 4090"}, ["gpu", "os"]),
    ],
)
def test_declared_facts(told: dict[str, Any], wrong: list[str]) -> None:
    _, fleet = declared(**told)
    found = disagreements(fleet.machines["studio-96"], look(MAC))
    assert [one.name for one in found] == wrong


def test_a_fact_that_cannot_be_read_is_no_proof_against_a_declaration() -> None:
    found = findings({**MAC, "gpu_cores": None}, declared=declared(gpu_cores=60))
    assert every(found)["declared"].state == "cannot tell"
    assert unfit(found) == set()


def test_a_machine_that_the_file_does_not_name_and_a_limit_on_linux() -> None:
    assert every(findings(declared=declared()))["declared"].state == "cannot tell"
    allowed = declared(allow=["wired-limit"])
    assert unfit(findings(declared=allowed)) == set()
    assert unfit(findings(BOX, declared=allowed)) == {"allowed"}


@pytest.mark.parametrize(
    ("name", "size"),
    [("studio-96gb", 96), ("96GB", 96), ("box_128-gb", 128), ("studio-96", None), ("gb10", None)],
)
def test_sizes_in_names(name: str, size: int | None) -> None:
    assert size_in_name(name) == size


def test_every_mistake_of_the_file_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text("version: 1\nmachines:\n  a: {memory: 96}\n  b: {memory_gb: many}\n")
    with pytest.raises(ConfigError) as problem:
        load_declared(file)
    told = str(problem.value)
    assert "fleet.yaml:3:7: machines.a.memory: unknown key (did you mean memory_gb?)" in told
    assert "fleet.yaml:4:18: machines.b.memory_gb: must be a whole number, not 'many'" in told


# a machine that has changed


def seen(facts: Mapping[str, FactValue] = MAC, recipe: int = FINGERPRINT_RECIPE) -> LastSeen:
    before = look(facts)
    return LastSeen(
        at="2026-11-20 10:00:00+00",
        recipe=recipe,
        hardware_id=before.hardware_id,
        software_id=before.software_id,
        facts={fact.name: fact.value for fact in before.facts},
    )


@pytest.mark.parametrize(
    ("before", "says", "apart"),
    [
        ({"memory_gb": 64}, "memory_gb 64 -> 96", "a new history"),
        ({"os_build": "25A1"}, "os_build 25A1 -> 25D1", "kept apart by software"),
        ({"gpu_driver": "580.1"}, "gpu_driver 580.1 -> unknown", "kept apart by software"),
        ({"gpu_vbios": "96"}, "gpu_vbios 96 -> unknown", "its results stay together"),
    ],
)
def test_a_machine_that_has_changed_is_told(
    before: dict[str, FactValue], says: str, apart: str
) -> None:
    check = every(findings(seen=seen({**MAC, **before})))["history"]
    assert check.state == "cannot tell"
    assert check.finding == f"changed since 2026-11-20 10:00: {says}"
    assert apart in check.hint


def test_what_is_said_to_be_kept_apart_is() -> None:
    assert set(state_facts()) > SYSTEM


def test_another_engine_is_no_change_of_the_machine() -> None:
    before = seen({**MAC, "engine": "embedded", "engine_version": "1"})
    assert every(findings(seen=before))["history"].state == "ok"


def test_a_machine_that_is_the_same_and_one_that_another_recipe_saw() -> None:
    same = {**MAC, "foreign_cpu_percent": 3.0, "power_source": "battery"}
    assert every(findings(seen=seen(same)))["history"].state == "ok"
    assert "recipe 1" in every(findings(seen=seen(recipe=1)))["history"].finding
    assert "not measured yet" in every(findings())["history"].finding


# what is the owner's

RESTART = EngineRestart(how="systemctl restart ollama.service")
NIGHT = Hours.read("22-07")


def test_how_ollama_is_run_and_what_would_restart_it() -> None:
    kept = findings(
        {**BOX, "ollama_run_as": "systemd unit ollama.service"},
        ownership=Ownership(restart=RESTART),
    )
    assert every(kept)["service"].finding == (
        "systemd unit ollama.service; restarted by: systemctl restart ollama.service"
    )
    unknown = every(findings({**BOX, "ollama_run_as": None}))["service"]
    assert (unknown.state, unknown.finding) == (
        *("cannot tell", "it is unknown how Ollama is run: no reason"),
    )
    none = findings(ollama=replace(OLLAMA, version=None, problem="none", hint=""))
    assert "service" not in every(none)


def test_what_fleet_may_do_here() -> None:
    nothing = every(findings())["permission"]
    assert (
        nothing.finding == "fleet restarts and unloads nothing of yours; trials begin at any hour"
    )
    assert nothing.hint == "to allow: fleet join --allow restart-ollama --hours 22-07"
    kinds = frozenset({"restart-ollama"})
    may = Ownership(allowed=Allowed(kinds=kinds, hours=NIGHT), restart=RESTART, wired_limit=True)
    told = every(findings(ownership=may))["permission"]
    assert told.finding == (
        "fleet may restart Ollama here and unload models that others use; "
        "it may set the wired limit; trials begin only within 22-07"
    )
    assert (told.state, told.hint) == ("ok", "")
    cannot = replace(may, restart=EngineRestart(refusal="it was started by hand"))
    assert every(findings(ownership=cannot))["permission"].hint == "Ollama: it was started by hand"
    damaged = findings(ownership=Ownership(problem="f cannot be read\n  fleet leave"))
    assert unfit(damaged) == {"permission"}
    assert every(damaged)["permission"].hint == "fleet leave"


def test_what_the_file_allows_must_be_allowed_on_the_machine() -> None:
    file = declared(allow=["restart-ollama"])
    check = every(findings(declared=file))["allowed"]
    assert (check.state, check.hint) == (
        *("cannot tell", "on it: fleet join --allow restart-ollama"),
    )
    may = Ownership(allowed=Allowed(kinds=frozenset({"restart-ollama"})))
    assert "allowed" not in every(findings(declared=file, ownership=may))


# surroundings


def test_what_measures_energy_is_named() -> None:
    assert "brew install macmon" in every(findings())["energy"].hint
    assert every(findings(programs=frozenset({"macmon"})))["energy"].state == "ok"
    guest = findings({**BOX, "virtual": True})
    assert "guest" in every(guest)["energy"].hint


def test_sleep_firewall_and_privacy_of_a_mac() -> None:
    answers = {
        "source": "Now drawing from 'AC Power'\n",
        "sleep": "Battery Power:\n sleep 1\nAC Power:\n sleep 10\n",
        "firewall": "Firewall is enabled. (State = 1)\n",
    }
    told = every(findings(answers=answers))
    assert "after 10 min of rest" in told["sleep"].finding
    assert told["firewall"].state == told["network"].state == "cannot tell"
    assert "firewall" not in every(findings(answers={"firewall": "disabled. (State = 0)"}))
    linux = every(findings(BOX, answers={"ufw": "active\n"}, ray=RayFacts(ports="6378")))
    assert "ports 6378" in linux["firewall"].hint
    assert "network" not in linux


def test_what_the_system_does_not_say_is_not_said_to_be_in_order() -> None:
    silent, linux = every(findings()), every(findings(BOX))
    assert silent["sleep"].state == "cannot tell"
    assert "it is unknown when it sleeps by itself" in silent["sleep"].finding
    assert silent["firewall"].finding == "it is unknown whether it is on"
    assert linux["firewall"].finding == "there is no systemd to tell whether one is on"
    asked = findings(BOX, answers={"ufw": "inactive\n"})
    assert "firewall" not in every(asked)
    mac_off = findings(answers={"firewall": "Firewall is disabled. (State = 0)"})
    assert "firewall" not in every(mac_off)


def test_the_example_in_the_door_sign_is_read(tmp_path: Path) -> None:
    sign = (Path(__file__).resolve().parents[2] / "configs" / "README.md").read_text()
    [example] = re.findall(r"```\n(# yaml-language-server.*machines\.schema.*?)```", sign, re.S)
    file = tmp_path / "fleet.yaml"
    file.write_text(example)
    assert load_declared(file).machines["studio-256"].allow == ("restart-ollama", "wired-limit")
