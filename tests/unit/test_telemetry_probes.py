"""Each probe on stand-ins that keep their state: files, a driver's library, a program on PATH."""

from __future__ import annotations

import inspect
import os
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fleet.clock import SystemClock
from fleet.model.experiment import Telemetry
from fleet.ports import Output, Sample, TelemetryProbe
from fleet.telemetry import nvidia
from fleet.telemetry.amd import amd_probes
from fleet.telemetry.apple import Macmon, Powermetrics, Zeus, apple_probes
from fleet.telemetry.host import LinuxHost, MacHost, Rapl
from fleet.telemetry.replay import Replay, samples
from fleet.telemetry.simulated import ScriptedPower

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"
NEEDS_CAPTURES = pytest.mark.skipif(not CAPTURES.is_dir(), reason="no recorded captures here")
DEADLINE_S = 600.0


def values(samples: Sequence[Sample]) -> dict[str, float | None]:
    return {sample.metric: sample.value for sample in samples}


class Tree:
    """Files of a kernel below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, path: str, text: str | int) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path)
    tree.put("proc/stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3 4 5 6 7 8\nbtime 1")
    tree.put("proc/meminfo", "MemTotal: 8192 kB\nMemAvailable: 2048 kB")
    return tree


def test_the_host_is_busy_for_the_share_of_time_between_two_readings(tree: Tree) -> None:
    probe = LinuxHost(tree.root)
    assert probe.available()
    assert "cpu_busy_percent" not in values(probe.read())
    tree.put("proc/stat", "cpu  160 5 110 720 105 0 0 0 0 0")
    assert values(probe.read())["cpu_busy_percent"] == pytest.approx(75)
    probe.close()
    assert "cpu_busy_percent" not in values(probe.read())


def test_the_hosts_memory_heat_and_clock(tree: Tree) -> None:
    tree.put("proc/meminfo", "MemAvailable: 2048 kB\nSwapTotal: 4096 kB\nSwapFree: 1024 kB")
    tree.put("sys/class/thermal/thermal_zone0/type", "acpitz")
    tree.put("sys/class/thermal/thermal_zone0/temp", 99_000)
    tree.put("sys/class/thermal/thermal_zone1/type", "x86_pkg_temp")
    tree.put("sys/class/thermal/thermal_zone1/temp", 51_500)
    tree.put("sys/class/hwmon/hwmon0/name", "k10temp")
    tree.put("sys/class/hwmon/hwmon0/temp1_input", 61_000)
    for number in range(32):
        folder = f"sys/devices/system/cpu/cpufreq/policy{number}"
        tree.put(f"{folder}/scaling_cur_freq", 3_000_000)
    found = values(LinuxHost(tree.root).read())
    assert found == {
        "memory_available_mb": 2,
        "swap_used_mb": 3,
        "cpu_temperature_c": 61,
        "cpu_clock_mhz": 3000,
    }


def test_a_host_without_sensors_tells_what_it_can(tree: Tree) -> None:
    assert values(LinuxHost(tree.root).read()) == {"memory_available_mb": 2}


@pytest.mark.parametrize("text", ["", "cpu", "cpu  a b c d e", "\0", "cpu  1 2"])
def test_damaged_counters_are_a_missing_value(tree: Tree, text: str) -> None:
    tree.put("proc/stat", text)
    [found] = [s for s in LinuxHost(tree.root).read() if s.metric == "cpu_busy_percent"]
    assert found.value is None


def test_this_host_can_be_read() -> None:
    probe = LinuxHost()
    if not probe.available():
        pytest.skip("no Linux here")
    end = time.monotonic() + DEADLINE_S
    while (found := values(probe.read())).get("cpu_busy_percent") is None:
        assert time.monotonic() < end, "the counters of this host do not move"
    assert (found["memory_available_mb"] or 0) > 0
    assert 0 <= (found["cpu_busy_percent"] or 0) <= 100


def package(tree: Tree, number: int, microjoules: int) -> None:
    folder = f"sys/class/powercap/intel-rapl:{number}"
    tree.put(f"{folder}/name", f"package-{number}")
    tree.put(f"{folder}/max_energy_range_uj", 1_000_000_000)
    tree.put(f"{folder}/energy_uj", microjoules)


def test_energy_of_the_packages_goes_on_over_the_counters_end(tree: Tree) -> None:
    package(tree, 0, 999_000_000)
    package(tree, 1, 5_000_000)
    tree.put("sys/class/powercap/intel-rapl:0:0/name", "core")
    tree.put("sys/class/powercap/intel-rapl:0:0/energy_uj", 77_000_000)
    probe = Rapl(tree.root)
    assert probe.available()
    first = values(probe.read())["cpu_package_energy_joules"]
    package(tree, 0, 2_000_000)
    second = values(probe.read())["cpu_package_energy_joules"]
    assert first is not None
    assert second is not None
    assert (first, second - first) == (pytest.approx(1004), pytest.approx(3))


def test_a_counter_beyond_its_own_range_is_no_energy(tree: Tree) -> None:
    package(tree, 0, 999_000_000)
    probe = Rapl(tree.root)
    assert probe.available()
    for microjoules in (1_000_000_001, -5):
        package(tree, 0, microjoules)
        assert values(probe.read())["cpu_package_energy_joules"] is None
    package(tree, 0, 999_500_000)
    assert values(probe.read())["cpu_package_energy_joules"] == pytest.approx(999.5)


def test_a_clock_and_a_sensor_that_cannot_be_are_gaps_with_their_reasons(tree: Tree) -> None:
    for number, khz in enumerate((3_000_000, -118_000_000)):
        tree.put(f"sys/devices/system/cpu/cpufreq/policy{number}/scaling_cur_freq", khz)
    tree.put("sys/class/hwmon/hwmon0/name", "k10temp")
    tree.put("sys/class/hwmon/hwmon0/temp1_input", 9_000_000)
    tree.put("proc/meminfo", "MemTotal: 10 kB\nMemAvailable: 9000 kB")
    found = {sample.metric: sample for sample in LinuxHost(tree.root).read()}
    assert {metric: (sample.value, sample.source) for metric, sample in found.items()} == {
        "cpu_clock_mhz": (None, "cpufreq: out of range: -118000 MHz"),
        "cpu_temperature_c": (None, "hwmon, thermal zones: out of range: 9000 C"),
        "memory_available_mb": (*(None, "/proc/meminfo: out of range: 9000, and total_kib is 10"),),
    }


def test_counters_that_only_root_may_read_are_none(tree: Tree) -> None:
    assert not Rapl(tree.root).available()
    package(tree, 0, 5)
    (tree.root / "sys/class/powercap/intel-rapl:0/energy_uj").unlink()
    assert not Rapl(tree.root).available()


class MacCommands:
    def __init__(self) -> None:
        self.ran = 0

    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
        self.ran += 1
        text = "vm.swapusage: total = 2048.00M  used = 128.50M  free = 1919.50M  (encrypted)\n"
        text += "kern.memorystatus_vm_pressure_level: 1\n"
        return Output(code=0, stdout=text, stderr="")

    def read(self, path: str) -> str | None:
        return None


def test_a_mac_starts_a_process_at_few_of_its_readings() -> None:
    commands = MacCommands()
    probe = MacHost(commands)
    assert probe.available()
    found = values(probe.read())
    assert (found["swap_used_mb"], found["memory_pressure_level"]) == (128.5, 1)
    for _ in range(9):
        assert set(values(probe.read())) == {"cpu_load_1m"}
    assert commands.ran == 2


class FakeNvml:
    """A driver with GPUs whose energy goes on at each reading; the names are pynvml's own."""

    NVML_TEMPERATURE_GPU = 0
    NVML_CLOCK_SM = 1
    NVML_FI_DEV_POWER_INSTANT = 186

    class NVMLError(Exception):
        def __init__(self, value: int, text: str) -> None:
            super().__init__(text)
            self.value = value

    def __init__(self, gpus: int = 1, unsupported: Sequence[str] = ()) -> None:
        self.gpus = gpus
        self.unsupported = set(unsupported)
        self.millijoules = 0
        self.lost = False
        self.opened = 0

    def nvmlInit(self) -> None:  # noqa: N802
        if self.gpus < 0:
            raise self.NVMLError(12, "NVML Shared Library Not Found")
        self.opened += 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:  # noqa: N802
        self.millijoules += 1500
        return self._told("energy", self.millijoules)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:  # noqa: N802
        return self._told("power", 71_500)

    def nvmlDeviceGetFieldValues(self, handle: int, fields: list[int]) -> list[Any]:  # noqa: N802
        code = 3 if "instant" in self.unsupported else 0
        return [SimpleNamespace(nvmlReturn=code, value=SimpleNamespace(uiVal=66_000))]

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=self._told("load", 90 + handle * 10))

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        return SimpleNamespace(used=self._told("memory", 2**30))

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:  # noqa: N802
        return self._told("heat", 60 + handle)

    def nvmlDeviceGetClockInfo(self, handle: int, kind: int) -> int:  # noqa: N802
        return self._told("clock", 1980 - handle)

    def nvmlDeviceGetFanSpeed(self, handle: int) -> int:  # noqa: N802
        return self._told("fan", 40 + handle)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: int) -> int:  # noqa: N802
        return self._told("events", 0x4 << handle)

    def _told(self, what: str, value: int) -> int:
        if self.lost:
            raise self.NVMLError(15, "GPU is lost")
        if what in self.unsupported:
            raise self.NVMLError(3, "Not Supported")
        return value


def test_the_fake_driver_has_no_name_that_the_real_library_lacks() -> None:
    real = pytest.importorskip("pynvml", reason="the extra nvidia is not installed")
    names = [name for name, _ in inspect.getmembers(FakeNvml) if name.lower().startswith("nvml")]
    assert len(names) >= 14
    assert [name for name in names if not hasattr(real, name)] == []


def test_no_driver_no_gpu_no_library_no_probe() -> None:
    def no_library() -> Any:
        raise ImportError("No module named 'pynvml'")

    for load in (no_library, lambda: FakeNvml(gpus=-1), lambda: FakeNvml(gpus=0)):
        assert not any(probe.available() for probe in nvidia.nvidia_probes(load))


def test_the_real_library_says_no_where_there_is_no_driver() -> None:
    pynvml = pytest.importorskip("pynvml", reason="the extra nvidia is not installed")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        assert not any(probe.available() for probe in nvidia.nvidia_probes(lambda: pynvml))
    else:
        pytest.skip("there is an NVIDIA driver here")


def nvidia_read(driver: FakeNvml) -> tuple[list[TelemetryProbe], dict[str, float | None]]:
    probes = nvidia.nvidia_probes(lambda: driver)
    assert all(probe.available() for probe in probes)
    return probes, {k: v for probe in probes for k, v in values(probe.read()).items()}


def test_an_nvidia_gpu_tells_energy_first_then_the_rest() -> None:
    probes, found = nvidia_read(FakeNvml())
    assert next(iter(found)) == "gpu_board_energy_joules"
    assert found == {
        "gpu_board_energy_joules": 1.5,
        "gpu_board_power_w": 71.5,
        "gpu_busy_percent": 90,
        "gpu_memory_used_mb": 1024,
        "gpu_temperature_c": 60,
        "gpu_clock_mhz": 1980,
        "gpu_fan_percent": 40,
        "gpu_clock_event_bits": 4,
    }
    assert values(probes[0].read())["gpu_board_energy_joules"] == 3.0


def test_several_gpus_are_one_machine() -> None:
    _, found = nvidia_read(FakeNvml(gpus=2))
    assert found == {
        "gpu_board_energy_joules": 4.5,
        "gpu_board_power_w": 143,
        "gpu_busy_percent": 95,
        "gpu_memory_used_mb": 2048,
        "gpu_temperature_c": 61,
        "gpu_clock_mhz": 1979,
        "gpu_fan_percent": 41,
        "gpu_clock_event_bits": 12,
    }


def test_what_a_gpu_does_not_support_is_missing_and_the_rest_is_there() -> None:
    driver = FakeNvml(unsupported=("energy", "power", "load"))
    probes, found = nvidia_read(driver)
    assert found["gpu_board_energy_joules"] is None
    assert found["gpu_busy_percent"] is None
    assert found["gpu_board_power_w"] == 66.0  # of the moment, as a field of its own
    assert probes[0].read()[0].source == "nvml: Not Supported"
    driver.unsupported.add("instant")
    assert values(probes[0].read())["gpu_board_power_w"] is None


def test_one_gpu_that_says_what_cannot_be_is_not_added_to_the_others() -> None:
    """A driver's word for `not available` is the largest number that it has."""
    driver = FakeNvml(gpus=2)
    powers = iter((71_500, 2**32 - 1))
    driver.nvmlDeviceGetPowerUsage = lambda handle: next(powers)  # type: ignore[method-assign]
    [power, *_] = nvidia.nvidia_probes(lambda: driver)
    assert power.available()
    [sample] = [each for each in power.read() if each.metric == "gpu_board_power_w"]
    assert (sample.value, sample.source) == (None, "nvml: out of range: 4.29497e+06 W")


def test_a_lost_gpu_is_a_failure_and_the_library_is_opened_anew() -> None:
    driver = FakeNvml()
    probes, _ = nvidia_read(driver)
    driver.lost = True
    with pytest.raises(FakeNvml.NVMLError, match="GPU is lost"):
        probes[0].read()
    driver.lost = False
    opened = driver.opened
    assert values(probes[0].read())["gpu_board_power_w"] == 71.5
    assert driver.opened == opened + 1


def card(tree: Tree, number: int, *, vendor: str = "0x1002", board: bool = True) -> None:
    device = f"sys/class/drm/card{number}/device"
    tree.put(f"{device}/vendor", vendor)
    tree.put(f"{device}/gpu_busy_percent", 80 + number)
    tree.put(f"{device}/mem_info_vram_used", 3 * 2**20)
    tree.put(f"{device}/mem_info_gtt_used", 2**20)
    tree.put(f"{device}/hwmon/hwmon3/power1_average", 187_000_000)
    tree.put(f"{device}/hwmon/hwmon3/temp1_input", 64_000)
    tree.put(f"{device}/hwmon/hwmon3/freq1_input", 2_400_000_000)
    tree.put(f"{device}/hwmon/hwmon3/fan1_input", 1500)
    if board:
        tree.put(f"{device}/hwmon/hwmon3/power1_cap", 300_000_000)


def amd_read(tree: Tree) -> dict[str, float | None]:
    probes = amd_probes(tree.root)
    assert all(probe.available() for probe in probes)
    return {k: v for probe in probes for k, v in values(probe.read()).items()}


def test_one_amd_card_that_says_what_cannot_be_is_not_added_to_the_others(tree: Tree) -> None:
    for number in (0, 1):
        card(tree, number)
    tree.put("sys/class/drm/card1/device/hwmon/hwmon3/power1_average", -187_000_000)
    assert amd_read(tree)["gpu_board_power_w"] is None
    assert amd_read(tree)["gpu_memory_used_mb"] == 6


def test_an_amd_card_is_read_from_its_files(tree: Tree) -> None:
    card(tree, 0)
    card(tree, 1, vendor="0x8086")
    tree.put("sys/class/drm/card0-DP-1/device/vendor", "0x1002")
    assert amd_read(tree) == {
        "gpu_board_power_w": 187,
        "gpu_busy_percent": 80,
        "gpu_memory_used_mb": 3,
        "gpu_shared_memory_used_mb": 1,
        "gpu_temperature_c": 64,
        "gpu_clock_mhz": 2400,
        "gpu_fan_rpm": 1500,
    }


def test_a_processor_with_a_gpu_in_it_tells_the_power_of_the_whole_package(tree: Tree) -> None:
    card(tree, 0, board=False)
    assert amd_read(tree)["chip_package_power_w"] == 187


def test_beside_a_board_the_gpu_inside_the_processor_does_not_count(tree: Tree) -> None:
    card(tree, 0, board=False)
    card(tree, 1)
    found = amd_read(tree)
    assert found["gpu_board_power_w"] == 187
    assert found["gpu_busy_percent"] == 81


def test_newer_cards_have_the_power_of_the_moment_only(tree: Tree) -> None:
    card(tree, 0)
    hwmon = tree.root / "sys/class/drm/card0/device/hwmon/hwmon3"
    (hwmon / "power1_average").rename(hwmon / "power1_input")
    assert amd_read(tree)["gpu_board_power_w"] == 187
    (hwmon / "power1_input").unlink()
    [power] = amd_probes_ready(tree)[0].read()
    assert power.value is None
    assert "power1_average" in power.source


def amd_probes_ready(tree: Tree) -> list[TelemetryProbe]:
    probes = amd_probes(tree.root)
    assert probes[0].available()
    return probes


def test_no_amd_card_no_probe(tree: Tree) -> None:
    card(tree, 0, vendor="0x10de")
    assert not any(probe.available() for probe in amd_probes(tree.root))


class FakeZeus:
    """Counters of a chip, in mJ, as the library gives them."""

    def __init__(self, **missing: None) -> None:
        self.told = {"cpu_total_mj": 1000, "gpu_mj": 9000, "ane_mj": 0, "dram_mj": 700, **missing}

    def AppleEnergyMonitor(self) -> FakeZeus:  # noqa: N802
        return self

    def get_cumulative_energy(self) -> Any:
        self.told["gpu_mj"] = (self.told["gpu_mj"] or 0) + 500
        return SimpleNamespace(**self.told)


def test_apples_counters_are_the_chips_energy() -> None:
    zeus = FakeZeus()
    probe = Zeus(lambda: zeus)
    assert probe.available()
    assert values(probe.read()) == {
        "chip_package_energy_joules": 10.5,
        "gpu_energy_joules": 9.5,
        "ram_energy_joules": 0.7,
    }
    assert values(probe.read())["chip_package_energy_joules"] == 11.0


def test_a_chip_without_a_counter_of_its_cpu_has_no_energy() -> None:
    probe = Zeus(lambda: FakeZeus(cpu_total_mj=None, dram_mj=None))
    assert probe.available()
    found = {sample.metric: sample for sample in probe.read()}
    assert found["chip_package_energy_joules"].value is None
    assert found["ram_energy_joules"].source == "zeus-apple-silicon does not report it"


def test_without_the_library_apples_counters_are_not_there() -> None:
    def absent() -> Any:
        raise ImportError

    assert not Zeus(absent).available()


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Puts a program, a shell script, before all others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def put(name: str, script: str) -> Path:
        program = folder / name
        program.write_text("#!/bin/sh\n" + textwrap.dedent(script))
        program.chmod(0o755)
        return program

    return put


LINE = (
    '{"timestamp": "2026-11-01T00:00:00+00:00", "cpu_power": 2.0, "gpu_power": %s,'
    ' "ane_power": 0.0, "all_power": %s, "sys_power": 41.5, "ram_power": 1.5,'
    ' "temp": {"cpu_temp_avg": 44.0, "gpu_temp_avg": 51.0}, "gpu_freq_mhz": 1380,'
    ' "gpu_active_ratio": 0.98, "memory": {"ram_usage": 1073741824, "swap_usage": 0}}'
)


def until(probe: Macmon | Powermetrics, metric: str, count: int) -> Iterator[Sample]:
    """Reads until so many values of the metric came."""
    end = time.monotonic() + DEADLINE_S
    while count and time.monotonic() < end:
        for sample in probe.read():
            if sample.metric == metric:
                count -= 1
                yield sample
    assert count <= 0


def read_to_the_end(probe: Macmon | Powermetrics) -> None:
    while True:
        probe.read()


def test_macmon_is_read_line_by_line(on_path: Callable[[str, str], Path]) -> None:
    lines = "\\n".join([LINE % (8.0, 10.0), LINE % (10.0, 12.0)])
    on_path(
        "macmon", f"printf '%s' \"$*\" > $0.argv\nprintf '{lines}\\nnot json\\n'\nexec sleep 60"
    )
    probe, clock = Macmon(500, SystemClock()), SystemClock()
    assert probe.available()
    before_ns = clock.monotonic_ns()
    found = list(until(probe, "chip_package_power_w", 2))
    probe.close()
    assert [sample.value for sample in found] == [10.0, 12.0]
    first_ns, second_ns = (sample.at_ns or 0 for sample in found)
    # In one piece, so half a second apart; the middle of the interval each is the mean of.
    assert second_ns - first_ns == 500_000_000
    assert second_ns <= clock.monotonic_ns() - 250_000_000
    assert first_ns >= before_ns - 750_000_000
    argv = (on_path("unused", "").parent / "macmon.argv").read_text()
    assert argv == "pipe -i 500"


def test_macmon_tells_the_whole_machine_and_heat_too(on_path: Callable[[str, str], Path]) -> None:
    on_path("macmon", f"echo '{LINE % (8.0, 10.0)}'\nexec sleep 60")
    probe = Macmon(500, SystemClock())
    found: dict[str, float | None] = {}
    end = time.monotonic() + DEADLINE_S
    while not found and time.monotonic() < end:
        found = values(probe.read())
    probe.close()
    assert found["system_power_w"] == 41.5
    assert (found["gpu_temperature_c"], found["gpu_busy_percent"]) == (51, pytest.approx(98))
    assert (found["gpu_clock_mhz"], found["memory_used_mb"]) == (1380, 1024)


def test_a_macmon_that_ends_says_why_and_is_started_again(
    on_path: Callable[[str, str], Path],
) -> None:
    on_path("macmon", "echo 'error: no IOReport channel' >&2\nexit 3")
    probe = Macmon(500, SystemClock())
    for _ in range(2):
        with pytest.raises(EOFError, match="macmon ended with status 3: error: no IOReport"):
            read_to_the_end(probe)
    probe.close()


def started(probe: Macmon | Powermetrics, pid_file: Path) -> int:
    """The id of the probe's program, which writes it to a file."""
    end = time.monotonic() + DEADLINE_S
    while not pid_file.exists() or not pid_file.read_text():
        assert time.monotonic() < end
        probe.read()
    return int(pid_file.read_text())


def test_closing_ends_a_macmon_that_ignores_being_asked(
    on_path: Callable[[str, str], Path],
) -> None:
    on_path("macmon", "trap '' TERM\necho $$ > $0.pid\nwhile :; do sleep 0.05; done")
    probe = Macmon(500, SystemClock())
    process_id = started(probe, on_path("unused", "").parent / "macmon.pid")
    probe.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


def test_a_program_of_roots_ends_with_its_pipe(
    on_path: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(process: subprocess.Popen[bytes]) -> None:
        raise PermissionError

    on_path("sudo", "echo $$ > $0.pid\nwhile echo sample; do sleep 0.05; done")
    probe = Powermetrics(500, SystemClock())
    process_id = started(probe, on_path("unused", "").parent / "sudo.pid")
    monkeypatch.setattr(subprocess.Popen, "terminate", refuse)
    monkeypatch.setattr(subprocess.Popen, "kill", refuse)
    probe.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)


PLIST = """\
<?xml version="1.0" encoding="UTF-8"?><plist version="1.0"><dict>
<key>elapsed_ns</key><integer>500000000</integer>
<key>processor</key><dict>
<key>cpu_energy</key><integer>1000</integer><key>gpu_energy</key><integer>4000</integer>
<key>ane_energy</key><integer>0</integer><key>combined_power</key><real>10000</real>
</dict></dict></plist>
"""


def test_powermetrics_adds_up_the_energies_of_its_intervals(
    on_path: Callable[[str, str], Path], tmp_path: Path
) -> None:
    (tmp_path / "sample").write_text(PLIST)
    sample = tmp_path / "sample"
    on_path("sudo", f"cat {sample}; printf '\\0'; cat {sample}; printf '\\0'; exec sleep 60")
    probe = Powermetrics(500, SystemClock())
    found = list(until(probe, "chip_package_energy_joules", 2))
    probe.close()
    assert [s.value for s in found] == [5.0, 10.0]


def test_powermetrics_that_may_not_run_says_so(on_path: Callable[[str, str], Path]) -> None:
    on_path("sudo", "echo 'sudo: a password is required' >&2; exit 1")
    probe = Powermetrics(500, SystemClock())
    with pytest.raises(EOFError, match="a password is required"):
        read_to_the_end(probe)


def test_powermetrics_is_run_only_where_asked_for() -> None:
    def names(asked: Telemetry) -> list[str]:
        return [probe.name for probe in apple_probes(asked, SystemClock(), FakeZeus)]

    assert names(Telemetry()) == ["zeus", "macmon"]
    assert names(Telemetry(powermetrics=True)) == ["zeus", "macmon", "powermetrics"]


@NEEDS_CAPTURES
@pytest.mark.parametrize("name", ["macmon-pipe_M3Pro_v0.8.jsonl", "macmon-pipe_v0.7-fields.jsonl"])
def test_what_a_real_macmon_printed(on_path: Callable[[str, str], Path], name: str) -> None:
    on_path("macmon", f"cat '{CAPTURES / name}'\necho\nexec sleep 60")
    probe = Macmon(500, SystemClock())
    [found] = until(probe, "system_power_w", 1)
    probe.close()
    assert found.value == pytest.approx(5.876533)


@NEEDS_CAPTURES
def test_what_a_real_powermetrics_printed(on_path: Callable[[str, str], Path]) -> None:
    stream = CAPTURES / "powermetrics_M3Max_two-samples.pliststream"
    on_path("sudo", f"cat '{stream}'\nexec sleep 60")
    probe = Powermetrics(500, SystemClock())
    first, second = until(probe, "chip_package_energy_joules", 2)
    probe.close()
    assert first.value is not None
    assert second.value is not None
    assert second.value > first.value > 0


def test_a_scripted_machine_without_a_counter_tells_power_only() -> None:
    assert values(ScriptedPower(lambda: (50.0, None)).read()) == {"gpu_board_power_w": 50.0}
    assert values(ScriptedPower(lambda: (50.0, 3.0), "system").read()) == {
        "system_power_w": 50.0,
        "system_energy_joules": 3.0,
    }


def test_recorded_readings_are_told_in_order_and_as_often_as_their_kind_is() -> None:
    heat, bits = ((2.0, 50.0), (0.5, 40.0)), ((1.0, 8.0),)
    told = samples({"gpu_temperature_c": heat, "gpu_clock_event_bits": bits})
    assert [(sample.at_ns, sample.value) for sample in told] == [
        *((500_000_000, 40.0), (1_000_000_000, 8.0), (2_000_000_000, 50.0)),
    ]
    assert Replay(told, SystemClock()).pace == "state"
    power = samples({"gpu_temperature_c": heat, "gpu_board_power_w": ((0.0, 9.0),)})
    assert Replay(power, SystemClock()).pace == "power"
    assert not Replay([], SystemClock()).available()
