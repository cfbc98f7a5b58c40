"""Checks of what surrounds the machine: clock, sleep, energy, Ray and firewall. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fleet.doctor.findings import Findings, MachineCheck, cannot_tell, ok, unfit
from fleet.readers.pmset import parse_custom, parse_power_source


def clock(findings: Findings) -> Iterator[MachineCheck]:
    """Check that the network sets the clock."""
    text = findings.answers.get("clock", "")
    if "NTPSynchronized=yes" in text:
        yield ok("clock", "set by the network")
    elif "NTPSynchronized=no" in text:
        yield unfit("clock", "not set by the network", "sudo timedatectl set-ntp true")
    else:
        hint = "date -u    compared with another machine; a container has its host's clock"
        if findings.mac:
            hint = "System Settings > General > Date & Time: set automatically"
        what = "it is unknown what sets it; trials notice a step by comparing two clocks"
        yield cannot_tell("clock", what, hint=hint)


def sleep(findings: Findings) -> Iterator[MachineCheck]:
    """Check what keeps the machine awake, while it measures and between experiments."""
    if findings.mac:
        yield _mac_sleep(findings)
    elif "systemd-inhibit" in findings.programs and findings.answers.get("inhibit"):
        held = "kept awake while it measures (systemd-inhibit)"
        yield ok("sleep", held)
    else:
        yield cannot_tell(
            "sleep",
            "there is no systemd to keep it awake",
            "turn sleep off if this machine can sleep",
        )


def _mac_sleep(findings: Findings) -> MachineCheck:
    held = "kept awake while it measures (caffeinate)"
    source = parse_power_source(findings.answers.get("source", ""))
    minutes = parse_custom(findings.answers.get("sleep", "")).get(source or "", {}).get("sleep", "")
    if not minutes.isdecimal():
        return cannot_tell(
            "sleep",
            f"it is unknown when it sleeps by itself; {held}",
            "pmset -g custom    must print a line sleep under the power source in use",
        )
    if minutes == "0":
        return ok("sleep", f"never sleeps by itself; {held}")
    return ok(
        "sleep",
        f"sleeps after {minutes} min of rest; {held}",
        "sudo pmset -c sleep 0    so that a fleet can reach it",
    )


def energy(findings: Findings) -> Iterator[MachineCheck]:
    """Tell which energy can be measured here."""
    ways = {
        "macmon": "SoC and whole machine, by macmon",
        "zeus-apple-silicon": "SoC, by its energy counters",
        "nvidia-smi": "GPU board, by its driver",
        "amdgpu": "GPU board, by its driver",
        "rapl": "CPU package, by its energy counter",
    }
    meters = [text for name, text in ways.items() if name in findings.programs]
    if meters:
        yield ok("energy", "; ".join(meters))
        return
    if findings.mac:
        hint = "brew install macmon"
    elif findings.fact("virtual"):
        hint = "use a wall meter: a guest cannot read its power"
    else:
        hint = "sudo chmod a+r /sys/class/powercap/*/energy_uj"
    what = "nothing here measures power, so joules stay unknown"
    yield cannot_tell("energy", what, hint=hint)


def ray(findings: Findings) -> Iterator[MachineCheck]:
    """Check that the head answers, or that Ray could start.

    The head itself checks the way back: it ends a node that it cannot reach in 130 s.
    """
    facts = findings.ray
    if not facts.version:
        yield ok(
            "ray",
            "not installed: one machine needs none",
            f"to become the head of several machines: {facts.install}",
        )
    elif facts.role and facts.reaches:
        yield ok("ray", f"{facts.role}, the head at {facts.address} answers")
    elif facts.role:
        yield unfit(
            "ray",
            f"{facts.role}, but the head at {facts.address} does not answer",
            "run fleet doctor on the head; check firewall, address and cable between them",
        )
    elif facts.busy_port is not None:
        yield unfit(
            "ray",
            f"port {facts.busy_port}, which Ray needs, is in use",
            f"lsof -i :{facts.busy_port}",
        )
    else:
        yield ok("ray", f"{facts.version}, its ports are free")


def firewall(findings: Findings) -> Iterator[MachineCheck]:
    """Tell whether a firewall is on; only other machines can tell whether they get through."""
    if findings.mac:
        yield from _mac_firewall(findings)
        return
    services = ("ufw", "firewalld", "nftables")
    states = {name: findings.answers.get(name, "").strip() for name in services}
    active = [name for name, state in states.items() if state == "active"]
    if not any(states.values()):
        yield cannot_tell(
            "firewall",
            "there is no systemd to tell whether one is on",
            f"make sure that the fleet's machines can connect: ports {findings.ray.ports}",
        )
    if active:
        yield cannot_tell(
            "firewall",
            f"{', '.join(active)} is active: others may not reach this machine",
            f"allow the fleet's machines: ports {findings.ray.ports}",
        )


def _mac_firewall(findings: Findings) -> Iterator[MachineCheck]:
    text = findings.answers.get("firewall", "")
    if not re.search(r"State = 0|disabled", text):
        hint = "allow Python in System Settings > Network > Firewall"
        on = re.search(r"State = [12]|enabled", text)
        what = "it is on" if on else "it is unknown whether it is on"
        yield cannot_tell("firewall", what, hint=hint)
    privacy = "macOS asks once whether a program may access the local network"
    hint = "allow your terminal: System Settings > Privacy & Security > Local Network"
    yield cannot_tell("network", privacy, hint=hint)


CHECKS = (clock, sleep, energy, ray, firewall)
