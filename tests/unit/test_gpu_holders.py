"""Programs that hold a GPU's memory: whose they are, how much is theirs, what cannot be told."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.fingerprint.amd import KFD, AmdProbe
from fleet.fingerprint.apple import ACCELERATORS, AppleProbe
from fleet.fingerprint.assemble import assembled
from fleet.fingerprint.drm import DRM
from fleet.fingerprint.gpu_holders import (
    FOREIGN,
    IN_USE,
    PROGRAMS,
    Held,
    Holder,
    OwnProcesses,
    holder_facts,
    program_name,
)
from fleet.fingerprint.load import STATS
from fleet.fingerprint.nvidia import NvidiaProbe
from fleet.model.gates import MOST_OTHERS_MB
from fleet.model.machine import Fact
from fleet.wiring.real import host_probes
from tests.builders_commands import Recorded
from tests.unit.test_fingerprint_here import stat
from tests.unit.test_readers import TABLE

FLEET, OLLAMA, OTHER_OLLAMA = 100, 200, 300
PROCESSES = [
    (1, 0, "systemd"),
    (FLEET, 90, "fleet"),
    (101, FLEET, "python3"),
    (90, 1, "bash"),
    (91, 90, "python3"),
    (OLLAMA, 1, "ollama"),
    (201, OLLAMA, "llama-server"),
    (OTHER_OLLAMA, 1, "ollama"),
    (301, OTHER_OLLAMA, "ollama_llama_se"),
    (400, 1, "llama-server"),
    (401, 1, "Xorg"),
]
TREE = {
    " ".join(STATS): "cpu 1 0 0 1 0 0 0 0\n"
    + "".join(stat(pid, parent, name, 5) for pid, parent, name in PROCESSES)
}


def own(*servers: int) -> OwnProcesses:
    return OwnProcesses(Recorded(TREE), FLEET, lambda: servers)


def holder(pid: int | None, used_mb: int | None = 2000, name: str = "/usr/bin/x") -> Holder:
    return Holder(pid=pid, name=name, used_mb=used_mb)


def others(processes: OwnProcesses, *holders: Holder) -> list[int | None]:
    return [each.pid for each in processes.apart(holders)]


def test_fleets_own_and_the_engines_programs_are_no_others() -> None:
    every = [holder(pid) for pid, *_ in PROCESSES]
    assert others(own(), *every) == [1, 90, 91, 400, 401]


def test_another_ollama_than_the_one_that_is_asked_is_others() -> None:
    every = [holder(pid) for pid in (201, 301, 400)]
    assert others(own(OLLAMA), *every) == [301, 400]
    assert others(own(12345), *every) == [400], "a server that is not seen here tells nothing"


@pytest.mark.parametrize(
    ("name", "is_others"),
    [
        ("/usr/local/lib/ollama/llama-server", False),
        ("/usr/bin/ollama", False),
        ("/tmp/ollama123/runners/cuda_v12/ollama_llama_server", False),
        ("ollama_llama_server", False),
        ("python3", True),
        ("/home/me/not-ollama", True),
    ],
)
def test_a_process_that_cannot_be_seen_from_here_is_known_by_its_program(
    name: str, is_others: bool
) -> None:
    assert bool(others(own(), holder(77777, name=name))) is is_others
    nobody = OwnProcesses(Recorded(), None)
    assert bool(others(nobody, holder(None, name=name))) is is_others


def test_beside_an_engine_in_fleets_own_process_every_ollama_is_others() -> None:
    embedded = OwnProcesses(Recorded(TREE), FLEET, lambda: None)
    every = [holder(pid) for pid in (101, 201, 301)]
    assert others(embedded, *every, holder(77777, name="/usr/bin/ollama")) == [201, 301, 77777]


def test_a_program_without_a_name_of_its_own_goes_by_that_of_its_process() -> None:
    nameless = [Holder(pid=pid, used_mb=1) for pid in (400, 401, 77777)]
    assert [each.name for each in own().apart(nameless)] == [
        *("llama-server", "Xorg", "process 77777"),
    ]


def told(*gpus: Held, processes: OwnProcesses | None = None) -> tuple[object, object, object, Fact]:
    facts = {fact.name: fact for fact in holder_facts("tool", gpus, processes or own())}
    return facts[FOREIGN].value, facts[PROGRAMS].value, facts[IN_USE].value, facts[FOREIGN]


def test_what_others_hold_is_summed_over_all_gpus_and_named_largest_first() -> None:
    first = Held(holders=[holder(401, 120, "/usr/lib/xorg/Xorg"), holder(201)], in_use_mb=2300)
    second = Held(holders=[holder(91, 70000, "/home/me/venv/bin/python3 -m x")], in_use_mb=70100)
    value, programs, in_use, _ = told(first, second)
    assert (value, in_use) == (70120, 72400)
    assert programs == "python3 70000 MiB, Xorg 120 MiB"


@pytest.mark.parametrize(
    ("gpu", "reason"),
    [
        (Held(holders=None, in_use_mb=300), "it lists no programs"),
        (Held(holders=[holder(91, None)], in_use_mb=None), "does not tell how much x holds"),
        (Held(holders=[], in_use_mb=69000), "69000 MiB are held by none of those listed"),
        (
            Held(holders=[holder(201, 500)], in_use_mb=3000),
            "2500 MiB are held by none of those listed",
        ),
    ],
)
def test_what_may_be_held_beyond_the_list_is_unknown_and_never_0(gpu: Held, reason: str) -> None:
    value, _, _, fact = told(gpu)
    assert (value, fact.state) == (None, "unknown")
    assert reason in fact.source


def test_more_than_the_gate_lets_pass_is_enough_to_know() -> None:
    gpu = Held(holders=[holder(91, 5000), holder(401, None)], in_use_mb=None)
    assert told(gpu)[:2] == (5000, "x 5000 MiB, x ? MiB")


def test_a_gpu_that_nobody_uses() -> None:
    value, programs, in_use, _ = told(Held(holders=[], in_use_mb=4))
    assert (value, programs, in_use) == (0, None, 4)


sizes = st.one_of(st.none(), st.integers(0, 200_000))
held_gpus = st.lists(
    st.builds(
        Held,
        holders=st.one_of(
            st.none(),
            st.lists(st.builds(holder, st.sampled_from([91, 101, 201, 400, 401]), sizes)),
        ),
        in_use_mb=sizes,
    ),
    min_size=1,
    max_size=4,
)


@given(held_gpus)
def test_the_sum_accounts_for_every_program_of_others_or_says_why_not(gpus: list[Held]) -> None:
    """What is told is the sum over others; what is not told may be more than the gate's bound."""
    value, _, _, fact = told(*gpus)
    foreign = [each for gpu in gpus for each in gpu.holders or () if each.pid in (91, 400, 401)]
    known = sum(each.used_mb or 0 for each in foreign)
    if value is not None:
        assert value == known
    else:
        assert known <= MOST_OTHERS_MB
        assert ": " in fact.source
    whole = all(gpu.holders is not None for gpu in gpus)
    if whole and all(each.used_mb is not None for each in foreign) and known > MOST_OTHERS_MB:
        assert value == known


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/usr/lib/xorg/Xorg", "Xorg"),
        ("C:\\Program Files\\Game\\game.exe", "game.exe"),
        ("python train.py --token=secret", "python train.py"),
        ("...AAAAA= --shared-files", "...AAAAA="),
        ("/opt/\x1b[31mred", "\\x1b[31mred"),
        ("x" * 300, "x" * 37 + "..."),
        ("", "unknown"),
    ],
)
def test_a_program_goes_by_a_short_name_without_folders_and_arguments(path: str, name: str) -> None:
    assert program_name(path) == name


# through the probes


def values(facts: Sequence[Fact]) -> dict[str, object]:
    return {fact.name: fact.value for fact in assembled(facts).facts}


GB10 = """\
<nvidia_smi_log><driver_version>580.95.05</driver_version>
<gpu><product_name>NVIDIA GB10</product_name>
<fb_memory_usage><total>N/A</total><used>N/A</used></fb_memory_usage>
<processes>
<process_info><pid>201</pid><type>C</type><process_name>/usr/local/lib/ollama/llama-server</process_name>
<used_memory>13000 MiB</used_memory></process_info>
<process_info><pid>91</pid><type>C</type><process_name>/home/me/bin/python3</process_name>
<used_memory>{used}</used_memory></process_info>
</processes></gpu></nvidia_smi_log>
"""


def gb10(xml: str, table: str = "") -> dict[str, object]:
    machine = Recorded(
        {
            **TREE,
            "nvidia-smi -L": "GPU 0: NVIDIA GB10\n",
            "nvidia-smi -q -x": xml,
            "nvidia-smi": table,
        },
        {"/proc/meminfo": "MemTotal: 125513728 kB\n"},
    )
    return values(NvidiaProbe(machine, OwnProcesses(machine, FLEET)).collect())


def test_69_gb_of_another_program_on_a_gb10_are_seen() -> None:
    facts = gb10(GB10.format(used="70656 MiB"))
    assert (facts[FOREIGN], facts[PROGRAMS], facts[IN_USE]) == (
        *(70656, "python3 70656 MiB", None),
    )
    assert gb10(GB10.format(used="[N/A]"))[FOREIGN] is None


def test_a_gb10_may_use_what_the_system_has_and_not_what_was_sold() -> None:
    facts = gb10(GB10.format(used="1 MiB"))
    assert (facts["gpu_memory_mb"], facts["gpu_usable_mb"]) == (128 * 1024, 122572)
    assert (facts["gpu_memory_gb"], facts["gpu_unified_memory"]) == (119.7, True)
    assert facts["memory_bandwidth_gb_s"] == 273


PROCESS_TABLE = """\
+-----------------------------------------------------------------------------------------+
| Processes:                                                                              |
|  GPU   GI   CI              PID   Type   Process name                        GPU Memory |
|        ID   ID                                                               Usage      |
|=========================================================================================|
{lines}
+-----------------------------------------------------------------------------------------+
"""
LINE = "|    0   N/A  N/A              91      C   /home/me/bin/python3                    {}MiB |"


@pytest.mark.parametrize(
    ("lines", "foreign"),
    [
        (LINE.format(70656), 70656),
        ("|  No running processes found                                          |", 0),
        ("|    0   N/A  N/A              91      C   /home/me/bin/python3         N/A |", None),
        ("|    0   damaged", None),
    ],
)
def test_the_table_for_people_lists_programs_where_nothing_else_does(
    lines: str, foreign: int | None
) -> None:
    table = TABLE + PROCESS_TABLE.format(lines=lines)
    facts = gb10("<cut off", table)
    assert (facts["gpu"], facts[FOREIGN], facts[IN_USE]) == ("NVIDIA RTX 9999", foreign, 300)


def amd(kfd: str | None, used_mb: int) -> dict[str, object]:
    files = {"vendor": "0x1002", "device": "0x744c", "mem_info_vram_total": str(24 * 2**30)}
    files["mem_info_vram_used"] = str(used_mb * 2**20)
    drm = "".join(f"/sys/class/drm/card1/device/{name}:{text}\n" for name, text in files.items())
    outputs = {**TREE, " ".join(DRM): drm}
    if kfd is not None:
        outputs[" ".join(KFD)] = kfd
    machine = Recorded(outputs)
    return values(AmdProbe(machine, OwnProcesses(machine, FLEET)).collect())


def kfd(**mib: int) -> str:
    return "".join(
        f"/sys/class/kfd/kfd/proc/{pid[1:]}/vram_51545:{size * 2**20}\n"
        for pid, size in mib.items()
    )


@pytest.mark.parametrize(
    ("listed", "used_mb", "foreign"),
    [
        (kfd(p91=5000, p201=9000), 14200, 5000),
        (kfd(p201=9000), 9400, 0),
        (kfd(), 9400, None),  # by Vulkan, which the kernel does not list
        (None, 300, None),
    ],
)
def test_rocms_programs_by_the_kernels_list(
    listed: str | None, used_mb: int, foreign: int | None
) -> None:
    facts = amd(listed, used_mb)
    assert (facts[FOREIGN], facts[IN_USE]) == (foreign, used_mb)


def test_a_mac_tells_how_much_is_in_use_and_not_by_whom() -> None:
    gpu = '+-o A\n "PerformanceStatistics" = {"In use system memory"=3221225472}\n "model" = "M9"\n'
    machine = Recorded({" ".join(ACCELERATORS): gpu + ' "gpu-core-count" = 9\n'})
    facts = {fact.name: fact for fact in AppleProbe(machine).collect()}
    assert facts[IN_USE].value == 3072
    assert (facts[FOREIGN].value, facts[FOREIGN].state) == (None, "unknown")


def test_the_probes_of_a_machine_know_fleets_own_processes_and_the_engines() -> None:
    """Wired: a program of the very process that looks is not others'."""
    tree = "cpu 1 0 0 1 0 0 0 0\n" + "".join(
        stat(pid, 1, "python3", 5) for pid in (os.getpid(), 91, 92)
    )
    listed = "".join(
        f"<process_info><pid>{pid}</pid><process_name>x</process_name>"
        f"<used_memory>2000 MiB</used_memory></process_info>"
        for pid in (os.getpid(), 91, 92)
    )
    xml = "<nvidia_smi_log><gpu><product_name>X</product_name><processes>{}</processes></gpu>"
    outputs = {"nvidia-smi -L": "GPU 0\n", " ".join(STATS): tree}
    outputs["nvidia-smi -q -x"] = xml.format(listed) + "</nvidia_smi_log>"
    probes = host_probes(Recorded(outputs), lambda: [92])
    [nvidia] = [probe for probe in probes if probe.name == "nvidia"]
    assert values(nvidia.collect())[FOREIGN] == 2000
