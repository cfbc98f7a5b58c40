"""What can change on a Linux machine between two trials: power, pressure, displays, uptime."""

from __future__ import annotations

from collections.abc import Callable

from fleet.fingerprint.facts import Answer, facts, not_understood
from fleet.model.machine import Fact, FactValue
from fleet.model.quantities import PERCENT
from fleet.ports import Commands
from fleet.readers.amd import parse_displays
from fleet.readers.power_supply import parse_has_battery, parse_power_source
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
PROFILES = {
    **dict.fromkeys(("low-power", "quiet", "cool"), "low"),
    **dict.fromkeys(("balanced", "balanced-performance"), "auto"),
    **dict.fromkeys(("performance", "max-power"), "high"),
}
"""As Macs call them. What `custom` and later ones mean, their names do not say."""
MAINS = tuple(f"/sys/class/power_supply/{name}/online" for name in ("AC", "AC0", "ACAD", "ADP1"))
PRESSURE = "/proc/pressure/memory"
WARNING_PERCENT, CRITICAL_PERCENT = 1.0, 10.0
"""Of the last 10 s in which all tasks waited for memory; bounds of our own."""


SUPPLIES = (
    *("sh", "-c"),
    "cd /sys/class/power_supply || exit 1; grep -sH '' */type */scope */online */status; exit 0",
)


def condition_facts(commands: Commands, drm: str, heat: str, supplies: Answer) -> list[Fact]:
    return [
        *_power(commands, supplies),
        *_battery(supplies),
        *_heat(heat),
        *_memory(commands),
        *_displays(drm),
        *_time(commands),
    ]


def _power(commands: Commands, supplies: Answer) -> list[Fact]:
    states = (one_space(commands.read(path)) for path in MAINS)
    state = {"1": "mains", "0": "battery"}.get(next(filter(None, states), ""))
    source = state or parse_power_source(supplies.text)
    return [
        *facts(
            "/sys/class/power_supply",
            {"power_source": source},
            "nothing there says what feeds this machine, as on desktops and guests",
        ),
        *_profile(commands.read(PROFILE)),
        *_governor(commands.read(GOVERNOR)),
    ]


def _profile(printed: str | None) -> list[Fact]:
    profile = one_space(printed)
    mode = PROFILES.get(profile or "")
    values = {"power_mode": mode, "low_power_mode": mode == "low" if mode else None}
    why = "" if printed is None else not_understood(profile) or "its file is empty"
    return facts(PROFILE, values, why, absent="no power profiles here")


def _governor(printed: str | None) -> list[Fact]:
    why = "" if printed is None else "its file is empty"
    governor = {"cpu_governor": one_space(printed)}
    return facts(GOVERNOR, governor, why, absent="no such file, as in guests")


def _heat(printed: str) -> list[Fact]:
    degrees = {"cpu_temperature_c": parse_heat(printed)}
    return [
        *facts("Linux", {"thermal_class": None}, absent="it has no classes of heat"),
        *facts(
            "hwmon, thermal zones",
            degrees,
            not_understood(printed),
            absent="no sensor of the processor, as in guests",
        ),
    ]


def _battery(supplies: Answer) -> list[Fact]:
    """Tell whether there is a battery; a machine without one is on mains, unless it is a guest."""
    present = parse_has_battery(supplies.text) if supplies.ok else None
    return facts("/sys/class/power_supply", {"battery_present": present}, supplies.why)


def _memory(commands: Commands) -> list[Fact]:
    printed = commands.read(PRESSURE)
    percent = parse_full_pressure_percent(printed or "")
    values = {"memory_pressure": None if percent is None else _pressure(percent)}
    return facts(PRESSURE, values, not_understood(printed) or "this kernel does not count it")


def _pressure(percent: float) -> str | None:
    if PERCENT.problem(percent):
        return None
    if percent < WARNING_PERCENT:
        return "normal"
    return "warning" if percent < CRITICAL_PERCENT else "critical"


def _displays(drm: str) -> list[Fact]:
    displays = parse_displays(drm)
    attached = None if displays is None else displays > 0
    return facts("/sys/class/drm", {"display_attached": attached}, "no connectors there")


def _time(commands: Commands) -> list[Fact]:
    files: dict[str, tuple[str, Callable[[str], FactValue]]] = {
        "load_1m": ("/proc/loadavg", parse_load_1m),
        "uptime_s": ("/proc/uptime", parse_uptime_s),
        "boot_unix_s": ("/proc/stat", parse_boot_unix_s),
    }
    printed = {name: commands.read(path) or "" for name, (path, _) in files.items()}
    return [
        fact
        for name, (path, read) in files.items()
        for fact in facts(path, {name: read(printed[name])}, not_understood(printed[name]))
    ]
