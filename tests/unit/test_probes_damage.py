"""Every probe on a machine with damaged answers: its facts are inside the table, or say why."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from fleet.fingerprint import apple, assemble, macos
from fleet.fingerprint.amd import KFD, TOOLS, AmdProbe
from fleet.fingerprint.drm import DRM
from fleet.fingerprint.engine import EngineProbe
from fleet.fingerprint.host import HostProbe
from fleet.fingerprint.linux import QUESTIONS
from fleet.fingerprint.load import PS, STATS, LoadProbe
from fleet.fingerprint.nvidia import NvidiaProbe
from fleet.model.gates import closed, unverified
from fleet.model.machine import Fingerprint
from fleet.model.plain_text import STEERING
from fleet.model.quantities import FACTS, WORDS
from fleet.ports import FactProbe
from fleet.readers.nvidia_smi import QUERY
from tests.builders_commands import Recorded
from tests.unit import test_readers as invented
from tests.unit.test_fingerprint_engine import GREP, SYSCTL, engine
from tests.unit.test_fingerprint_engine import log as ollama_log
from tests.unit.test_fingerprint_probes import FILES, GPU, MAC
from tests.unit.test_readers_damage import DAMAGES, flipped

LOOKS = 400
Outputs = Mapping[str, str]


def words(argv: Sequence[str]) -> str:
    return " ".join(argv)


def of_keys(keys: Sequence[str]) -> str:
    return "".join(f"{key}: {value}\n" for key, value in MAC.items() if key.startswith(tuple(keys)))


PROCESSES = """\
<processes><process_info><pid>44</pid><type>C</type><process_name>python</process_name>
<used_memory>5000 MiB</used_memory></process_info></processes></gpu>
"""
MAC_OUTPUTS = {
    "uname -s": "Darwin\n",
    "uname -m": "arm64\n",
    "sysctl -n machdep.cpu.brand_string": "Apple M9 Max\n",
    words(apple.QUESTIONS["sysctl"]): of_keys(apple.KEYS),
    words(macos.QUESTIONS["sysctl"]): of_keys(macos.KEYS),
    words(apple.ACCELERATORS): invented.IOREG + GPU,
    words(apple.QUESTIONS["source"]): "Now drawing from 'AC Power'\n",
    words(apple.QUESTIONS["mode"]): invented.CUSTOM,
    words(apple.THERMAL): "com.apple.system.thermalpressurelevel 0\n",
    words(apple.QUESTIONS["coarse heat"]): "\tCPU_Speed_Limit \t= 80\n",
    "vm_stat": "(page size of 16384 bytes)\nPages free: 44.\nPages inactive: 9.\n"
    "Pages speculative: 9.\n",
    words(PS): invented.PS,
    "sysctl -n hw.logicalcpu": "13\n",
    GREP: ollama_log(),
    SYSCTL: "hw.memsize: 103079215104\nkern.osproductversion: 26.3\n",
}
LINUX_OUTPUTS = {
    "uname -s": "Linux\n",
    "uname -rm": "9.9.9 x86_64\n",
    "lscpu -J": invented.LSCPU_NESTED,
    words(DRM): invented.DRM,
    words(KFD): "/sys/class/kfd/kfd/proc/44/vram_9:1073741824\n",
    words(TOOLS["rocm-smi"]): invented.ROCM,
    words(TOOLS["amd-smi"]): invented.AMD_SMI,
    words(QUESTIONS["supplies"]): "AC/type:Mains\nAC/online:1\nBAT0/type:Battery\n",
    words(QUESTIONS["dmidecode"]): invented.DIMMS,
    words(QUESTIONS["heat"]): "44000\n",
    words(STATS): invented.PROC,
    "nvidia-smi -L": "GPU 0: NVIDIA RTX 9999\n",
    "nvidia-smi -q -x": invented.NVIDIA_XML.replace("</gpu>", PROCESSES),
    f"nvidia-smi --query-gpu={','.join(QUERY)} --format=csv": f"{', '.join(QUERY)}\n"
    "NVIDIA RTX 9999, 49140 MiB, 901.10, 9.9, 410.50 W, 99.01, 45\n",
    "nvidia-smi": invented.TABLE,
}
LINUX_FILES = FILES | {
    "/proc/meminfo": "MemTotal: 65000000 kB\nMemAvailable: 6000000 kB\nSwapTotal: 9 kB\n"
    "SwapFree: 4 kB\n",
    "/proc/pressure/memory": "full avg10=0.50 avg60=0\n",
    "/proc/self/cgroup": "4:memory:/a\n1:cpu:/a\n0::/\n",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "8589934592\n",
    "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "250000\n",
    "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
    "/sys/firmware/acpi/platform_profile": "balanced\n",
    "/run/udev/data/+dmi:id": invented.UDEV_DIMMS,
}


def look(machine: Recorded, system: str) -> Fingerprint:
    probes: list[FactProbe] = [
        HostProbe(machine),
        LoadProbe(machine, 1, lambda _: None),
        EngineProbe(machine, engine, is_its=bool, home=Path("/home/invented"), system=system),
    ]
    if system == "darwin":
        return assemble.fingerprint([*probes, apple.AppleProbe(machine)])
    return assemble.fingerprint([*probes, NvidiaProbe(machine), AmdProbe(machine)])


def damaged(texts: Outputs, chance: random.Random) -> dict[str, str]:
    """A few of the answers damaged, each once or twice."""
    changed = dict(texts)
    for name in chance.sample(sorted(texts), chance.choice((1, 2, 5))):
        if not name.startswith("uname -s"):
            for _ in range(chance.choice((1, 2))):
                changed[name] = chance.choice((*DAMAGES, flipped))(changed[name], chance)
    return changed


def problems(found: Fingerprint) -> list[str]:
    wrong = []
    for fact in found.facts:
        if fact.value is None:
            wrong += [] if ": " in fact.source else [f"{fact.name} says not why"]
        elif fact.name in FACTS:
            wrong += [why] if (why := FACTS[fact.name].problem(fact.value)) else []
        elif fact.name not in WORDS:
            wrong.append(f"{fact.name} has no line")
        kinds = {unicodedata.category(letter) for letter in f"{fact.value}{fact.source}"}
        wrong += [f"{fact.name} steers a terminal"] if kinds & STEERING else []
    return wrong


@pytest.mark.parametrize(
    ("system", "outputs", "files"),
    [("darwin", MAC_OUTPUTS, {}), ("linux", LINUX_OUTPUTS, LINUX_FILES)],
)
def test_no_damage_makes_a_fact_that_cannot_be(
    system: str, outputs: Outputs, files: Outputs
) -> None:
    chance, changed = random.Random(7), 0
    whole = look(Recorded(outputs, files), system)
    for _ in range(LOOKS):
        machine = Recorded(damaged(outputs, chance), damaged(files, chance) if files else {})
        found = look(machine, system)
        assert problems(found) == []
        assert all(closed(found).values())
        assert not set(closed(found)) & set(unverified(found))
        changed += found.facts != whole.facts
    assert changed > LOOKS / 3, "the damage is seen"


@pytest.mark.parametrize(
    ("system", "outputs", "files", "least"),
    [("darwin", MAC_OUTPUTS, {}, 30), ("linux", LINUX_OUTPUTS, LINUX_FILES, 45)],
)
def test_the_undamaged_machines_are_read_nearly_whole(
    system: str, outputs: Outputs, files: Outputs, least: int
) -> None:
    found = look(Recorded(outputs, files), system)
    assert problems(found) == []
    assert len([fact for fact in found.facts if fact.state == "known"]) >= least
