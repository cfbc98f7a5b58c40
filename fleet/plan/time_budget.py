"""Which blocks end within the time that the user gives; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from fleet.model.machine import Machine
from fleet.model.trial import Attempt
from fleet.units import show_span


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBlocks:
    """Blocks of one machine that would not end in time."""

    machine_id: str
    machine: str
    blocks: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """The attempts that end in time, by machine id, and the blocks that would not."""

    kept: Mapping[str, tuple[Attempt, ...]]
    left_out: tuple[LeftBlocks, ...]


def within(
    attempts: Mapping[str, Sequence[Attempt]],
    *,
    seconds: float,
    machines: Mapping[str, Machine] = {},
) -> Within:
    """Keep the whole blocks of each machine whose estimate ends within the time.

    `machines`, by id: one that has hours measures only within them.
    """
    kept: dict[str, tuple[Attempt, ...]] = {}
    left_out: list[LeftBlocks] = []
    for machine_id, queue in attempts.items():
        machine = machines.get(machine_id)
        available_s = machine.within_s(seconds) if machine else seconds
        whole, left = _fitting(queue, available_s)
        if whole:
            kept[machine_id] = tuple(whole)
        if left:
            left_out.append(_left_blocks(machine_id, left, available_s - _seconds(whole)))
    return Within(kept=kept, left_out=tuple(left_out))


def _seconds(attempts: Iterable[Attempt]) -> float:
    return sum(attempt.trial.estimate_s for attempt in attempts)


def _fitting(queue: Sequence[Attempt], seconds: float) -> tuple[list[Attempt], list[list[Attempt]]]:
    """Return the first blocks that end in time, and the blocks from the first that does not.

    A canary opens its block; that of the first block left out closes the last block kept.
    """
    kept: list[Attempt] = []
    left: list[list[Attempt]] = []
    for _, group in groupby(queue, key=lambda attempt: attempt.trial.block):
        block = list(group)
        if not left and _seconds(kept) + _seconds(block) <= seconds:
            kept += block
            continue
        first = block[0]
        if not left and kept and first.trial.role == "canary":
            kept += [first] if _seconds(kept) + first.trial.estimate_s <= seconds else []
        left.append([attempt for attempt in block if attempt.trial.role != "canary"])
    return kept, [block for block in left if block]


def _left_blocks(machine_id: str, left: Sequence[Sequence[Attempt]], spare_s: float) -> LeftBlocks:
    first = left[0][0].trial
    words = (
        f"block {first.block + 1} takes about {show_span(_seconds(left[0]))}, "
        f"{show_span(max(spare_s, 0))} are left"
    )
    blocks = tuple(block[0].trial.block for block in left)
    return LeftBlocks(machine_id=machine_id, machine=first.machine, blocks=blocks, reason=words)
