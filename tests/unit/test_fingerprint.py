"""Facts to hashes, ids, labels: the pure part, and the id kept in the state folder."""

from __future__ import annotations

import re
import stat
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.errors import StoreUnusable
from fleet.fingerprint import assemble
from fleet.fingerprint.nvidia import gpu_facts
from fleet.fingerprint.simulated import ScriptedProbe
from fleet.fingerprint.sizes import CARD_GB, MACHINE_GB, card_gb, machine_gb
from fleet.model.mac_gpu_limit import expected_gpu_limit_mb
from fleet.model.machine import (
    CONDITION,
    FINGERPRINT_RECIPE,
    HARDWARE,
    SOFTWARE,
    Fact,
    FactValue,
    Machine,
)
from fleet.model.script import MachineScript
from fleet.readers.nvidia_smi import Gpu
from tests.builders_commands import Recorded

UUID = "8D0F6C2A-1111-4222-8333-ABCDEFABCDEF"
EXPERT = f'+-o J99AP  <class IOPlatformExpertDevice>\n    "IOPlatformUUID" = "{UUID}"\n'
values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.floats(allow_nan=False, width=32)
)
known_facts = st.dictionaries(
    st.sampled_from(sorted(HARDWARE | SOFTWARE | CONDITION | {"uptime_s", "load_1m"})),
    values.filter(lambda value: value not in (float("inf"), float("-inf"))),
)


DERIVED = {"memory_bandwidth_gb_s", "gpu_memory_gb"}
PINNED = (
    "hardware-0d8a00ede06de97d69e2",
    "software-4253ff36b13072a58e02",
    "condition-cf13093f70019c17f4bb",
)


class Told:
    """A probe with fixed facts."""

    def __init__(self, facts: Mapping[str, FactValue], there: bool = True) -> None:
        self.name = f"told {id(self)}"
        self.tells = frozenset(facts)
        self._facts, self._there = facts, there

    def available(self) -> bool:
        return self._there

    def collect(self) -> list[Fact]:
        return [Fact(name=n, value=v, source="told") for n, v in self._facts.items()]


def ids(facts: Mapping[str, FactValue]) -> tuple[str, str, str]:
    found = assemble.fingerprint([Told(facts)])
    return found.hardware_id, found.software_id, found.condition_id


# hashes


@given(known_facts, st.randoms())
def test_the_order_of_facts_changes_nothing(facts: dict[str, FactValue], random: object) -> None:
    shuffled = list(facts.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert assemble.fingerprint([Told(facts)]) == assemble.fingerprint([Told(dict(shuffled))])


@given(known_facts, st.sampled_from(sorted(HARDWARE | SOFTWARE | CONDITION)))
def test_a_changed_fact_changes_the_hash_of_its_class_and_no_other(
    facts: dict[str, FactValue], name: str
) -> None:
    before, after = ids({**facts, name: "one"}), ids({**facts, name: "another"})
    changed = [old != new for old, new in zip(before, after, strict=True)]
    assert changed == [name in HARDWARE, name in SOFTWARE, name in CONDITION]


@given(known_facts)
def test_measured_values_change_no_hash(facts: dict[str, FactValue]) -> None:
    assert ids({**facts, "load_1m": 0.5}) == ids({**facts, "load_1m": 7.25, "swap_used_mb": 3})


def test_not_to_be_had_hashes_differently_from_not_looked_for() -> None:
    assert ids({"chip": None})[0] != ids({})[0] != ids({"chip": ""})[0]
    assert ids({"chip": None})[0] != ids({"chip": ""})[0]


def test_the_hashes_stay_what_they_are() -> None:
    """A change here makes every stored machine look new: raise FINGERPRINT_RECIPE with it."""
    facts: dict[str, FactValue] = {
        "chip": "Apple M9 Max",
        "memory_gb": 96,
        "os": "darwin",
        "wired_limit_mb": 0,
    }
    assert ids({**facts, "gpu_memory_mb": 24564}) == PINNED


def test_a_later_probe_fills_only_what_is_unknown() -> None:
    probes = [
        Told({"chip": None, "model": "first"}),
        Told({"chip": "second", "model": "second", "gpu": None}),
        Told({"os": "never"}, there=False),
    ]
    found = assemble.fingerprint(probes)
    assert (found.get("chip"), found.get("model")) == ("second", "first")
    assert {fact.name for fact in found.facts} - DERIVED == {"chip", "gpu", "model"}


@pytest.mark.parametrize(("one_mb", "other_mb"), [(24268, 24576), (24564, 24576), (15109, 15360)])
def test_another_driver_on_the_same_card_is_the_same_hardware(one_mb: int, other_mb: int) -> None:
    assert ids({"gpu_memory_mb": one_mb})[0] == ids({"gpu_memory_mb": other_mb})[0]
    assert ids({"gpu_memory_mb": one_mb})[0] != ids({"gpu_memory_mb": 12288})[0]


# sizes


@pytest.mark.parametrize("gb", MACHINE_GB)
@pytest.mark.parametrize("part_seen", [1.0, 0.985, 0.955])
def test_a_machine_is_called_by_the_size_it_was_sold_with(gb: int, part_seen: float) -> None:
    assert machine_gb(int(gb * 2**20 * part_seen)) == gb


@pytest.mark.parametrize(
    ("total_kib", "gb"),
    [(24684084, 24), (3997272, 4), (125513728, 128), (None, None), (0, None), (2**33, 8192)],
)
def test_machine_sizes(total_kib: int | None, gb: int | None) -> None:
    assert machine_gb(total_kib) == gb


@pytest.mark.parametrize(
    ("memory_mb", "gb"),
    [(24564, 24), (81559, 80), (23028, 24), (15360, 16), (143771, 141), (11264, 11), (51200, 50)],
)
def test_card_sizes(memory_mb: int, gb: int) -> None:
    assert card_gb(memory_mb) == gb


@pytest.mark.parametrize("gb", CARD_GB)
def test_a_whole_card_is_its_own_size(gb: int) -> None:
    assert card_gb(gb * 1024) == gb


@pytest.mark.parametrize(
    ("memory_gb", "version", "limit_mb"),
    [
        (96, "15.6", 73728),
        (96, "26.2", 79626),
        (128, "26", 110100),
        (512, "26.2", None),
        (96, "27.0", None),
        (96, None, None),
        (96, "²", None),
        (None, "15.6", None),
    ],
)
def test_expected_limits(memory_gb: int | None, version: str | None, limit_mb: int | None) -> None:
    assert expected_gpu_limit_mb(memory_gb, version) == limit_mb


# several GPUs


def told(gpus: Sequence[Gpu], system_memory_gb: int | None = 64) -> dict[str, FactValue]:
    return {fact.name: fact.value for fact in gpu_facts(gpus, system_memory_gb)}


def test_equal_gpus_are_counted_and_their_memory_summed() -> None:
    facts = told([Gpu(name="NVIDIA X", memory_mb=24564, driver="900.1")] * 2)
    assert (facts["gpu"], facts["gpu_count"]) == ("2x NVIDIA X", 2)
    assert (facts["gpu_memory_mb"], facts["gpu_driver"]) == (49128, "900.1")


def test_unlike_gpus_go_by_the_first_and_an_unknown_part_makes_no_sum() -> None:
    facts = told([Gpu(name="NVIDIA X", memory_mb=24564), Gpu(name="NVIDIA Y")])
    assert (facts["gpu"], facts["gpu_count"], facts["gpu_memory_mb"]) == ("NVIDIA X", 2, None)


def test_only_a_gpu_that_shares_the_memory_of_the_system_is_given_it() -> None:
    assert told([Gpu(name="NVIDIA GB10")], 128)["gpu_memory_mb"] == 128 * 1024
    assert told([Gpu(name="NVIDIA GB10")], None)["gpu_memory_mb"] is None
    assert told([Gpu(name="NVIDIA RTX 9999")])["gpu_memory_mb"] is None
    assert told([])["gpu"] is None


# simulated machines


def test_a_simulated_mac_tells_its_limit_and_a_simulated_card_its_memory() -> None:
    mac = MachineScript(os="darwin", chip="Apple M3 Ultra", memory_gb=96, gpu_memory_mb=73728)
    box = MachineScript(chip="AMD Ryzen 9 7950X", gpu="NVIDIA X", memory_gb=64, gpu_memory_mb=24564)
    on_mac, on_box = (assemble.fingerprint([ScriptedProbe(script)]) for script in (mac, box))
    assert (on_mac.get("gpu_limit_mb"), on_mac.get("gpu_memory_mb")) == (73728, None)
    assert (on_box.get("gpu_limit_mb"), on_box.get("gpu_memory_mb")) == (None, 24564)
    assert on_mac.hardware_id != on_box.hardware_id


# label


@pytest.mark.parametrize(
    ("facts", "label"),
    [
        (
            {"chip": "Apple M3 Ultra", "gpu": "Apple M3 Ultra", "memory_gb": 96, "gpu_cores": 60},
            "M3-Ultra-96GB-60c",
        ),
        ({"chip": "Apple M4 Max (Virtual)", "memory_gb": 4}, "M4-Max-Virtual-4GB"),
        ({"chip": "AMD EPYC 7B13 64-Core Processor", "memory_gb": 24}, "EPYC-7B13-24GB"),
        (
            {"chip": "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", "memory_gb": 256},
            "Xeon-Platinum-8481C-256GB",
        ),
        (
            {"chip": "AMD Ryzen 9 PRO 7940HS w/ Radeon 780M Graphics", "memory_gb": 64},
            "Ryzen-9-PRO-7940HS-64GB",
        ),
        ({"gpu": "NVIDIA GeForce RTX 4090", "gpu_memory_mb": 24564}, "RTX-4090-24GB"),
        (
            {"gpu": "2x NVIDIA GeForce RTX 4090", "gpu_memory_mb": 49128, "gpu_count": 2},
            "2x-RTX-4090-24GB",
        ),
        ({"gpu": "NVIDIA H100 80GB HBM3", "gpu_memory_mb": 81559}, "H100-80GB"),
        ({"gpu": "Tesla T4", "gpu_memory_mb": 15360}, "T4-16GB"),
        (
            {"gpu": "NVIDIA RTX 4000 SFF Ada Generation", "gpu_memory_mb": 20475},
            "RTX-4000-SFF-Ada-20GB",
        ),
        ({"os": "linux"}, "linux"),
        ({}, "machine"),
    ],
)
def test_label(facts: dict[str, FactValue], label: str) -> None:
    assert assemble.label(assemble.fingerprint([Told(facts)])) == label


# machine id


def test_machine_id_is_constant_and_another_join_name_is_another_machine() -> None:
    plain = assemble.machine_id("abc", None)
    assert plain == assemble.machine_id("abc", None) == assemble.machine_id("abc", "")
    assert len({plain, assemble.machine_id("abc", "a"), assemble.machine_id("abc", "b")}) == 3
    assert "abc" not in plain


def test_platform_id_of_a_mac_and_of_linux(tmp_path: Path) -> None:
    mac = Recorded({"ioreg -rd1 -c IOPlatformExpertDevice": EXPERT})
    assert assemble.platform_id(mac, tmp_path) == (
        UUID.lower().replace("-", ""),
        "IOPlatformUUID",
    )
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        linux = Recorded(files={"/etc/machine-id": "uninitialized\n", path: "0a" * 16 + "\n"})
        assert assemble.platform_id(linux, tmp_path) == ("0a" * 16, path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "uninitialized\n", "0" * 32, "no id at all"])
def test_a_machine_without_an_id_keeps_a_random_one(tmp_path: Path, text: str) -> None:
    commands, state = Recorded(files={"/etc/machine-id": text}), tmp_path / "deep" / "state"
    first, source = assemble.platform_id(commands, state)
    assert assemble.platform_id(commands, state) == (first, source)
    assert source == str(state / "machine-id")
    assert stat.S_IMODE((state / "machine-id").stat().st_mode) == 0o600
    assert [path.name for path in state.iterdir()] == ["machine-id"]
    assert assemble.platform_id(commands, tmp_path / "other")[0] != first


def test_processes_that_start_at_once_agree_on_one_id(tmp_path: Path) -> None:
    """Each is held after it has found no file and before it makes one."""
    barrier, found = threading.Barrier(4), set()

    def look(number: int) -> None:
        def late_random() -> str:
            barrier.wait(timeout=600)
            return f"{number + 1:032x}"

        found.add(assemble.platform_id(Recorded(), tmp_path, late_random)[0])

    threads = [threading.Thread(target=look, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["machine-id"]


def test_an_id_that_cannot_be_kept_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="cannot be kept"):
        assemble.platform_id(Recorded(), tmp_path / "file" / "state")
    (tmp_path / "machine-id").write_text("torn")
    with pytest.raises(StoreUnusable, match="holds no machine id"):
        assemble.platform_id(Recorded(), tmp_path)


# twins


def machine(name: str, platform: str, join_name: str | None = None) -> Machine:
    return Machine(
        machine_id=assemble.machine_id(platform, join_name),
        name=name,
        fingerprint=assemble.fingerprint([]),
        engine=None,
    )


def test_twins_are_named_with_the_hint() -> None:
    machines = [machine("box-a", "same"), machine("box-c", "other"), machine("box-b", "same")]
    problem = assemble.twins(machines)
    assert problem is not None
    assert "box-a and box-b" in problem.what
    assert "fleet join --name box-b-2" in problem.hint
    apart = [machines[0], machines[1], machine("box-b", "same", join_name="box-b-2")]
    assert assemble.twins(apart) is None
    assert assemble.twins([replace(machines[0])]) is None


# the published recipe


def test_the_recipe_in_the_door_sign_is_the_one_in_the_code() -> None:
    sign = (Path(assemble.__file__).parent / "README.md").read_text()
    rows = dict(re.findall(r"^\| (hardware|software|condition) \| (.+) \|$", sign, re.M))
    told = {name: frozenset(re.findall(r"`(\w+)`", row)) for name, row in rows.items()}
    assert told == {"hardware": HARDWARE, "software": SOFTWARE, "condition": CONDITION}
    assert f"version {FINGERPRINT_RECIPE}" in sign


def test_the_three_hashes_share_no_fact() -> None:
    assert len(HARDWARE | SOFTWARE | CONDITION) == sum(map(len, (HARDWARE, SOFTWARE, CONDITION)))
