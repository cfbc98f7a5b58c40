"""Who else holds memory of a GPU: programs that are neither fleet's own nor the engine's."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from fleet.fingerprint.facts import ask, facts
from fleet.fingerprint.load import NOBODY, STATS, fleets_own
from fleet.model.gates import MOST_OTHERS_MB
from fleet.model.machine import Fact
from fleet.model.plain_text import one_line
from fleet.ports import Commands
from fleet.readers.load import Process, family, parse_proc

FOREIGN, PROGRAMS, IN_USE = "foreign_gpu_memory_mb", "foreign_gpu_programs", "gpu_memory_in_use_mb"
OLLAMA = re.compile(r"^ollama", re.IGNORECASE)
"""Ollama's server and its runners, as the kernel names them; `llama-server` is their child."""
OLLAMA_PROGRAM = re.compile(r"(?:^|/)(?:ollama|llama-server|llama-runner)", re.IGNORECASE)
"""By its path, of a process that cannot be seen from here: in another container, for one."""
MOST_NAMED, MOST_NAME = 5, 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """One program on one GPU; `used_mb` None: not told; `name` empty: that of its process."""

    pid: int | None
    name: str = ""
    used_mb: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One GPU; `holders` None: nothing lists its programs. `in_use_mb`: by all of them."""

    holders: Sequence[Holder] | None
    in_use_mb: int | None


class OwnProcesses:
    """Tells fleet's and the engine's programs from those of others.

    `own`: this process. `servers`: processes of the engine that is asked; empty: not known, and
    everything that is called Ollama is the engine's; None: it runs in fleet's own process.
    """

    def __init__(
        self,
        commands: Commands,
        own: int | None = None,
        servers: Callable[[], Collection[int] | None] = tuple,
    ) -> None:
        self._commands, self._own, self._servers = commands, own, servers

    def apart(self, holders: Iterable[Holder]) -> list[Holder]:
        """Those that are others', each with its name."""
        every = list(holders)
        if not every:
            return []
        look = parse_proc(ask(self._commands, *STATS).text)
        processes = look.processes if look else ()
        names = {process.pid: process.name for process in processes}
        servers = self._servers()
        own = _engines_own(processes, servers) | fleets_own(processes, self._own)
        programs = NOBODY if servers is None else OLLAMA_PROGRAM
        return [
            replace(holder, name=holder.name or names.get(holder.pid or 0, f"process {holder.pid}"))
            for holder in every
            if not _is_own(holder, own, names, programs)
        ]


def _engines_own(processes: Sequence[Process], servers: Collection[int] | None) -> set[int]:
    if servers is None:
        return set()
    seen = set(servers) & {process.pid for process in processes}
    return family(processes, seen, NOBODY if seen else OLLAMA)


def _is_own(
    holder: Holder, own: Collection[int], seen: Collection[int], programs: re.Pattern[str]
) -> bool:
    if holder.pid in seen:
        return holder.pid in own
    return programs.search(holder.name) is not None


def holder_facts(source: str, gpus: Sequence[Held], processes: OwnProcesses) -> list[Fact]:
    """Return what others hold on all GPUs together, with which programs, and what is in use."""
    used = [gpu.in_use_mb for gpu in gpus if gpu.in_use_mb is not None]
    in_use_mb = sum(used) if used and len(used) == len(gpus) else None
    others = processes.apart(each for gpu in gpus for each in gpu.holders or ())
    known_mb = sum(each.used_mb or 0 for each in others)
    why = _why_unknown(gpus, others) if known_mb <= MOST_OTHERS_MB else ""
    values = {FOREIGN: None if why else known_mb, PROGRAMS: shown(others) or None}
    return [
        *facts(f"{source}, by program", values, why, absent="no other program is listed"),
        *facts(f"{source}, by all programs", {IN_USE: in_use_mb}),
    ]


def _why_unknown(gpus: Sequence[Held], others: Sequence[Holder]) -> str:
    """Why more than is known may be held; empty where the list is whole."""
    if any(gpu.holders is None for gpu in gpus):
        return "it lists no programs"
    silent = [program_name(each.name) for each in others if each.used_mb is None]
    if silent:
        return f"it does not tell how much {', '.join(silent[:MOST_NAMED])} holds"
    hidden_mb = max(map(_hidden_mb, gpus), default=0)
    return f"{hidden_mb} MiB are held by none of those listed" if hidden_mb else ""


def _hidden_mb(gpu: Held) -> int:
    """In use, and held by no program of the list; drivers keep some for themselves."""
    listed = sum(each.used_mb or 0 for each in gpu.holders or ())
    hidden = 0 if gpu.in_use_mb is None else gpu.in_use_mb - listed
    return hidden if hidden > MOST_OTHERS_MB else 0


def shown(others: Sequence[Holder]) -> str:
    """`python 70000 MiB, Xorg 120 MiB`, the largest first; for people, so bounded."""
    ordered = sorted(others, key=lambda each: each.used_mb or 0, reverse=True)
    words = [
        f"{program_name(each.name)} {'?' if each.used_mb is None else each.used_mb} MiB"
        for each in ordered[:MOST_NAMED]
    ]
    more = len(ordered) - MOST_NAMED
    return ", ".join([*words, f"and {more} more"] if more > 0 else words)


def program_name(path: str) -> str:
    """Return a program's name without its folders and arguments.

    Folders can hold a person's name, and arguments can hold anything.
    """
    program = re.split(r"\s+-", path.strip(), maxsplit=1)[0].replace("\\", "/")
    return one_line(program.rsplit("/", 1)[-1].strip(), MOST_NAME) or "unknown"
