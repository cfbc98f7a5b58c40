"""Probes over the real runner of commands, against small programs on PATH that play a machine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from fleet.commands import SystemCommands
from fleet.fingerprint import assemble
from fleet.fingerprint.amd import AmdProbe
from fleet.fingerprint.apple import ACCELERATORS, DISPLAYS, THERMAL, AppleProbe
from fleet.fingerprint.engine import EngineProbe
from fleet.fingerprint.host import HostProbe
from fleet.fingerprint.nvidia import NvidiaProbe
from fleet.model.machine import CONDITION, HARDWARE, SOFTWARE, Fact, FactValue, Fingerprint
from fleet.ports import Output
from fleet.readers.nvidia_smi import QUERY
from fleet.readers.sensors import PRINT_HEAT, parse_heat

MAC = {
    "hw.memsize": str(96 * 2**30),
    "hw.model": "Mac99,1",
    "hw.physicalcpu": "13",
    "hw.logicalcpu": "13",
    "hw.perflevel0.name": "Super",
    "hw.perflevel0.physicalcpu": "4",
    "hw.perflevel1.name": "Performance",
    "hw.perflevel1.physicalcpu": "9",
    "machdep.cpu.brand_string": "Apple M9 Max",
    "kern.osproductversion": "26.3",
    "kern.osversion": "25X99",
    "kern.osrelease": "25.9.0",
    "kern.boottime": "{ sec = 1800000000, usec = 0 } Fri Jan 15 08:00:00 2027",
    "kern.hv_vmm_present": "0",
    "kern.memorystatus_vm_pressure_level": "1",
    "vm.swapusage": "total = 0.00M  used = 12.00M  free = 0.00M  (encrypted)",
    "vm.loadavg": "{ 1.25 2.50 3.75 }",
    "iogpu.wired_limit_mb": "0",
    "iogpu.dynamic_lwm": "1",
}
GPU = """\
+-o AGXAcceleratorG99X  <class AGXAcceleratorG99X, id 0x1>
    {
      "gpu-core-count" = 44
      "model" = "Apple M9 Max"
    }
"""
ANSWER = """\
#!/bin/sh
set -- {name} "$@"
file="{folder}/answers/$*"
if [ -f "$file" ]; then exec /bin/cat "$file"; fi
echo "cannot $*" >&2
exit 1
"""
SYSCTL = """\
#!/bin/sh
bare=0; code=0
if [ "$1" = -n ]; then bare=1; shift; fi
for key in "$@"; do
  found=0
  while read -r name value; do
    case "$name" in "$key": | "$key".*)
      found=1
      if [ $bare = 1 ]; then echo "$value"; else echo "$name $value"; fi ;;
    esac
  done < "{folder}/sysctl"
  if [ $found = 0 ]; then echo "sysctl: unknown oid '$key'" >&2; code=1; fi
done
exit $code
"""
NVIDIA_XML = """\
<nvidia_smi_log><driver_version>901.10</driver_version><cuda_version>19.1</cuda_version>
<gpu><product_name>NVIDIA GeForce RTX 9999</product_name>
<fb_memory_usage><total>24564 MiB</total></fb_memory_usage>
<ecc_mode><current_ecc>Disabled</current_ecc></ecc_mode>
<gpu_power_readings><current_power_limit>450.00 W</current_power_limit></gpu_power_readings>
</gpu></nvidia_smi_log>
"""
QUERY_ARGV = ("nvidia-smi", f"--query-gpu={','.join(QUERY)}", "--format=csv")


class Tools:
    """Programs on PATH whose answers a test sets and changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.values: dict[str, str] = {}
        (folder / "answers").mkdir()
        (folder / "bin").mkdir()
        for name in ("uname", "ioreg", "pmset", "notifyutil", "sw_vers", "system_profiler"):
            self.program(name, ANSWER)
        for name in ("nvidia-smi", "lscpu", "vm_stat"):
            self.program(name, ANSWER)
        self.program("sysctl", SYSCTL)
        self.sysctl({})

    def program(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(script.replace("{folder}", str(self.folder)).replace("{name}", name))
        path.chmod(0o755)

    def answer(self, argv: Sequence[str], text: str) -> None:
        (self.folder / "answers" / " ".join(argv)).write_text(text)

    def sysctl(self, values: dict[str, str]) -> None:
        self.values |= values
        lines = (f"{key}: {value}\n" for key, value in self.values.items())
        (self.folder / "sysctl").write_text("".join(lines))


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    tools = Tools(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tools


@pytest.fixture
def mac(tools: Tools) -> Tools:
    tools.sysctl(MAC)
    tools.answer(["uname", "-s"], "Darwin\n")
    tools.answer(["uname", "-m"], "arm64\n")
    tools.answer(ACCELERATORS, GPU)
    tools.answer(THERMAL, "com.apple.system.thermalpressurelevel 0\n")
    tools.answer(["pmset", "-g", "batt"], "Now drawing from 'AC Power'\n")
    tools.answer(
        ["pmset", "-g", "custom"],
        "Battery Power:\n powermode 1\nAC Power:\n powermode 2\n sleep 0\n",
    )
    return tools


def look() -> Fingerprint:
    commands = SystemCommands()
    return assemble.fingerprint([HostProbe(commands), AppleProbe(commands), NvidiaProbe(commands)])


def values(found: Fingerprint, *names: str) -> list[FactValue]:
    return [found.get(name) for name in names]


def test_a_mac_is_read_whole(mac: Tools) -> None:
    found = look()
    assert values(found, "os", "os_version", "os_build", "kernel", "architecture", "virtual") == [
        *("darwin", "26.3", "25X99", "25.9.0", "arm64", False),
    ]
    assert values(found, "chip", "model", "memory_gb", "cpu_cores", "gpu", "gpu_cores") == [
        *("Apple M9 Max", "Mac99,1", 96, 13, "Apple M9 Max", 44),
    ]
    assert values(found, "cpu_performance_cores", "cpu_efficiency_cores", "cpu_super_cores") == [
        *(9, None, 4),
    ]
    assert values(found, "power_source", "power_mode", "thermal_class", "memory_pressure") == [
        *("mains", "high", "nominal", "normal"),
    ]
    assert values(found, "swap_used_mb", "load_1m", "boot_unix_s", "rosetta") == [
        *(12.0, 1.25, 1800000000, False),
    ]
    assert assemble.label(found) == "M9-Max-96GB-44c"


def test_the_limit_in_force_is_the_setting_or_unknown(mac: Tools) -> None:
    names = ("wired_limit_mb", "gpu_limit_mb", "gpu_limit_expected_mb", "gpu_memory_mb")
    before = look()
    assert values(before, *names) == [0, None, 79626, None]
    mac.sysctl({"iogpu.wired_limit_mb": "90000"})
    raised = look()
    assert values(raised, *names) == [90000, 90000, 79626, None]
    assert raised.hardware_id == before.hardware_id
    assert raised.software_id == before.software_id
    assert raised.condition_id != before.condition_id


def test_heat_power_and_pressure_are_conditions(mac: Tools) -> None:
    ids = {look().condition_id}
    mac.answer(THERMAL, "com.apple.system.thermalpressurelevel 2\n")
    ids.add(look().condition_id)
    mac.answer(["pmset", "-g", "batt"], "Now drawing from 'Battery Power'\n")
    on_battery = look()
    ids.add(on_battery.condition_id)
    mac.sysctl({"kern.memorystatus_vm_pressure_level": "4"})
    last = look()
    ids.add(last.condition_id)
    assert len(ids) == 4
    assert values(on_battery, "power_source", "power_mode", "thermal_class") == [
        *("battery", "low", "heavy"),
    ]
    assert last.hardware_id == on_battery.hardware_id


def test_a_mac_without_power_modes_says_so(mac: Tools) -> None:
    names = ("power_mode", "low_power_mode", "power_modes_present")
    assert values(look(), *names) == ["high", False, True]
    mac.answer(["pmset", "-g", "custom"], "AC Power:\n sleep 0\n womp 1\n")
    assert values(look(), *names) == [None, None, False]
    mac.answer(["pmset", "-g", "custom"], "")
    assert values(look(), *names) == [None, None, None]


def test_an_update_of_the_system_is_the_same_hardware(mac: Tools) -> None:
    before = look()
    mac.sysctl({"kern.osproductversion": "26.4", "kern.osversion": "25X111"})
    after = look()
    assert after.software_id != before.software_id
    assert (after.hardware_id, after.condition_id) == (before.hardware_id, before.condition_id)


def test_a_translated_program_reads_the_chip_from_the_gpu(mac: Tools) -> None:
    mac.answer(["uname", "-m"], "x86_64\n")
    mac.sysctl(
        {"sysctl.proc_translated": "1", "machdep.cpu.brand_string": "VirtualApple @ 2.50GHz"}
    )
    assert values(look(), "chip", "architecture", "rosetta") == ["Apple M9 Max", "arm64", True]


def test_gpu_cores_come_from_the_slow_tool_only_where_the_quick_one_has_none(mac: Tools) -> None:
    mac.answer(DISPLAYS, '{"SPDisplaysDataType": [{"sppci_model": "Slow", "sppci_cores": "3"}]}')
    assert values(look(), "gpu", "gpu_cores") == ["Apple M9 Max", 44]
    mac.answer(ACCELERATORS, "")
    assert values(look(), "gpu", "gpu_cores") == ["Slow", 3]
    mac.sysctl({"hw.model": "VirtualMac9,1"})
    assert values(look(), "gpu", "gpu_cores", "virtual") == [None, None, True]


def test_the_slow_tool_is_asked_once_however_often_the_machine_is_looked_at(mac: Tools) -> None:
    mac.answer(ACCELERATORS, "")
    mac.answer(DISPLAYS, '{"SPDisplaysDataType": [{"sppci_model": "Slow", "sppci_cores": "3"}]}')
    probe = AppleProbe(SystemCommands())
    first = assemble.fingerprint([probe])
    mac.answer(DISPLAYS, "")
    again = assemble.fingerprint([probe])
    assert values(first, "gpu", "gpu_cores") == values(again, "gpu", "gpu_cores") == ["Slow", 3]


def test_an_intel_mac_has_no_apple_facts(mac: Tools) -> None:
    mac.sysctl({"machdep.cpu.brand_string": "Invented(R) CPU   99 @ 1.70GHz"})
    found = look()
    assert not AppleProbe(SystemCommands()).available()
    assert values(found, "chip", "gpu", "wired_limit_mb") == [
        *("Invented(R) CPU 99 @ 1.70GHz", None, None),
    ]


def test_versions_come_from_sw_vers_where_sysctl_has_none(mac: Tools) -> None:
    del mac.values["kern.osproductversion"]
    mac.sysctl({})
    mac.answer(["sw_vers"], "ProductName:\tmacOS\nProductVersion:\t14.1\nBuildVersion:\t23A1\n")
    assert values(look(), "os_version", "os_build") == ["14.1", "23A1"]


def test_missing_tools_make_unknown_facts_and_no_failure(mac: Tools) -> None:
    known = look()
    for tool in ("ioreg", "pmset", "notifyutil", "system_profiler"):
        (mac.folder / "bin" / tool).unlink()
    found = look()
    names = ("gpu_cores", "power_source", "power_mode", "thermal_class")
    assert values(found, *names) == [None] * 4
    assert {fact.name for fact in found.facts} == {fact.name for fact in known.facts}
    assert found.hardware_id != known.hardware_id


def test_a_tool_that_hangs_costs_its_deadline_and_no_more(mac: Tools) -> None:
    class Hurried(SystemCommands):
        def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
            return super().run(argv, 0.2 if argv[0] == "notifyutil" else deadline_s)

    mac.program("notifyutil", "#!/bin/sh\nexec /bin/sleep 60\n")
    found = assemble.fingerprint([AppleProbe(Hurried())])
    assert values(found, "thermal_class", "gpu_cores") == [None, 44]


# NVIDIA


@pytest.fixture
def box(tools: Tools) -> Tools:
    tools.answer(["nvidia-smi", "-L"], "GPU 0: NVIDIA GeForce RTX 9999 (UUID: GPU-0)\n")
    tools.answer(["nvidia-smi", "-q", "-x"], NVIDIA_XML)
    tools.answer(
        QUERY_ARGV,
        f"{', '.join(QUERY)}\nNVIDIA GeForce RTX 9999, 24564 MiB, 901.10, 9.9, [N/A], 99.1, 45\n",
    )
    return tools


def test_both_ways_of_asking_make_one_gpu(box: Tools) -> None:
    found = look()
    assert values(found, "gpu", "gpu_count", "gpu_memory_mb", "gpu_driver", "cuda_version") == [
        *("NVIDIA GeForce RTX 9999", 1, 24564, "901.10", "19.1"),
    ]
    assert values(found, "gpu_compute_capability", "gpu_power_limit_w", "gpu_vbios", "gpu_ecc") == [
        *("9.9", 450.0, "99.1", False),
    ]
    assert found.get("gpu_temperature_c") == 45
    assert assemble.label(found) == "RTX-9999-24GB"


def test_an_old_driver_that_refuses_the_query_is_read_all_the_same(box: Tools) -> None:
    full = look()
    (box.folder / "answers" / " ".join(QUERY_ARGV)).unlink()
    found = look()
    assert values(found, "gpu", "gpu_memory_mb", "gpu_compute_capability") == [
        *("NVIDIA GeForce RTX 9999", 24564, None),
    ]
    assert found.hardware_id == full.hardware_id


def test_an_old_driver_is_asked_for_the_fields_that_it_knows(box: Tools) -> None:
    (box.folder / "answers" / " ".join(QUERY_ARGV)).unlink()
    known = [name for name in QUERY if name != "compute_cap"]
    box.answer(["nvidia-smi", "-q", "-x"], "<cut off")
    box.answer(["nvidia-smi", "--help-query-gpu"], "".join(f'"{name}"\nIt is.\n' for name in known))
    box.answer(
        ["nvidia-smi", f"--query-gpu={','.join(known)}", "--format=csv"],
        f"{', '.join(known)}\nNVIDIA GeForce RTX 9999, 24564 MiB, 470.10, [N/A], 99.1, 45\n",
    )
    found = look()
    assert values(found, "gpu", "gpu_driver", "gpu_compute_capability", "gpu_temperature_c") == [
        *("NVIDIA GeForce RTX 9999", "470.10", None, 45),
    ]


def test_a_new_driver_is_new_software_on_the_same_hardware(box: Tools) -> None:
    before = look()
    box.answer(
        QUERY_ARGV,
        f"{', '.join(QUERY)}\nNVIDIA GeForce RTX 9999, 24217 MiB, 902.00, 9.9, 450 W, 99.1, 61\n",
    )
    after = look()
    assert after.software_id != before.software_id
    assert after.hardware_id == before.hardware_id


def test_a_driver_without_a_gpu_gives_no_facts(box: Tools) -> None:
    box.answer(["nvidia-smi", "-L"], "No devices found.\n")
    assert look().get("gpu_count") is None
    assert not NvidiaProbe(SystemCommands()).available()


def test_a_driver_that_has_lost_its_gpu_gives_no_facts(box: Tools) -> None:
    box.program("nvidia-smi", "#!/bin/sh\necho Unable to reach GPU 0000:01:00.0\nexit 15\n")
    assert not NvidiaProbe(SystemCommands()).available()


# Linux


class Linux(SystemCommands):
    """The real runner of commands, over files of an invented machine."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    def read(self, path: str) -> str | None:
        return self.files.get(path)


FILES = {
    "/etc/os-release": 'ID=invented\nVERSION_ID="9"\n',
    "/proc/cpuinfo": "processor : 0\nmodel name : Invented CPU\nphysical id : 0\ncore id : 0\n"
    "flags : fpu\n",
    "/proc/meminfo": "MemTotal: 65000000 kB\nMemAvailable: 60000000 kB\n"
    "SwapTotal: 4096 kB\nSwapFree: 1024 kB\n",
    "/proc/loadavg": "0.50 0.40 0.30 1/80 1\n",
    "/proc/uptime": "100.5 50.0\n",
    "/proc/stat": "cpu 1\nbtime 1800000000\n",
    "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave\n",
    "/sys/class/power_supply/AC/online": "1\n",
    "/sys/class/dmi/id/product_name": "Invented Board\n",
}


@pytest.fixture
def linux(tools: Tools) -> Tools:
    tools.answer(["uname", "-s"], "Linux\n")
    tools.answer(["uname", "-rm"], "9.9.9-invented x86_64\n")
    return tools


def linux_look(files: dict[str, str]) -> Fingerprint:
    return assemble.fingerprint([HostProbe(Linux(files))])


def test_a_linux_machine_is_read_whole(linux: Tools) -> None:
    found = linux_look(FILES)
    assert values(found, "os", "os_version", "kernel", "architecture", "model") == [
        *("linux", "invented 9", "9.9.9-invented", "x86_64", "Invented Board"),
    ]
    assert values(found, "chip", "cpu_cores", "cpu_threads", "virtual", "memory_gb") == [
        *("Invented CPU", 1, 1, False, 64),
    ]
    assert values(found, "cpu_governor", "power_source", "swap_used_mb", "load_1m") == [
        *("powersave", "mains", 3, 0.5),
    ]
    assert values(found, "uptime_s", "boot_unix_s", "container") == [100.5, 1800000000, False]


def test_the_processors_thermometers_are_read_and_no_others(tmp_path: Path) -> None:
    """What the kernel calls them, over a tree of our own; a disk's is not even opened."""
    for place, name, file, value in (
        ("hwmon/hwmon0", "name:nvme", "temp1_input", "99000"),
        ("hwmon/hwmon1", "name:coretemp", "temp1_input", "51000"),
        ("hwmon/hwmon2", "name:k10temp", "temp2_input", "98000"),
        ("thermal/thermal_zone0", "type:acpitz", "temp", "97000"),
        ("thermal/thermal_zone1", "type:cpu-0-thermal", "temp", "55000"),
        ("thermal/thermal_zone2", "type:soc", "temp", "-274000"),
    ):
        folder = tmp_path / "class" / place
        folder.mkdir(parents=True)
        kind, _, text = name.partition(":")
        (folder / kind).write_text(f"{text}\n")
        (folder / file).write_text(f"{value}\n")
    script = PRINT_HEAT.replace("/sys", str(tmp_path))
    printed = SystemCommands().run(["sh", "-c", script]).stdout
    assert printed.split() == ["51000", "55000", "-274000"]
    assert parse_heat(printed) == 55


def test_a_container_tells_its_limits_beside_the_machines_memory(linux: Tools) -> None:
    limits = {
        "/.dockerenv": "",
        "/sys/fs/cgroup/memory.max": str(2**33),
        "/sys/fs/cgroup/cpu.max": "250000 100000\n",
    }
    found = linux_look(FILES | limits)
    assert values(found, "container", "container_memory_limit_mb", "container_cpu_limit") == [
        *(True, 8192, 2.5),
    ]
    assert found.get("memory_gb") == 64
    assert found.hardware_id == linux_look(FILES).hardware_id


def test_a_guest_has_no_governor_and_an_unnamed_board_no_model(linux: Tools) -> None:
    guest = FILES | {"/sys/class/dmi/id/product_name": "To Be Filled By O.E.M.\n"}
    guest["/proc/cpuinfo"] = guest["/proc/cpuinfo"].replace("fpu", "fpu hypervisor")
    del guest["/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"]
    found = linux_look(guest)
    assert values(found, "virtual", "cpu_governor", "model") == [True, None, None]


def test_the_governor_is_a_condition(linux: Tools) -> None:
    governor = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    before, after = linux_look(FILES), linux_look(FILES | {governor: "performance\n"})
    assert after.condition_id != before.condition_id
    assert after.hardware_id == before.hardware_id


def test_arm_chips_are_named_by_lscpu_else_by_their_part(linux: Tools) -> None:
    arm = FILES | {"/proc/cpuinfo": "processor : 0\nCPU implementer : 0x41\nCPU part : 0xd4f\n"}
    assert values(linux_look(arm), "chip", "cpu_cores", "virtual") == ["0x41 0xd4f", None, False]
    linux.answer(
        ["lscpu", "-J"],
        '{"lscpu": [{"field": "Architecture:", "data": "aarch64"},'
        '{"field": "CPU(s):", "data": "20"}, {"field": "Thread(s) per core:", "data": "1"},'
        '{"field": "Model name:", "data": "Core-A"}, {"field": "Model name:", "data": "Core-B"}]}',
    )
    assert values(linux_look(arm), "chip", "cpu_cores", "virtual") == ["Core-A + Core-B", 20, False]


def test_a_linux_machine_without_any_file_is_a_fingerprint_all_the_same(linux: Tools) -> None:
    found = linux_look({})
    assert values(found, "os", "chip", "memory_gb") == ["linux", None, None]


def test_this_very_machine_is_read() -> None:
    found = look()
    assert found.get("os") in ("linux", "darwin")
    assert isinstance(found.get("memory_gb"), int)
    assert isinstance(found.get("cpu_threads"), int)
    assert look().hardware_id == found.hardware_id


def test_every_hashed_fact_is_one_that_some_probe_looks_for(mac: Tools) -> None:
    mac.answer(["nvidia-smi", "-L"], "GPU 0: NVIDIA X\n")
    looked_for = {fact.name for fact in look().facts}
    mac.answer(["uname", "-s"], "Linux\n")
    looked_for |= {fact.name for fact in linux_look(FILES).facts}
    looked_for |= AmdProbe.tells | EngineProbe.tells
    assert (HARDWARE | SOFTWARE | CONDITION) - looked_for == set()


# unknown facts


def sources(found: Fingerprint) -> dict[str, str]:
    return {fact.name: fact.source for fact in found.facts}


def test_heat_is_read_coarsely_where_the_finer_way_fails(mac: Tools) -> None:
    mac.answer(["pmset", "-g", "therm"], "CPU_Speed_Limit \t= 70\n")
    assert sources(look())["thermal_class"] == "notifyutil"
    (mac.folder / "answers" / " ".join(THERMAL)).unlink()
    found = look()
    assert found.get("thermal_class") == "moderate"
    assert sources(found)["thermal_class"] == "pmset -g therm, which is coarse"


def test_the_memory_that_a_mac_has_left(mac: Tools) -> None:
    assert look().get("memory_available_mb") is None
    pages = "Pages free: 64.\nPages active: 999.\nPages inactive: 128.\nPages speculative: 64.\n"
    mac.answer(["vm_stat"], f"Mach Virtual Memory Statistics: (page size of 16384 bytes)\n{pages}")
    assert look().get("memory_available_mb") == 4


def test_every_unknown_fact_says_why(mac: Tools) -> None:
    (mac.folder / "bin" / "pmset").unlink()
    mac.program("notifyutil", "#!/bin/sh\necho no such key >&2\nexit 3\n")
    found = look()
    told = sources(found)
    assert told["power_mode"] == "pmset: pmset is not installed"
    assert told["thermal_class"] == "notifyutil: notifyutil failed: no such key"
    for fact in [*found.facts, *linux_look({}).facts]:
        assert (fact.value is None) == (": " in fact.source), fact


def test_commands_that_hang_cost_one_deadline_together(mac: Tools) -> None:
    """Three of them hang: each is asked before the deadline of any of them has begun."""
    asked = threading.Barrier(3)

    class Hurried(SystemCommands):
        def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
            if argv[0] not in ("notifyutil", "pmset"):
                return super().run(argv, deadline_s)
            asked.wait(600)
            return super().run(argv, 0.1)

    for tool in ("notifyutil", "pmset"):
        mac.program(tool, "#!/bin/sh\nexec /bin/sleep 60\n")
    found = assemble.fingerprint([AppleProbe(Hurried())])
    assert not asked.broken
    assert sources(found)["power_source"] == "pmset: no answer within 5 s"
    assert values(found, "thermal_class", "power_mode", "gpu_cores") == [None, None, 44]


def test_a_probe_that_never_comes_back_is_left_behind() -> None:
    forever = threading.Event()

    class Hanging:
        name, tells = "hanging", frozenset({"gpu", "thermal_class"})

        def available(self) -> bool:
            return True

        def collect(self) -> list[Fact]:
            forever.wait()
            return []

    found = assemble.fingerprint([Hanging(), HostProbe(Linux(FILES))], deadline_s=1.0)
    forever.set()
    assert (found.get("gpu"), found.get("memory_gb")) == (None, 64)
    assert sources(found)["gpu"] == "hanging: no answer within 1 s"


def test_a_fault_in_a_probe_is_not_hidden() -> None:
    class Broken:
        name, tells = "broken", frozenset({"gpu"})

        def available(self) -> bool:
            return True

        def collect(self) -> list[Fact]:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        assemble.fingerprint([Broken()])
