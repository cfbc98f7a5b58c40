"""Machines in words: each as it was last seen, or this one with every fact and its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fleet.query.open_store import Row
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


def machine_lines(found: Sequence[Row], width: int | None = None) -> list[str]:
    lines = fitted(COLUMNS, list(map(_cells, found)), width)
    for row in found:
        if int(str(row["hardware_seen"])) > 1:
            lines.append(
                f"{row['machine']} was seen with other hardware before: histories stay apart"
            )
    return lines or ["no machine was measured yet: fleet submit gpt-oss:20b"]


def fact_lines(found: Mapping[str, Any], width: int | None = None) -> list[str]:
    """Every fact of this machine, below what it is and what fleet may do on it."""
    head = {name: value for name, value in found.items() if name != "facts"} | {
        "allowed": ", ".join(found["allowed"]) or "nothing of yours is restarted or changed",
        "hours": found["hours"] or "any",
    }
    rows = [(name, _fact_text(f), f["source"]) for name, f in found["facts"].items()]
    above = [f"{name}: {value}" for name, value in head.items()]
    return [*above, "", *described([FACTS, *rows], width)]


def _fact_text(fact: Mapping[str, object]) -> str:
    """What the machine has not is another thing than what cannot be read."""
    without = {"absent": "(none)", "unknown": "(unknown)"}
    return without.get(str(fact["state"]), _text(fact["value"]))


def _cells(row: Row) -> tuple[str, ...]:
    limit, memory = row["gpu_limit_mb"], row["gpu_memory_mb"]
    rate = row["memory_bandwidth_gb_s"]
    return (
        str(row["machine"]),
        _kind(row),
        _text(row["chip"]),
        f"{row['cpu_cores']} cores" if row["cpu_cores"] else "",
        _text(row["gpu"]) if row["gpu"] != row["chip"] else "",
        _text(row["gpu_cores"]),
        f"{row['memory_gb']} GB" if row["memory_gb"] else "",
        f"{float(str(rate)):g} GB/s" if rate else "",
        f"{limit or memory} MiB" if limit or memory else "",
        " ".join(filter(None, (_text(row["os"]), _text(row["os_version"])))),
        _text(row["gpu_driver"]),
        " ".join(filter(None, (_text(row["engine"]), _text(row["engine_version"])))),
        str(row["trials"]),
        str(row["last_seen"])[:16],
        str(row["machine_id"])[:ID_SHOWN],
    )


def _kind(row: Row) -> str:
    """Empty for a machine of its own."""
    guest = f"guest ({row['hypervisor'] or 'unknown'})" if row["virtual"] else ""
    boxed = f"container ({row['container_kind'] or 'unknown'})" if row["container"] else ""
    return ", ".join(filter(None, (guest, boxed)))


def _text(value: object) -> str:
    return "" if value is None else str(value)
