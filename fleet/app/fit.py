"""From names of models and machines to shapes and boxes.

A model is named by a path, an address, a name of the catalogue, or a name that an engine has. A
machine was measured, or comes from the catalogue.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.advisor import machines, models
from fleet.advisor.machines_kind import Box, MachineKind, SpeedClass
from fleet.advisor.metadata import from_show
from fleet.advisor.shape import ModelShape
from fleet.app.model_heads import from_path, from_url
from fleet.errors import FleetError, UnknownName, UserError, nearest
from fleet.folders import with_home

if TYPE_CHECKING:
    from fleet.query.machines import MeasuredMachine

ASK_S = 2.0
MODEL_FILES = (".gguf", ".safetensors")


def shape_of(name: str, engine: str | None = None) -> ModelShape:
    """Return the shape of the named model; raise UnknownName if no source knows it.

    The sources, in this order: a file or folder, an address, the engine if one is named, the
    catalogue, and an Ollama on this machine.
    """
    if re.match(r"https?://", name):
        return from_url(name)[0]
    if name.endswith(MODEL_FILES) or ("/" in name and Path(name).exists()):
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
    """Return the shape from an Ollama that has the model; None if none answers or has it.

    `engine`: its address, written as OLLAMA_HOST is; None: OLLAMA_HOST, else this machine's own.
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
    """A machine of the results, with what was measured on it."""

    box: Box
    rates: dict[str, float]
    """Decode rate by model, at the fastest point of each."""
    notes: tuple[str, ...] = ()


def machine_of_store(homes: Sequence[Path], name: str) -> StoreMachine:
    """Return the machine of this name as it was last seen; raise UnknownName if there is none."""
    from fleet.app.machines import read_machines
    from fleet.app.results import read_results

    measured = read_machines(homes)
    machine = next((each for each in measured if each.machine == name), None)
    if machine is None:
        suggestion = nearest(name, [each.machine for each in measured])
        listing = f"{with_home('fleet machines', *homes)}    lists them"
        hint = f"did you mean {suggestion}?" if suggestion else listing
        raise UnknownName(f"{name}: no such machine in the results", hint)
    rates: dict[str, float] = {}
    for result in read_results(homes, None)[0]:
        rate = result.decode_tokens_per_s
        if result.machine == name and rate is not None:
            rates[result.model] = max(rate, rates.get(result.model, 0.0))
    return StoreMachine(box=replace(_box_of(machine), called=name), rates=rates)


def _box_of(machine: MeasuredMachine) -> Box:
    """Take the catalogue's kind, with the limit, memory and bandwidth that the machine reports."""
    chip = machine.gpu or machine.chip or ""
    memory, cores = _number(machine.memory_gb), _number(machine.gpu_cores)
    card = _number(machine.gpu_memory_mb)
    limit = _number(machine.gpu_limit_mb)
    words = chip if cores is None else f"{chip} {cores:.0f}-core"
    apple = "apple" in chip.lower()
    try:
        box = machines.read(f"{words} {memory:.0f} GB" if apple and memory else words)
    except FleetError:
        box = _unlisted(chip, memory, _number(machine.memory_bandwidth_gb_s))
    kind = box.kind
    bandwidth = _number(machine.memory_bandwidth_gb_s)
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
    """Describe a machine by numbers alone; it is assumed to have unified memory, as Macs have."""
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
    notes = () if bandwidth else ("the speed is unknown without --bandwidth",)
    box = Box(kind=kind, memory_gb=ram, limit_mib=limit_mib, notes=notes)
    return box if ram_gb is not None else replace(box, memory_gb=2 * ram)


def _check(option: str, value: float | None, most: float) -> None:
    if value is not None and not 0 < value <= most:
        hint = f"give a value above 0, up to {most:g}"
        raise UserError(f"{option} {value:g} is not possible", hint)


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and value > 0 else None
