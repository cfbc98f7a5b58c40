"""Whether this is a machine of its own: guests by their hypervisor, containers by their marks."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fleet.fingerprint.cgroup_limits import limit_facts
from fleet.fingerprint.facts import facts
from fleet.model.machine import Fact
from fleet.ports import Commands
from fleet.readers.lscpu import Lscpu
from fleet.readers.text import one_space

DMI = "/sys/class/dmi/id"
DEVICE_TREE_MODEL = "/proc/device-tree/model"
GUESTS = (
    (r"VMware", "vmware"),
    (r"VirtualBox|innotek", "virtualbox"),
    (r"Parallels", "parallels"),
    (r"Apple Virtualization|Apple Inc\. Virtual", "apple"),
    (r"Microsoft Corporation Virtual Machine", "hyperv"),
    (r"\bXen\b|HVM domU", "xen"),
    (r"Google Compute Engine", "google"),
    (r"Amazon EC2 (?!\S*metal)", "amazon"),
    (r"linux,dummy-virt", "kvm"),
    (r"QEMU|KVM|OpenStack|DigitalOcean|vServer|Alibaba Cloud", "kvm"),
)
"""Makers and products as guests see them; a whole machine of a cloud is none."""
CONTAINER_MARKS = {"/.dockerenv": "docker", "/run/.containerenv": "podman"}
CONTAINER_GROUPS = re.compile(r"kubepods|docker|containerd|libpod|lxc|garden", re.ASCII)


@dataclass(frozen=True, slots=True)
class Names:
    """What the firmware calls maker and product."""

    vendor: str | None
    product: str | None


def firmware_names(commands: Commands) -> Names:
    """Small boards have no such firmware, and name themselves in their device tree."""
    vendor, product = (
        one_space(commands.read(f"{DMI}/{name}")) for name in ("sys_vendor", "product_name")
    )
    return Names(vendor, product or one_space(commands.read(DEVICE_TREE_MODEL)))


def guest_facts(names: Names, flagged: bool | None, listed: Lscpu) -> list[Fact]:
    """Return the facts of a virtual machine; `flagged` is the processor's flag, None on Arm."""
    words = f"{names.vendor or ''} {names.product or ''} "
    named = next((name for sign, name in GUESTS if re.search(sign, words, re.I)), None)
    named = named or (listed.hypervisor.lower() if listed.hypervisor else None)
    known = flagged is not None or named is not None or names.product is not None
    virtual = bool(flagged or named) if known else None
    why = "" if virtual is False else "neither firmware nor lscpu names it"
    nothing = "the processor has no such flag, and the firmware names no product"
    return [
        *facts("processor flags, firmware, lscpu", {"virtual": virtual}, nothing),
        *facts("firmware, lscpu", {"hypervisor": named}, why, absent="not a guest"),
    ]


def container_facts(commands: Commands) -> list[Fact]:
    """Return this container's limits, beside the machine's own memory and cores."""
    kind = _container(commands)
    return [
        *facts("marks and cgroup", {"container": kind is not None}),
        *facts("marks and cgroup", {"container_kind": kind}, absent="not in a container"),
        *limit_facts(commands),
    ]


def _container(commands: Commands) -> str | None:
    for path, kind in CONTAINER_MARKS.items():
        if commands.read(path) is not None:
            return kind
    manager = one_space(commands.read("/run/systemd/container"))
    groups = CONTAINER_GROUPS.search(commands.read("/proc/1/cgroup") or "")
    return manager or (groups[0] if groups else None)
