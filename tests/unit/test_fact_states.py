"""A fact is known, absent for a known reason, or not understood: each kind, through its probe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from fleet.fingerprint import apple, assemble, macos
from fleet.fingerprint.amd import TOOLS, AmdProbe, amd_facts
from fleet.fingerprint.cgroup_limits import limit_facts
from fleet.fingerprint.drm import DRM
from fleet.fingerprint.host import HostProbe
from fleet.fingerprint.linux import linux_facts
from fleet.fingerprint.load import busiest
from fleet.fingerprint.nvidia import NvidiaProbe, gpu_facts
from fleet.fingerprint.virtual import Names, guest_facts
from fleet.model.gates import BUSY_PERCENT, LOW_POWER, unverified
from fleet.model.mac_gpu_limit import PRINTED_TO_MB
from fleet.model.machine import Fact, FactValue, Fingerprint, Machine
from fleet.readers.amd import AmdGpu
from fleet.readers.lscpu import parse_lscpu
from fleet.readers.nvidia_smi import QUERY, Gpu
from fleet.readers.pci import PCI
from tests.builders_commands import Recorded
from tests.unit.test_fingerprint_gpus import CARD, NO_LSCPU, STRIX
from tests.unit.test_fingerprint_probes import FILES
from tests.unit.test_probes_damage import MAC_OUTPUTS, words

Told = dict[str, tuple[str, FactValue, str]]


def told(facts: Sequence[Fact]) -> Told:
    """State, value and reason of each fact."""
    return {
        fact.name: (fact.state, fact.value, fact.source.partition(": ")[2])
        for fact in assemble.assembled(facts).facts
    }


def mac(**outputs: str) -> Told:
    """A whole Mac; some of its commands print something else."""
    named = {
        "custom": words(apple.QUESTIONS["mode"]),
        "batt": words(apple.QUESTIONS["source"]),
        "heat": words(apple.THERMAL),
        "therm": words(apple.QUESTIONS["coarse heat"]),
        "apple": words(apple.QUESTIONS["sysctl"]),
        "host": words(macos.QUESTIONS["sysctl"]),
    }
    changed = MAC_OUTPUTS | {named[name]: text for name, text in outputs.items()}
    machine = Recorded(changed)
    return told([*HostProbe(machine).collect(), *apple.AppleProbe(machine).collect()])


def look(facts: Told) -> Fingerprint:
    every = tuple(Fact(name=n, value=v, source="t") for n, (_, v, _) in facts.items())
    return Fingerprint(facts=every, hardware_id="h", software_id="s", condition_id="c")


# macOS


@pytest.mark.parametrize(
    ("custom", "state", "reason"),
    [
        ("AC Power:\n sleep 0\n", "absent", "this Mac has no power modes"),
        (
            "Strom:\n powermode 1\n",
            *("unknown", 'no settings for "AC Power" (headings: Strom)'),
        ),
        ("AC Power:\n powermode 7\n", "unknown", "not understood: powermode 7"),
        ("AC Power:\n", "unknown", 'no mode under "AC Power"'),
        ("", "unknown", 'no settings for "AC Power" (headings: none)'),
    ],
)
def test_a_power_mode_that_is_not_understood_opens_no_gate(
    custom: str, state: str, reason: str
) -> None:
    facts = mac(custom=custom)
    assert facts["power_mode"] == facts["low_power_mode"] == (state, None, reason)
    assert (LOW_POWER in unverified(look(facts))) is (state == "unknown")


def test_a_source_of_power_and_a_level_of_heat_that_nobody_knows() -> None:
    facts = mac(batt="Now drawing from 'Solar Power'\n", heat="level 9\n", therm="odd\n")
    assert facts["power_source"] == ("unknown", None, 'not understood: "Solar Power"')
    assert facts["thermal_class"] == ("unknown", None, 'not understood: "level 9"')


@pytest.mark.parametrize(
    ("printed", "setting", "reason"),
    [
        ("iogpu.wired_limit_mb: 0\n", ("known", 0, ""), "0 stands for a default"),
        ("", ("unknown", None, "it has no iogpu.wired_limit_mb"), "it has no iogpu"),
        (
            "iogpu.wired_limit_mb: many\n",
            ("unknown", None, 'not understood: "many"'),
            'not understood: "many"',
        ),
        (
            "iogpu.wired_limit_mb: -118000\n",
            ("unknown", None, "out of range: -118000 MiB"),
            "out of range: -118000 MiB",
        ),
    ],
)
def test_a_limit_that_is_not_there_is_no_default(
    printed: str, setting: tuple[str, FactValue, str], reason: str
) -> None:
    facts = mac(apple="hw.memsize: 103079215104\n" + printed)
    assert facts["wired_limit_mb"] == setting
    state, value, why = facts["gpu_limit_mb"]
    assert (state, value) == ("unknown", None)
    assert why.startswith(reason)


@pytest.mark.parametrize(
    ("keys", "virtual", "hypervisor"),
    [
        (
            "hw.model: Mac99,1\nmachdep.cpu.brand_string: Apple M9\n",
            *(("known", False), ("absent", None)),
        ),
        ("hw.model: VirtualMac2,1\n", ("known", True), ("known", "apple")),
        ("hw.model: VMware7,1\nkern.hv_vmm_present: 1\n", ("known", True), ("known", "vmware")),
        ("hw.model: iMac1,1\nkern.hv_vmm_present: 1\n", ("known", True), ("unknown", None)),
        ("hw.model: iMac1,1\n", ("unknown", None), ("unknown", None)),
        ("", ("unknown", None), ("unknown", None)),
    ],
)
def test_not_a_guest_is_said_only_where_something_says_so(
    keys: str, virtual: tuple[str, FactValue], hypervisor: tuple[str, FactValue]
) -> None:
    facts = mac(host=keys)
    assert (facts["virtual"][:2], facts["hypervisor"][:2]) == (virtual, hypervisor)


def test_a_mac_whose_keys_cannot_be_read_is_not_said_to_be_native() -> None:
    assert mac(host="")["rosetta"][:2] == ("unknown", None)
    assert mac()["rosetta"][:2] == ("known", False)


def test_kinds_of_core_are_told_whole_or_not_at_all() -> None:
    levels = "hw.perflevel0.name: Super\nhw.perflevel0.physicalcpu: 4\n"
    assert mac(apple=levels)["cpu_super_cores"] == ("known", 4, "")
    assert mac(apple=levels)["cpu_efficiency_cores"] == ("absent", None, "it has 4 Super")
    torn = levels + "hw.perflevel1.name: Performance\nhw.perflevel1.physicalcpu: x\n"
    assert mac(apple=torn)["cpu_core_kinds"][:2] == ("unknown", None)
    absurd = levels.replace(": 4", ": 400000")
    assert mac(apple=absurd)["cpu_core_kinds"] == ("unknown", None, "out of range: 400000 cores")


# Linux


def linux(files: Mapping[str, str], outputs: Mapping[str, str] | None = None) -> Told:
    return told(linux_facts(Recorded(outputs or {}, FILES | files)))


PROFILE = "/sys/firmware/acpi/platform_profile"


@pytest.mark.parametrize(
    ("files", "fact", "expected"),
    [
        ({PROFILE: "balanced\n"}, "power_mode", ("known", "auto", "")),
        ({PROFILE: "low-power\n"}, "power_mode", ("known", "low", "")),
        ({PROFILE: "custom\n"}, "power_mode", ("unknown", None, 'not understood: "custom"')),
        ({}, "power_mode", ("absent", None, "no power profiles here")),
        ({"/proc/loadavg": "-5 0 0\n"}, "load_1m", ("unknown", None, "out of range: -5")),
        (
            {"/proc/uptime": "soon\n"},
            *("uptime_s", ("unknown", None, 'not understood: "soon"')),
        ),
        (
            {"/proc/pressure/memory": "full avg10=-5.00\n"},
            *("memory_pressure", ("unknown", None, 'not understood: "full avg10=-5.00"')),
        ),
        (
            {"/proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 9000 kB\n"},
            *(
                "memory_available_mb",
                ("unknown", None, "out of range: 9000, and total_kib is 1000"),
            ),
        ),
    ],
)
def test_what_a_file_says_is_known_absent_or_not_understood(
    files: dict[str, str], fact: str, expected: tuple[str, FactValue, str]
) -> None:
    assert linux(files)[fact] == expected


def test_a_guest_is_ruled_out_only_by_what_could_have_named_it() -> None:
    """An Arm processor has no flag for it; then the firmware must have a name, of whatever kind."""
    arm = parse_lscpu("Architecture: aarch64\n")
    assert told(guest_facts(Names(None, None), None, arm))["virtual"][:2] == ("unknown", None)
    board = told(guest_facts(Names(None, "Invented Jetson Board"), None, arm))
    assert (board["virtual"][:2], board["hypervisor"]) == (
        *(("known", False), ("absent", None, "not a guest")),
    )
    tree = told(guest_facts(Names(None, "linux,dummy-virt"), None, arm))
    assert tree["hypervisor"][:2] == ("known", "kvm")
    assert told(guest_facts(Names(None, None), False, NO_LSCPU))["virtual"][:2] == ("known", False)
    device_tree = {"/proc/device-tree/model": "Invented Board\0"}
    files = {k: v for k, v in FILES.items() if "dmi" not in k} | device_tree
    facts = told(linux_facts(Recorded({}, files)))
    assert facts["model"][:2] == ("known", "Invented Board")


V1 = "/sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "memory_mb", "cpus"),
    [
        ({f"{V1}/memory.max": "max\n", f"{V1}/cpu.max": "max 100000\n"}, "absent", "absent"),
        ({f"{V1}/memory.max": str(2**33), f"{V1}/cpu.max": "250000 100000"}, 8192, 2.5),
        (
            {
                f"{V1}/memory/memory.limit_in_bytes": str(2**33),
                f"{V1}/cpu,cpuacct/cpu.cfs_quota_us": "150000\n",
                f"{V1}/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            *(8192, 1.5),
        ),
        (
            {
                f"{V1}/memory/memory.limit_in_bytes": "9223372036854771712\n",
                f"{V1}/cpu/cpu.cfs_quota_us": "-1\n",
                f"{V1}/cpu/cpu.cfs_period_us": "100000\n",
            },
            *("absent", "absent"),
        ),
        (
            {
                "/proc/self/cgroup": "0::/a.slice/b.scope\n",
                f"{V1}/a.slice/memory.max": str(2**32),
                f"{V1}/a.slice/b.scope/memory.max": str(2**33),
                f"{V1}/a.slice/cpu.max": "400000 100000\n",
                f"{V1}/a.slice/b.scope/cpu.max": "max 100000\n",
            },
            *(4096, 4.0),
        ),
        (
            {
                "/proc/self/cgroup": "4:memory:/docker/ab\n3:cpu,cpuacct:/docker/ab\n",
                f"{V1}/memory/memory.limit_in_bytes": "9223372036854771712\n",
                f"{V1}/memory/docker/ab/memory.limit_in_bytes": str(2**30),
                f"{V1}/cpu/docker/ab/cpu.cfs_quota_us": "50000\n",
                f"{V1}/cpu/docker/ab/cpu.cfs_period_us": "100000\n",
            },
            *(1024, 0.5),
        ),
        (
            {f"{V1}/memory.max": "plenty\n", f"{V1}/cpu.max": "0 100000\n"},
            *("unknown", "unknown"),
        ),
        (
            {
                "/proc/self/cgroup": "0::/a\n",
                f"{V1}/a/memory.max": "plenty\n",
                f"{V1}/memory.max": str(2**33),
            },
            *("unknown", "unknown"),
        ),
        ({f"{V1}/cgroup.controllers": "cpu memory\n"}, "absent", "absent"),  # of the root itself
        ({}, "unknown", "unknown"),
    ],
)
def test_limits_of_a_container_in_both_versions_and_at_every_level(
    files: dict[str, str], memory_mb: object, cpus: object
) -> None:
    """The smallest on the way up; one that is not understood may be smaller still."""
    facts = told(limit_facts(Recorded({}, files)))
    found = [
        value if state == "known" else state
        for state, value, _ in (facts["container_memory_limit_mb"], facts["container_cpu_limit"])
    ]
    assert found == [memory_mb, cpus]


# GPUs


@pytest.mark.parametrize(
    "name", ["NVIDIA N1X", "NVIDIA N1", "Xavier", "Orin (nvgpu)", "NVIDIA Thor", "NVIDIA GB10"]
)
@pytest.mark.parametrize("reported_mb", [8128, None])
def test_a_gpu_on_the_processors_chip_shares_its_memory_whatever_it_reports(
    name: str, reported_mb: int | None
) -> None:
    facts = told(gpu_facts([Gpu(name=name, memory_mb=reported_mb)], 64, 62_000))
    assert [facts[fact][1] for fact in ("gpu_memory_mb", "gpu_usable_mb")] == [64 * 1024, 62_000]
    assert facts["gpu_unified_memory"][1] is True
    assert facts["gpu_memory_gb"][1] == 60.55


@pytest.mark.parametrize(
    ("gpu", "memory_mb"),
    [
        (Gpu(name="NVIDIA GB99", no_memory=True), 64 * 1024),  # newer than this list
        (Gpu(name="NVIDIA GB99", no_memory=True, mig=True), None),
        (Gpu(name="NVIDIA GB200", memory_mb=189_471), 189_471),
        (Gpu(name="NVIDIA GH200 480GB", memory_mb=97_871), 97_871),
        (Gpu(name="NVIDIA RTX 9999"), None),
    ],
)
def test_a_gpu_of_another_name_shares_memory_where_it_reports_none_of_its_own(
    gpu: Gpu, memory_mb: int | None
) -> None:
    assert told(gpu_facts([gpu], 64, 62_000))["gpu_memory_mb"][1] == memory_mb


def test_a_machine_plans_by_what_such_a_gpu_may_use() -> None:
    found = assemble.assembled(gpu_facts([Gpu(name="NVIDIA GB10")], 128, 122_572))
    machine = Machine(machine_id="m", name="spark", fingerprint=found, engine=None)
    assert machine.gpu_memory_bytes() == 122_572 * 2**20
    smaller = assemble.assembled(gpu_facts([Gpu(name="NVIDIA GB10")], 128, 122_000))
    assert smaller.hardware_id == found.hardware_id
    assert smaller.condition_id == found.condition_id


def test_whether_a_card_is_cut_is_known_or_not() -> None:
    described, queried = Gpu(name="NVIDIA X", described=True), Gpu(name="NVIDIA X")
    assert told(gpu_facts([described], 64))["gpu_limit_mb"][0] == "absent"
    assert told(gpu_facts([queried], 64))["gpu_limit_mb"][0] == "unknown"


def test_of_several_gpus_one_that_does_not_tell_may_be_the_one() -> None:
    gpus = [Gpu(name="X", slowed=False, ecc=False), Gpu(name="X")]
    assert told(gpu_facts(gpus, 64))["gpu_slowed"][:2] == ("unknown", None)
    slowed = [replace(gpus[0], slowed=True), gpus[1]]
    assert told(gpu_facts(slowed, 64))["gpu_slowed"][1] is True
    assert (busiest([3.0, None]), busiest([BUSY_PERCENT + 1, None]), busiest([])) == (
        *(None, BUSY_PERCENT + 1, None),
    )


def test_a_way_that_shows_fewer_gpus_hides_none() -> None:
    machine = Recorded(
        {
            "nvidia-smi -L": "GPU 0\nGPU 1\n",
            "nvidia-smi -q -x": "<nvidia_smi_log>"
            + "<gpu><product_name>NVIDIA X</product_name></gpu>" * 2
            + "</nvidia_smi_log>",
            f"nvidia-smi --query-gpu={','.join(QUERY)} --format=csv": f"{', '.join(QUERY)}\n"
            "NVIDIA X, 24564 MiB, 1, 9.9, 450 W, 99, 45\nNVIDIA X, torn\n",
        }
    )
    assert told(NvidiaProbe(machine).collect())["gpu"][1] == "2x NVIDIA X"


ON_THE_BUS = {words(PCI): "0000:01:00.0/class:0x030000\n0000:01:00.0/vendor:0x10de\n"}


def test_a_gpu_whose_driver_does_not_answer_is_not_a_machine_without_one() -> None:
    probe = NvidiaProbe(Recorded(ON_THE_BUS))
    assert probe.available()
    state, value, reason = told(probe.collect())["gpu"]
    assert (state, value) == ("unknown", None)
    assert reason == "the machine has an NVIDIA GPU, and nvidia-smi is not installed"
    assert not NvidiaProbe(Recorded()).available()
    assert not NvidiaProbe(Recorded({words(PCI): "0000:00:02.0/class:0x030000\n"})).available()


def test_the_driver_that_a_tool_of_amd_tells_is_kept() -> None:
    drm = "/sys/class/drm/card1/device/vendor:0x1002\n/sys/class/drm/card1/device/device:0x744c\n"
    smi = '{"card0": {"Card Series": "X", "GPU ID": "0x744c"}, "system": {"Driver version": "6.3"}}'
    outputs = {words(DRM): drm, words(TOOLS["rocm-smi"]): smi}
    assert told(AmdProbe(Recorded(outputs)).collect())["gpu_driver"] == ("known", "6.3", "")
    plain = told(AmdProbe(Recorded({words(DRM): drm})).collect())["gpu_driver"]
    assert plain == ("absent", None, "the driver is the kernel's own")


def test_a_share_of_the_memory_that_is_not_known_is_not_nothing() -> None:
    """Counted as nothing, a machine of 128 GB with 96 GB carved out would have 32."""
    facts = told(amd_facts([replace(STRIX, vram_mb=None)], 32 * 2**20))
    assert (facts["gpu_memory_mb"][1], facts["gpu_limit_mb"][1]) == (None, None)
    drm = "/sys/class/drm/card1/device/vendor:0x1002\n/sys/class/drm/card1/device/device:0x1586\n"
    host = linux({}, {words(DRM): drm})
    assert host["memory_gb"] == (
        *("unknown", None, "how much of it the processor's GPU has is not known"),
    )


def test_a_processors_gpu_that_is_newer_than_the_list_is_no_card() -> None:
    newer = AmdGpu(card="card0", device="9999", vram_mb=512, gtt_mb=31000)
    assert told(amd_facts([newer, CARD], 64 * 2**20))["gpu"][1] == "AMD GPU 744c"
    small_card = AmdGpu(card="card0", device="9998", vram_mb=2048, gtt_mb=31000, power_limit_w=75.0)
    assert told(amd_facts([small_card], 64 * 2**20))["gpu"][1] == "AMD GPU 9998"


# a limit that was set and the one in effect


def limits(setting: FactValue, engine: FactValue) -> Told:
    found = (
        Fact(name="gpu", value="Apple M9", source="ioreg"),
        Fact(name="wired_limit_mb", value=setting, source="sysctl iogpu"),
        Fact(name="gpu_limit_mb", value=setting or None, source="sysctl iogpu, as set"),
        Fact(name="engine_gpu_limit_mb", value=engine, source="Ollama's log, to 52 MiB"),
    )
    return told(found)


@pytest.mark.parametrize(
    ("setting", "engine", "limit_mb", "state"),
    [
        (90_000, 90_000 + PRINTED_TO_MB, 90_000, "absent"),
        (90_000, 90_000 - PRINTED_TO_MB, 90_000, "absent"),
        (90_000, 90_001 + PRINTED_TO_MB, 90_001 + PRINTED_TO_MB, "known"),
        (60_000, 73_728, 73_728, "known"),
        (0, 73_728, 73_728, "absent"),
        (90_000, None, 90_000, "unknown"),
    ],
)
def test_the_limit_in_effect_is_the_limit(
    setting: int, engine: int | None, limit_mb: int, state: str
) -> None:
    facts = limits(setting, engine)
    assert facts["gpu_limit_conflict"][0] == state
    if setting:
        assert facts["gpu_limit_mb"][1] == limit_mb
        assert facts["gpu_memory_gb"][1] == round(limit_mb / 1024, 2)
    if state == "known":
        assert facts["gpu_limit_conflict"][1] == (
            f"set to {setting} MiB, Ollama works with {engine} MiB"
        )


def test_a_machine_without_a_wired_limit_has_no_conflict() -> None:
    assert "gpu_limit_conflict" not in told([Fact(name="gpu", value="X", source="t")])
