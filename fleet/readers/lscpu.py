"""`lscpu -J`, flat or nested, and plain `lscpu`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fleet.readers.bounds import Record, bounded
from fleet.readers.text import one_space, pairs, whole
from fleet.readers.tree import mapping, parse_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Lscpu(Record):
    architecture: str | None
    model_names: tuple[str, ...]
    """One per kind of core; chips with two kinds name both."""
    threads: int | None
    threads_per_core: int | None
    hypervisor: str | None

    @property
    def cores(self) -> int | None:
        """Sockets times cores per socket is wrong where the kinds of core differ."""
        if not self.threads or not self.threads_per_core:
            return None
        return self.threads // self.threads_per_core


def parse_lscpu(text: str) -> Lscpu:
    fields = list(_json_fields(text)) or list(pairs(text, ":"))
    first = dict(reversed(fields))
    names = (one_space(value) for key, value in fields if key == "Model name")
    listed = Lscpu(
        architecture=one_space(first.get("Architecture")),
        model_names=tuple(name for name in names if name and name != "-"),
        threads=whole(first.get("CPU(s)")),
        threads_per_core=whole(first.get("Thread(s) per core")),
        hypervisor=one_space(first.get("Hypervisor vendor")),
    )
    return bounded(listed)


def _json_fields(text: str) -> Iterator[tuple[str, str]]:
    waiting = [mapping(parse_json(text)).get("lscpu")]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, dict):
            yield str(item.get("field")).removesuffix(":").strip(), str(item.get("data") or "")
            waiting.append(item.get("children"))
