"""From probes to one fingerprint with three hashes; a machine's id and label."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import partial

from fleet.errors import UserError
from fleet.fingerprint.derived import derived
from fleet.fingerprint.facts import facts, late, together
from fleet.fingerprint.platform_id import platform_id
from fleet.fingerprint.sizes import card_gb
from fleet.identity import content_id
from fleet.model.machine import (
    CONDITION,
    FINGERPRINT_RECIPE,
    HARDWARE,
    SOFTWARE,
    Fact,
    Fingerprint,
    Machine,
)
from fleet.ports import FactProbe

__all__ = ["assembled", "fingerprint", "label", "machine_id", "platform_id", "twins"]

PROBES_S = 30.0
"""A driver that starts anew can take long; probes on a machine in order take a quarter second."""

_NOISE = re.compile(
    r"\([RC]\)|\(TM\)|\b(?:Apple|AMD|Intel|NVIDIA|GeForce|Tesla|CPU|Generation|Graphics)\b"
    r"|\b[\w-]+-Core Processor|\bProcessor\b|\bHBM\w*|@.*|\bw/.*|[()]",
    re.IGNORECASE,
)


def fingerprint(probes: Sequence[FactProbe], deadline_s: float = PROBES_S) -> Fingerprint:
    """One look by every probe that has something to look at here, all at the same time.

    What a probe tells that has not ended by the deadline is unknown, with that reason.
    """
    collected = together({probe.name: partial(_collected, probe) for probe in probes}, deadline_s)
    facts = (
        collected[probe.name] if probe.name in collected else _unheard(probe, deadline_s)
        for probe in probes
    )
    return assembled(fact for each in facts for fact in each)


def _collected(probe: FactProbe) -> Sequence[Fact]:
    return probe.collect() if probe.available() else ()


def _unheard(probe: FactProbe, deadline_s: float) -> Sequence[Fact]:
    return facts(probe.name, dict.fromkeys(sorted(probe.tells)), late(deadline_s))


def assembled(facts: Iterable[Fact]) -> Fingerprint:
    """One fact per name: the first one known; a later one only where the earlier are None."""
    known: dict[str, Fact] = {}
    for fact in facts:
        if fact.name not in known or known[fact.name].value is None:
            known[fact.name] = fact
    known |= {fact.name: fact for fact in derived(known)}
    ordered = tuple(known[name] for name in sorted(known))
    return Fingerprint(
        facts=ordered,
        hardware_id=_class_id("hardware", HARDWARE, ordered),
        software_id=_class_id("software", SOFTWARE, ordered),
        condition_id=_class_id("condition", CONDITION, ordered),
    )


def machine_id(platform_id: str, join_name: str | None) -> str:
    """Return the machine's id; another join name makes another machine."""
    return content_id("machine", [platform_id, *([join_name] if join_name else [])])


def label(fingerprint: Fingerprint) -> str:
    """For people: `M3-Ultra-96GB-60c`, `RTX-4090-24GB`, `EPYC-7B13-24GB`; never an identity."""
    chip, gpu = str(fingerprint.get("chip") or ""), str(fingerprint.get("gpu") or "")
    cores, memory_mb = fingerprint.get("gpu_cores"), fingerprint.get("gpu_memory_mb")
    if gpu and isinstance(memory_mb, (int, float)) and not chip.startswith("Apple"):
        name, gb = _short(gpu), _gb_of_each(fingerprint, memory_mb)
        return name if name.endswith("GB") else f"{name}-{gb}GB"
    parts = [_short(chip) or str(fingerprint.get("os") or "machine")]
    if memory_gb := fingerprint.get("memory_gb"):
        parts.append(f"{memory_gb}GB")
    if cores:
        parts.append(f"{cores}c")
    return "-".join(parts)


def twins(machines: Sequence[Machine]) -> UserError | None:
    """Return the error for nodes that share one id: cloned disks, containers, namespaces."""
    counts = Counter(machine.machine_id for machine in machines)
    doubled = next((machine_id for machine_id, count in counts.items() if count > 1), None)
    if doubled is None:
        return None
    names = [machine.name for machine in machines if machine.machine_id == doubled]
    return UserError(
        f"{' and '.join(names)} have the same platform id, as containers and cloned disks do: "
        "their results could not be told apart",
        f"leave with all but one of them and join again, each with its own name: "
        f"fleet join --name {names[-1]}-2",
    )


def _class_id(tag: str, names: frozenset[str], facts: Sequence[Fact]) -> str:
    """Hash the facts of one class.

    A fact that a probe could not get (None) hashes differently from one that no probe looks for.
    """
    content = {fact.name: fact.value for fact in facts if fact.name in names}
    memory_mb = content.get("gpu_memory_mb")
    if isinstance(memory_mb, (int, float)):
        # Drivers differ by some hundred MiB over the same card; the hardware is the same.
        count = content.get("gpu_count")
        cards = count if isinstance(count, int) and count > 0 else 1
        content["gpu_memory_mb"] = f"{cards} x {card_gb(memory_mb / cards)} GB"
    return content_id(tag, {"recipe": FINGERPRINT_RECIPE, "facts": content})


def _gb_of_each(fingerprint: Fingerprint, memory_mb: float) -> int:
    count = fingerprint.get("gpu_count")
    return card_gb(memory_mb / (count if isinstance(count, int) and count > 0 else 1))


def _short(name: str) -> str:
    return "-".join(_NOISE.sub(" ", name).split())
