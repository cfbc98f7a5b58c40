"""Shows machines: each as it was last seen, or this one with every fact and its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fleet.query.machines import MeasuredMachine
from fleet.report.tables import Column, described, fitted

ID_SHOWN = 14
COLUMNS = (
    Column(title="machine"),
    Column(title="kind", rank=6, shared=True),
    Column(title="chip"),
    Column(title="cpu", right=True, rank=9),
    Column(title="gpu", rank=1),
    Column(title="gpu-cores", right=True, rank=3),
    Column(title="memory", right=True),
    Column(title="bandwidth", right=True, rank=8),
    Column(title="gpu-limit", right=True, rank=5),
    Column(title="os", rank=4),
    Column(title="driver", rank=10),
    Column(title="engine", rank=2),
    Column(title="trials", right=True, rank=7),
    Column(title="last-seen", rank=11),
    Column(title="id", rank=12),
)
FACTS = ("fact", "value", "source, and why unknown")


def machine_lines(machines: Sequence[MeasuredMachine], width: int | None = None) -> list[str]:
    lines = fitted(COLUMNS, list(map(_cells, machines)), width)
    for each in machines:
        if each.hardware_seen > 1:
            lines.append(
                f"{each.machine} was seen with other hardware before: histories stay apart"
            )
    return lines or ["no machine was measured yet: fleet submit gpt-oss:20b"]


def fact_lines(facts: Mapping[str, Any], width: int | None = None) -> list[str]:
    """List every fact of this machine, below what it is and what fleet may do on it."""
    head = {name: value for name, value in facts.items() if name != "facts"} | {
        "allowed": ", ".join(facts["allowed"]) or "nothing of yours is restarted or changed",
        "hours": facts["hours"] or "any",
    }
    rows = [(name, _fact_text(f), f["source"]) for name, f in facts["facts"].items()]
    above = [f"{name}: {value}" for name, value in head.items()]
    return [*above, "", *described([FACTS, *rows], width)]


def _fact_text(fact: Mapping[str, object]) -> str:
    """Tell what the machine has not from what cannot be read."""
    without = {"absent": "(none)", "unknown": "(unknown)"}
    return without.get(str(fact["state"]), _text(fact["value"]))


def _cells(of: MeasuredMachine) -> tuple[str, ...]:
    limit, rate = of.gpu_limit_mb or of.gpu_memory_mb, of.memory_bandwidth_gb_s
    return (
        of.machine,
        _kind(of),
        _text(of.chip),
        f"{of.cpu_cores} cores" if of.cpu_cores else "",
        _text(of.gpu) if of.gpu != of.chip else "",
        _text(of.gpu_cores),
        f"{of.memory_gb} GB" if of.memory_gb else "",
        f"{rate:g} GB/s" if rate else "",
        f"{limit} MiB" if limit else "",
        " ".join(filter(None, (of.os, of.os_version))),
        _text(of.gpu_driver),
        " ".join(filter(None, (of.engine, of.engine_version))),
        str(of.trials),
        of.last_seen[:16],
        of.machine_id[:ID_SHOWN],
    )


def _kind(of: MeasuredMachine) -> str:
    """Name the virtual machine or the container; empty for a machine of its own."""
    guest = f"guest ({of.hypervisor or 'unknown'})" if of.virtual else ""
    boxed = f"container ({of.container_kind or 'unknown'})" if of.container else ""
    return ", ".join(filter(None, (guest, boxed)))


def _text(value: object) -> str:
    return "" if value is None else str(value)
