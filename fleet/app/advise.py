"""The advisor's use cases: names of models and machines to shapes and boxes, and what is measured.

A model is named by a path, an address, a name of the catalogue, or a name that an engine has. A
machine is one of the store, as it was last seen, or one that nobody here owns.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.advisor import machines, models
from fleet.advisor.evidence import Anchor
from fleet.advisor.machines_kind import Box, MachineKind, SpeedClass
from fleet.advisor.metadata import from_show
from fleet.advisor.shape import ModelShape
from fleet.advisor.speed import decode_rate
from fleet.advisor.work import muscle_of
from fleet.errors import FleetError, UnknownName, UserError, nearest

if TYPE_CHECKING:
    from fleet.query.machines import MeasuredMachine

ASK_S = 2.0
MODEL_FILES = (".gguf", ".safetensors")


def shape_of(name: str, engine: str | None = None) -> ModelShape:
    """The shape of the model that this names; UnknownName where nobody knows it.

    Asked in turn: a file or folder, an address, the engine where one is named, the catalogue, and
    an Ollama on this machine.
    """
    if re.match(r"https?://", name):
        from fleet.app.model_heads import from_url

        return from_url(name)[0]
    if name.endswith(MODEL_FILES) or ("/" in name and Path(name).exists()):
        from fleet.app.model_heads import from_path

        return from_path(Path(name))
    if engine is not None:
        answer = _shown(name, engine)
        if answer is None:
            raise UnknownName(f"{name}: the engine at {engine} does not have it")
        return answer
    shape = models.find(name)
    if shape is not None:
        return shape
    return _shown(name, None) or models.look_up(name)


def _shown(name: str, engine: str | None) -> ModelShape | None:
    """Return the shape from an Ollama that has the model; None where none answers or has it.

    `engine`: its address as OLLAMA_HOST is written; None: OLLAMA_HOST, else this machine's own.
    """
    import httpx

    from fleet.engines.ollama.address import address

    url = address(engine, os.environ)
    body = {"model": name, "verbose": True}
    try:
        with httpx.Client(timeout=ASK_S, trust_env=False, verify=False) as client:
            reply = client.post(f"{url}/api/show", json=body)
        answer = reply.json() if reply.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return None
    return from_show(name, answer) if isinstance(answer, dict) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreMachine:
    """A machine of the store with what was measured on it."""

    box: Box
    rates: dict[str, float]
    """Decode rate by model, the fastest point of each."""
    notes: tuple[str, ...] = ()


def machine_of_store(homes: Sequence[Path], name: str) -> StoreMachine:
    """The machine with this name as it was last seen; UnknownName where the store has none."""
    from fleet.app.machines import read_machines
    from fleet.app.results import read_results

    measured = read_machines(homes)
    seen = next((each for each in measured if each.machine == name), None)
    if seen is None:
        suggestion = nearest(name, [each.machine for each in measured])
        hint = f"did you mean {suggestion}?" if suggestion else "fleet machines   lists them"
        raise UnknownName(f"{name}: no such machine in the store", hint)
    rates: dict[str, float] = {}
    for result in read_results(homes, None)[0]:
        rate = result.decode_tokens_per_s
        if result.machine == name and rate is not None:
            rates[result.model] = max(rate, rates.get(result.model, 0.0))
    return StoreMachine(box=replace(_box_of(seen), called=name), rates=rates)


def _box_of(seen: MeasuredMachine) -> Box:
    """The catalogue's kind with the limit, the memory and the bandwidth that the machine tells."""
    chip = seen.gpu or seen.chip or ""
    memory, cores = _number(seen.memory_gb), _number(seen.gpu_cores)
    card, limit = _number(seen.gpu_memory_mb), _number(seen.gpu_limit_mb)
    words = chip if cores is None else f"{chip} {cores:.0f}-core"
    apple = "apple" in chip.lower()
    try:
        box = machines.read(f"{words} {memory:.0f} GB" if apple and memory else words)
    except FleetError:
        box = _unlisted(chip, memory, _number(seen.memory_bandwidth_gb_s))
    kind = box.kind
    bandwidth = _number(seen.memory_bandwidth_gb_s)
    if bandwidth:
        kind = replace(kind, bandwidth_gb_s=bandwidth)
    return replace(box, kind=kind, limit_mib=limit or (None if apple else card), notes=())


def _unlisted(chip: str, memory_gb: float | None, bandwidth: float | None) -> Box:
    if not memory_gb or not bandwidth:
        raise UserError(
            f"{chip or 'this machine'} is not in the catalogue, and its memory bandwidth is not "
            "known",
            "give --limit-mib, --ram-gb and --bandwidth",
        )
    return box_from_numbers(None, memory_gb, bandwidth)


def box_from_numbers(limit_mib: float | None, ram_gb: float | None, bandwidth: float | None) -> Box:
    """A machine of which only these numbers are known: taken to have one memory, as Macs have."""
    _check("--limit-mib", limit_mib, 1e9)
    _check("--ram-gb", ram_gb, 1e6)
    _check("--bandwidth", bandwidth, 1e6)
    if limit_mib is None and ram_gb is None:
        raise UserError("how much memory?", "give --limit-mib, or --ram-gb, or --on")
    ram = ram_gb if ram_gb is not None else (limit_mib or 0) / 1024
    kind = MachineKind(
        name="given",
        speed_class=SpeedClass.METAL,
        bandwidth_gb_s=bandwidth or 1.0,
        tflops=max((bandwidth or 1.0) / 30, 0.1),
        memory_gb=(max(round(ram), 1),),
        source="given on the command line",
        confidence="user",
    )
    notes = () if bandwidth else ("without --bandwidth nothing is said of speed",)
    box = Box(kind=kind, memory_gb=ram, limit_mib=limit_mib, notes=notes)
    return box if ram_gb is not None else replace(box, memory_gb=2 * ram)


def _check(option: str, value: float | None, most: float) -> None:
    if value is not None and not 0 < value <= most:
        hint = f"name more than 0, to {most:g}"
        raise UserError(f"{option} {value:g} is no possible value", hint)


def anchors_of(machine: StoreMachine) -> tuple[tuple[Anchor, ...], tuple[str, ...]]:
    """(what was measured beside what is expected, why some of it was not used)."""
    anchors, notes = [], []
    for model, rate in machine.rates.items():
        shape = models.find(model)
        expected = None if shape is None else decode_rate(shape, muscle_of(machine.box), 256)
        if shape is None or expected is None:
            continue
        if rate > expected.ceiling:
            notes.append(
                f"{model} at {rate:.0f} tokens/s is above what the memory of that machine can "
                "deliver: not used (practice machines run twenty times as fast as life)"
            )
            continue
        mixture = shape.experts is not None
        anchors.append(Anchor(measured=rate, expected=expected.expected.value, mixture=mixture))
    return tuple(anchors), tuple(notes)


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and value > 0 else None
