"""The shipped catalogue of machines, read from words such as `M4 Max 128 GB` or `2x RTX 3090`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.advisor.machines_apple import APPLE
from fleet.advisor.machines_cards import CARDS
from fleet.advisor.machines_kind import Box, MachineKind, SpeedClass
from fleet.errors import UnknownName, UserError, nearest

CATALOGUE: tuple[MachineKind, ...] = APPLE + CARDS
MOST_DEVICES = 64
MOST_GB = 100_000

_NOISE = re.compile(
    r"\b(apple|nvidia|geforce|amd|radeon|instinct|mac ?studio|macbook ?(pro|air)|mac ?mini|imac"
    r"|mac ?pro|with|gpu|cpu|unified|memory|ram)\b|[(),]",
    re.I,
)
_DEVICES = re.compile(r"^\s*(\d{1,3})\s*[x×]\s*", re.I)
_MEMORY = re.compile(r"\b(\d{1,6}(?:\.\d+)?)\s*(?:gb|gib|g)\b", re.I)
_CORES = re.compile(r"\b(\d{1,3})[ -]*(?:gpu[ -]*)?cores?\b", re.I)


@dataclass(frozen=True, slots=True)
class _Words:
    name: str
    memory_gb: float | None
    cores: int | None
    devices: int


def read(text: str, extra: Sequence[MachineKind] = ()) -> Box:
    """Return the machine that these words name; UserError where it is unknown or was never sold.

    Where a chip was sold with more than one number of GPU cores and none is named, the smaller is
    taken, and the box says so.
    """
    words = _words(text)
    kinds = _named(words.name, (*extra, *CATALOGUE))
    if not kinds:
        raise _unknown(text, words.name, (*extra, *CATALOGUE))
    if words.cores is not None and any(kind.gpu_cores for kind in kinds):
        chosen = [kind for kind in kinds if kind.gpu_cores == words.cores]
        if not chosen:
            cores = sorted({kind.gpu_cores for kind in kinds if kind.gpu_cores})
            raise UserError(
                f"{kinds[0].name} with {words.cores} GPU cores was not sold",
                f"it has {' or '.join(map(str, cores))}",
            )
        kinds = chosen
    memory_gb, kinds = _with_memory(kinds, words.memory_gb)
    kind = min(kinds, key=lambda kind: (kind.bandwidth_gb_s, kind.tflops))
    return Box(kind=kind, memory_gb=memory_gb, devices=words.devices, notes=_notes(kind, kinds))


def _notes(kind: MachineKind, kinds: Sequence[MachineKind]) -> tuple[str, ...]:
    cores = sorted({kind.gpu_cores for kind in kinds if kind.gpu_cores})
    if len(cores) < 2:
        return ()
    others = " or ".join(f"{count}-core" for count in cores if count != kind.gpu_cores)
    return (f"taken to have the {kind.gpu_cores}-core GPU; it is also sold as {others}",)


def _words(text: str) -> _Words:
    devices = 1
    if match := _DEVICES.match(text):
        devices = int(match[1])
        text = text[match.end() :]
    if not 1 <= devices <= MOST_DEVICES:
        raise UserError(f"{devices} cards in one machine: name 1 to {MOST_DEVICES}")
    memory, cores = _MEMORY.search(text), _CORES.search(text)
    rest = _NOISE.sub(" ", _CORES.sub(" ", _MEMORY.sub(" ", text)))
    return _Words(
        name=_plain(rest),
        memory_gb=float(memory[1]) if memory else None,
        cores=int(cores[1]) if cores else None,
        devices=devices,
    )


def _plain(name: str) -> str:
    """Letters and digits in small letters, one space between words: `rtx 4070 ti`."""
    spaced = re.sub(r"(?<=[a-z])(?=\d{3,})|(?<=\d{4})(?=ti|super)", " ", name.lower())
    return " ".join(re.sub(r"[^a-z0-9+. ]+", " ", spaced).split())


def _named(name: str, kinds: Sequence[MachineKind]) -> list[MachineKind]:
    """Every variant of the kind with this name."""
    return [
        kind
        for kind in kinds
        if name in {_plain(_NOISE.sub(" ", word)) for word in (kind.name, *kind.aliases)}
    ]


def _with_memory(
    kinds: list[MachineKind], memory_gb: float | None
) -> tuple[float, list[MachineKind]]:
    """Return the memory and the variants that were sold with it."""
    sizes = sorted({size for kind in kinds for size in kind.memory_gb})
    if memory_gb is None:
        if len(sizes) == 1 or not kinds[0].shares_memory:
            return float(sizes[-1]), kinds
        raise UserError(
            f"{kinds[0].name}: with how much memory?",
            f'it is sold with {_listed(sizes)} GB: --on "{kinds[0].name} {sizes[0]} GB"',
        )
    chosen = [kind for kind in kinds if memory_gb in kind.memory_gb]
    if not chosen:
        raise UserError(
            f"{kinds[0].label if len(kinds) == 1 else kinds[0].name} with {memory_gb:g} GB "
            "was not sold",
            f"there is {_listed(sizes)} GB",
        )
    return memory_gb, chosen


def _listed(sizes: Sequence[int]) -> str:
    words = [str(size) for size in sizes]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _unknown(text: str, name: str, kinds: Sequence[MachineKind]) -> UnknownName:
    suggestion = nearest(name, [kind.name for kind in kinds])
    near = f"did you mean {suggestion}? " if suggestion else ""
    return UnknownName(
        f"{text[:60]!r}: not in the catalogue of machines",
        f"{near}fleet fit --machines lists it; --limit-mib, --ram-gb, --bandwidth work too",
    )


def from_mapping(machines: Mapping[str, Mapping[str, object]]) -> tuple[MachineKind, ...]:
    """Kinds that a user adds: `{"My box": {"memory_gb": 64, "bandwidth_gb_s": 256, ...}}`."""
    return tuple(_from_user(name, fields) for name, fields in machines.items())


def _from_user(name: str, fields: Mapping[str, object]) -> MachineKind:
    unknown = set(fields) - {
        "memory_gb", "bandwidth_gb_s", "tflops", "class", "gpu_cores", "source",
    }  # fmt: skip
    if unknown:
        raise UserError(f"machine {name}: unknown field {sorted(unknown)[0]}")
    word = str(fields.get("class", SpeedClass.CUDA))
    if word not in set(SpeedClass):
        raise UserError(f"machine {name}: class {word!r}", f"one of {', '.join(SpeedClass)}")
    cores = fields.get("gpu_cores")
    return MachineKind(
        name=name,
        speed_class=SpeedClass(word),
        bandwidth_gb_s=_positive(name, "bandwidth_gb_s", fields.get("bandwidth_gb_s")),
        tflops=_positive(name, "tflops", fields.get("tflops", 1)),
        memory_gb=(round(_positive(name, "memory_gb", fields.get("memory_gb"))),),
        source=str(fields.get("source", "given by the user")),
        gpu_cores=cores if isinstance(cores, int) and cores > 0 else None,
        confidence="user",
    )


def _positive(name: str, field: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UserError(f"machine {name}: {field} is needed, as a number")
    if not math.isfinite(value) or not 0 < value <= MOST_GB:
        raise UserError(f"machine {name}: {field} {value} is no possible value")
    return float(value)
