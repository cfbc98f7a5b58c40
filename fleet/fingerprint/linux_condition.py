"""What can change on a Linux machine between two trials: power, pressure, displays, uptime."""

from __future__ import annotations

from fleet.fingerprint.facts import Answer, facts
from fleet.model.machine import Fact
from fleet.ports import Commands
from fleet.readers.amd import parse_displays
from fleet.readers.power_supply import parse_has_battery
from fleet.readers.proc import (
    parse_boot_unix_s,
    parse_full_pressure_percent,
    parse_load_1m,
    parse_uptime_s,
)
from fleet.readers.sensors import parse_heat
from fleet.readers.text import one_space

GOVERNOR = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
PROFILE = "/sys/firmware/acpi/platform_profile"
PROFILES = {"low-power": "low", "quiet": "low", "cool": "low", "performance": "high"}
"""As Macs call them; every other profile is what the machine does by itself."""
MAINS = tuple(f"/sys/class/power_supply/{name}/online" for name in ("AC", "AC0", "ACAD", "ADP1"))
PRESSURE = "/proc/pressure/memory"
WARNING_PERCENT, CRITICAL_PERCENT = 1.0, 10.0
"""Of the last 10 s in which all tasks waited for memory; bounds of our own."""


SUPPLIES = (
    *("sh", "-c"),
    "cd /sys/class/power_supply || exit 1; grep -sH '' */type */scope; exit 0",
)


def condition_facts(commands: Commands, drm: str, heat: str, supplies: Answer) -> list[Fact]:
    return [
        *_power(commands),
        *_battery(supplies),
        *_heat(heat),
        *_memory(commands),
        *_displays(drm),
        *_time(commands),
    ]


def _power(commands: Commands) -> list[Fact]:
    states = (one_space(commands.read(path)) for path in MAINS)
    state = next(filter(None, states), "")
    profile = one_space(commands.read(PROFILE))
    mode = PROFILES.get(profile, "auto") if profile else None
    governor = one_space(commands.read(GOVERNOR))
    return [
        *facts(
            "/sys/class/power_supply",
            {"power_source": {"1": "mains", "0": "battery"}.get(state)},
            "no mains adapter there, as on desktops and guests",
        ),
        *facts(PROFILE, {"power_mode": mode}, "no power profiles here"),
        *facts(
            PROFILE,
            {"low_power_mode": mode == "low" if mode else None},
            "no power profiles here",
        ),
        *facts(GOVERNOR, {"cpu_governor": governor}, "no such file, as in guests"),
    ]


def _heat(told: str) -> list[Fact]:
    degrees = {"cpu_temperature_c": parse_heat(told)}
    return [
        *facts("Linux", {"thermal_class": None}, "it has no classes of heat"),
        *facts("hwmon, thermal zones", degrees, "no sensor of the processor, as in guests"),
    ]


def _battery(supplies: Answer) -> list[Fact]:
    """A machine without one is on mains, if it is a machine at all and no guest."""
    told = parse_has_battery(supplies.text) if supplies.ok else None
    return facts("/sys/class/power_supply", {"battery_present": told}, supplies.why)


def _memory(commands: Commands) -> list[Fact]:
    percent = parse_full_pressure_percent(commands.read(PRESSURE) or "")
    values = {"memory_pressure": None if percent is None else _pressure(percent)}
    return facts(PRESSURE, values, "this kernel does not count it")


def _pressure(percent: float) -> str:
    if percent < WARNING_PERCENT:
        return "normal"
    return "warning" if percent < CRITICAL_PERCENT else "critical"


def _displays(drm: str) -> list[Fact]:
    displays = parse_displays(drm)
    attached = None if displays is None else displays > 0
    return facts("/sys/class/drm", {"display_attached": attached}, "no connectors there")


def _time(commands: Commands) -> list[Fact]:
    return [
        *facts("/proc/loadavg", {"load_1m": parse_load_1m(commands.read("/proc/loadavg") or "")}),
        *facts("/proc/uptime", {"uptime_s": parse_uptime_s(commands.read("/proc/uptime") or "")}),
        *facts("/proc/stat", {"boot_unix_s": parse_boot_unix_s(commands.read("/proc/stat") or "")}),
    ]
