"""What the server really did, request by request: the truth that a client is held against.

It goes into a file, not through the protocol, so that it does not pass the client it judges.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(slots=True, kw_only=True)
class TrueRequest:
    """One generation request. Stamps are of the machine's monotonic clock, in ns."""

    request: int
    """Counts generation requests since the server began, from 0."""
    model: str
    opening: str
    """The first words asked: the nonce, where there is one."""
    prompt_tokens: int
    faults: tuple[str, ...]
    """Kinds of the scripted faults that it met."""
    arrived_ns: int
    """When its first line was there."""
    evaluated_from_ns: int | None = None
    """When the model was loaded and the prompt's turn came; None: it was refused before."""
    tokens_ns: list[int] = field(default_factory=list)
    """When each token was written."""
    cached_tokens: int = 0
    """Tokens at the prompt's beginning that were not evaluated."""
    first_step_ns: int = 0
    """Of MLX: the time from the evaluated prompt to the first token."""
    tokens_per_round: int = 1


def append(path: Path, written: Iterable[TrueRequest]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(each)) + "\n" for each in written)


def read(path: Path) -> Iterator[TrueRequest]:
    """In the order asked."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for record in sorted(records, key=lambda record: int(record["arrived_ns"])):
        yield TrueRequest(**record | {"faults": tuple(record["faults"])})
