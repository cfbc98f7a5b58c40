"""What doctor makes of the system around: clock, sleep, energy, Ray, firewall. Pure as well."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fleet.doctor.machine import Check, Findings
from fleet.readers.pmset import parse_custom, parse_power_source


def clock(found: Findings) -> Iterator[Check]:
    told = found.answers.get("clock", "")
    if "NTPSynchronized=yes" in told:
        yield Check(name="clock", state="ok", found="set by the network")
    elif "NTPSynchronized=no" in told:
        hint = "sudo timedatectl set-ntp true"
        yield Check(name="clock", state="unfit", found="not set by the network", hint=hint)
    else:
        hint = "date -u    beside another machine's; a container has its host's clock"
        if found.mac:
            hint = "System Settings > General > Date & Time: set automatically"
        what = "who sets it is not told here; trials see it step by two clocks"
        yield Check(name="clock", state="cannot tell", found=what, hint=hint)


def sleep(found: Findings) -> Iterator[Check]:
    """fleet holds a machine awake while it measures; between two submits nobody does."""
    if found.mac:
        yield _mac_sleep(found)
    elif "systemd-inhibit" in found.programs and found.answers.get("inhibit"):
        held = "held awake while it measures (systemd-inhibit)"
        yield Check(name="sleep", state="ok", found=held)
    else:
        what = "no systemd to hold it awake with"
        hint = "switch sleep off where this machine can sleep"
        yield Check(name="sleep", state="cannot tell", found=what, hint=hint)


def _mac_sleep(findings: Findings) -> Check:
    held = "held awake while it measures (caffeinate)"
    source = parse_power_source(findings.answers.get("source", ""))
    minutes = parse_custom(findings.answers.get("sleep", "")).get(source or "", {}).get("sleep", "")
    if not minutes.isdecimal():
        what = f"when it sleeps by itself is not told; {held}"
        hint = "pmset -g custom    must print a line sleep under the power source in use"
        return Check(name="sleep", state="cannot tell", found=what, hint=hint)
    if minutes == "0":
        return Check(name="sleep", state="ok", found=f"sleeps never by itself; {held}")
    what = f"sleeps after {minutes} min of rest; {held}"
    hint = "sudo pmset -c sleep 0    so that a fleet reaches it"
    return Check(name="sleep", state="ok", found=what, hint=hint)


def energy(found: Findings) -> Iterator[Check]:
    """Which energy can be measured: said once, stored as unknown where there is none."""
    ways = {
        "macmon": "SoC and whole machine, by macmon",
        "zeus-apple-silicon": "SoC, by its energy counters",
        "nvidia-smi": "GPU board, by its driver",
        "amdgpu": "GPU board, by its driver",
        "rapl": "CPU package, by its energy counter",
    }
    there = [told for name, told in ways.items() if name in found.programs]
    if there:
        yield Check(name="energy", state="ok", found="; ".join(there))
        return
    hint = "brew install macmon" if found.mac else "sudo chmod a+r /sys/class/powercap/*/energy_uj"
    if found.fact("virtual") and not found.mac:
        hint = "a wall meter's readings; a guest is shown no power"
    what = "nothing here measures power: joules stay unknown"
    yield Check(name="energy", state="cannot tell", found=what, hint=hint)


def ray(found: Findings) -> Iterator[Check]:
    """One machine needs no Ray; what is started must be reached.

    The way back is tried by the head itself: it ends a node that it cannot reach in 130 s.
    """
    there = found.ray
    if not there.version:
        hint = f"to be the head of several machines: {there.install}"
        yield Check(
            name="ray", state="ok", found="not installed: one machine needs none", hint=hint
        )
    elif there.role and there.reaches:
        yield Check(
            name="ray", state="ok", found=f"{there.role}, the head at {there.address} answers"
        )
    elif there.role:
        what = f"{there.role}, but the head at {there.address} does not answer"
        hint = "look at it there: fleet doctor; the way between: firewall, address, cable"
        yield Check(name="ray", state="unfit", found=what, hint=hint)
    elif there.busy_port is not None:
        what = f"port {there.busy_port}, which Ray needs, is taken"
        hint = f"lsof -i :{there.busy_port}"
        yield Check(name="ray", state="unfit", found=what, hint=hint)
    else:
        yield Check(name="ray", state="ok", found=f"{there.version}, its ports are free")


def firewall(found: Findings) -> Iterator[Check]:
    """Seen from inside only: whether others get through, they must try."""
    if found.mac:
        yield from _mac_firewall(found)
        return
    services = ("ufw", "firewalld", "nftables")
    states = {name: found.answers.get(name, "").strip() for name in services}
    active = [name for name, state in states.items() if state == "active"]
    if not any(states.values()):
        what = "no systemd here to ask whether one is on"
        hint = f"see that the fleet's machines get through: ports {found.ray.ports}"
        yield Check(name="firewall", state="cannot tell", found=what, hint=hint)
    if active:
        what = f"{', '.join(active)} is active: others may not reach this machine"
        hint = f"allow from the fleet's machines: ports {found.ray.ports}"
        yield Check(name="firewall", state="cannot tell", found=what, hint=hint)


def _mac_firewall(found: Findings) -> Iterator[Check]:
    told = found.answers.get("firewall", "")
    if not re.search(r"State = 0|disabled", told):
        hint = "allow Python in System Settings > Network > Firewall"
        on = re.search(r"State = [12]|enabled", told)
        what = "it is on" if on else "whether it is on is not told"
        yield Check(name="firewall", state="cannot tell", found=what, hint=hint)
    privacy = "macOS asks once whether a program may reach the local network"
    hint = "allow your terminal: System Settings > Privacy & Security > Local Network"
    yield Check(name="network", state="cannot tell", found=privacy, hint=hint)


CHECKS = (clock, sleep, energy, ray, firewall)
