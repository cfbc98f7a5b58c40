"""What `ollama serve` logs of itself at its start; the lines changed often, so any may be missing.

Sizes are printed with one decimal of a GiB: a limit read here is right to 52 MiB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fleet.readers.bounds import Record, bounded
from fleet.readers.environment import kept
from fleet.readers.text import one_space, real, whole

_PAIR = re.compile(r"""("[^"\n]*"|[\w.]+)=("(?:[^"\\\n]|\\.)*"|\S*)""")
_SIZE = re.compile(r"([\d.]{1,20}) (B|KiB|MiB|GiB|TiB)", re.ASCII)
_MIB_PER = {"B": 2**-20, "KiB": 2**-10, "MiB": 1.0, "GiB": 2.0**10, "TiB": 2.0**20}
_VARIABLE = re.compile(r"(?:^| )([A-Za-z_][A-Za-z0-9_]*):", re.ASCII)
"""A name in small letters, `http_proxy`, ends the value before it as any other does, whatever its
own value begins with."""
_PLAIN = re.compile(r"(?:DEBUG|INFO|WARN|ERROR) ([^=\"]+?)(?= [\w.\"]+=|$)")
"""Message of a line as Ollama logged until 2025, when it had no `msg=`."""
PATHS = frozenset({"OLLAMA_MODELS"})
"""Variables whose value may hold spaces; of all others the first word is the value."""
INTEGRATED = {"iGPU": True, "discrete": False}
OLD = " server config env="
MLX_BEGINS = "MLX engine initialized"
"""What the MLX runner logs at each load of a model."""
_MLX_LIBRARY = re.compile(r"\bmlx_(?:metal|cuda)_v\d{1,3}\b", re.ASCII)
_LISTENING = re.compile(r"Listening on (\S+) \(version ([^)\s]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeDevice(Record):
    """One line `inference compute`; sizes in MiB."""

    library: str | None
    """`metal`, `cuda`, `rocm`, `vulkan`, `cpu`; small letters."""
    name: str | None
    total_mb: float | None
    available_mb: float | None
    integrated: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MlxEngine(Record):
    """What the MLX runner says of itself when it begins."""

    version: str | None = None
    device: str | None = None
    """`gpu`, or `cpu` where MLX sees no GPU."""
    library: str | None = None
    """Which of the builds that Ollama ships: `mlx_metal_v3`, `mlx_metal_v4`, `mlx_cuda_v13`."""
    draft_acceptance: float | None = None
    """Of the drafts of all requests since the last load, the share that was right; one behind a
    wrong draft counts as wrong. None: nothing was drafted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeLog(Record):
    """The latest start in the log."""

    version: str | None = None
    listens: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[ComputeDevice, ...] = ()
    total_mb: float | None = None
    """GPU memory over all devices, as the context default is chosen by; 0 on the CPU."""
    default_num_ctx: int | None = None
    mlx: MlxEngine = MlxEngine()
    """Of the last model that ran on MLX; nothing is known before the first one."""


def parse_serve_log(text: str) -> ServeLog:
    """From the last `Listening on` or `server config`; all of it where neither is there."""
    lines = _latest_start(text.splitlines())
    records = [_fields(line) for line in lines]
    named = _named(records, "vram-based default context") or _named(
        records, "entering low vram mode"
    )
    listening = _LISTENING.search("\n".join(lines))
    log = ServeLog(
        version=listening[2] if listening else None,
        listens=listening[1] if listening else None,
        environment=parse_environment(_named(records, "server config").get("env", "")),
        devices=tuple(_device(f) for f in records if f.get("msg") == "inference compute"),
        total_mb=_mib(named.get("total_vram") or named.get("total vram")),
        default_num_ctx=whole(named.get("default_num_ctx")),
        mlx=_mlx(records, lines),
    )
    return bounded(log)


def _mlx(records: list[dict[str, str]], lines: list[str]) -> MlxEngine:
    begun = _named(records, MLX_BEGINS)
    libraries = _MLX_LIBRARY.findall("\n".join(lines)) if begun else []
    engine = MlxEngine(
        version=one_space(begun.get("MLX version")),
        device=one_space(begun.get("device")),
        library=libraries[-1] if libraries else None,
        draft_acceptance=_acceptance(records),
    )
    return bounded(engine)


def _acceptance(records: list[dict[str, str]]) -> float | None:
    """Return the share over all requests since a model was last loaded on MLX, one line each."""
    loads = [at for at, fields in enumerate(records) if fields.get("msg") == MLX_BEGINS]
    since = records[loads[-1] :] if loads else []
    stats = [fields for fields in since if fields.get("msg") == "speculative decode stats"]
    drafted, accepted = (
        sum(whole(fields.get(name)) or 0 for fields in stats) for name in ("drafted", "accepted")
    )
    return accepted / drafted if drafted else None


def parse_environment(text: str) -> dict[str, str]:
    """Of Go's `map[NAME:value NAME:value]` the listed variables.

    A value may hold colons, and in brackets of its own spaces.
    """
    inside = text.removeprefix("map[").removesuffix("]")
    return kept((name, _value(name, value)) for name, value in _variables(inside))


def _variables(inside: str) -> Iterator[tuple[str, str]]:
    """Each with all that stands before the next name, names within brackets left out."""
    at = 0
    while place := _VARIABLE.search(inside, at):
        start = place.end()
        closing = inside.find("]", start) if inside[start : start + 1] == "[" else -1
        following = _VARIABLE.search(inside, max(closing, start))
        at = following.start() if following else len(inside)
        yield place[1], inside[start:at].strip()


def _value(name: str, text: str) -> str:
    if text.startswith("["):
        return text[: text.find("]") + 1]
    return text if name in PATHS else text.partition(" ")[0]


def _latest_start(lines: list[str]) -> list[str]:
    starts = [at for at, line in enumerate(lines) if '"server config"' in line or OLD in line]
    starts = starts or [at for at, line in enumerate(lines) if "Listening on " in line]
    return lines[starts[-1] :] if starts else lines


def _fields(line: str) -> dict[str, str]:
    fields = {_bare(key): _bare(value) for key, value in _PAIR.findall(line)}
    plain = _PLAIN.search(line) if "msg" not in fields else None
    return {**fields, "msg": plain[1]} if plain else fields


def _bare(word: str) -> str:
    return word[1:-1].replace('\\"', '"') if len(word) > 1 and word[0] == '"' else word


def _named(lines: list[dict[str, str]], message: str) -> dict[str, str]:
    return next((fields for fields in reversed(lines) if fields.get("msg") == message), {})


def _device(fields: Mapping[str, str]) -> ComputeDevice:
    library = (one_space(fields.get("library")) or "").lower() or None
    device = ComputeDevice(
        library=library,
        name=one_space(fields.get("description")),
        total_mb=_mib(fields.get("total")),
        available_mb=_mib(fields.get("available")),
        # Metal was called discrete until the summer of 2026, which it never is.
        integrated=True if library == "metal" else INTEGRATED.get(fields.get("type", "")),
    )
    return bounded(device)


def _mib(text: str | None) -> float | None:
    size = _SIZE.fullmatch((text or "").strip())
    value = real(size[1]) if size else None
    return None if size is None or value is None else value * _MIB_PER[size[2]]
