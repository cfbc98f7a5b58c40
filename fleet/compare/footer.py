"""Says below a comparison of whom it speaks, what was left out, and what is missing. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from fleet.comparability import HARDWARE_AXES, SETTINGS
from fleet.compare.controls import control_lines
from fleet.compare.designs import NEEDED
from fleet.compare.explanations import LEGEND
from fleet.compare.left_out import LeftOut
from fleet.compare.result import Group, Line, SpeaksOf
from fleet.errors import UserError
from fleet.names import natural
from fleet.query.variant import Variant

MOST_REASONS = 6
"""Shown where nothing could be compared; `fleet results` shows every cell."""


def speaks_of(groups: Sequence[Group], across: bool) -> SpeaksOf:
    if not across:
        machines = {group.machine for group in groups}
        return "one machine" if len(machines) == 1 else "each machine by itself"
    lines = [line for group in groups for line in group.lines if line.trials]
    least = min((line.machines for line in lines), default=1)
    return "kinds of machines" if least > 1 else "these machines"


def closing_lines(groups: Sequence[Group], across: bool) -> tuple[str, ...]:
    lines = [line for group in groups for line in group.lines]
    footer = []
    if across:
        footer.append(_of_whom(groups, lines))
    if any(line.design == "one after the other" and line.estimate for line in lines):
        footer.append(
            "measured one after the other, not in turn: "
            "whatever else changed meanwhile counts into the ratio"
        )
    footer += control_lines([control for group in groups for control in group.controls])
    if any(line.explanation is not None for line in lines):
        footer.append(LEGEND)
    if any(line.too_few for line in lines):
        footer.append(f"too few trials for a verdict: {NEEDED}")
    return tuple(filter(None, footer))


def _of_whom(groups: Sequence[Group], lines: Sequence[Line]) -> str:
    counts = sorted({line.trials for line in lines if line.trials})
    if not counts:
        return ""
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    each = f"{n} trial{'' if counts == [1] else 's'} each"
    machines = {line.machines for line in lines}
    if machines == {1}:
        return f"one machine of each kind, {each}: this speaks of these machines"
    if speaks_of(groups, across=True) == "kinds of machines":
        return "several machines of each kind: the machine is the unit, this speaks of the kinds"
    return f"one machine of a kind, {each} side: this speaks of these machines, not of the kinds"


def kept_apart(left_out: Iterable[LeftOut]) -> dict[str, int]:
    """Count trials by side and reason, each once, though several metrics may keep it apart."""
    trials: dict[tuple[str, str], dict[object, int]] = defaultdict(dict)
    for each in left_out:
        if each.apart:
            own, identity = trials[each.side, each.reason], each.variant.identity
            own[identity] = max(each.variant.trials, own.get(identity, 0))
    return {f"{side} ({why})": sum(each.values()) for (side, why), each in sorted(trials.items())}


def requests_left_out(variants: Iterable[Variant]) -> int:
    """Count requests, each once, though a trial may be compared by several energies."""
    requests: dict[object, int] = {}
    for variant in variants:
        left, identity = variant.requests_left_out, variant.identity
        requests[identity] = max(left, requests.get(identity, 0))
    return sum(requests.values())


def nothing(
    axis: str,
    variants: Sequence[Variant],
    name: Callable[[Variant], str],
    left_out: Sequence[LeftOut] = (),
) -> UserError:
    """Return the error to raise where no two sides stand against one another."""
    names = sorted(set(map(name, variants)), key=natural)
    if names and variants[0].tells_energy and not any(variant.scope for variant in variants):
        return UserError(
            "no energy to compare: no machine told its power while it was measured",
            "what can be read here: fleet doctor; a wall meter's log: fleet energy import FILE",
        )
    if not names:
        what = f"nothing to compare by {axis}: no measured trial matches"
    elif len(names) == 1:
        what = f"nothing to compare by {axis}: there is only {names[0]}"
    else:
        what = f"nothing to compare by {axis}: no two of {', '.join(names)} did the same work"
        reasons = sorted({each.reason for each in left_out}, key=natural)
        what += "".join(f"\n  {reason}" for reason in reasons[:MOST_REASONS])
    return UserError(what, _hint(axis, variants, left_out))


def _hint(axis: str, variants: Sequence[Variant], left_out: Sequence[LeftOut]) -> str:
    """Propose to let settings differ where the same work was done under others of them."""
    if any(" has " in each.reason for each in left_out):
        varied = [s for s in SETTINGS if s != axis and len({v.asked_for(s) for v in variants}) > 1]
        allowed = " ".join(f"--allow-diff {setting}" for setting in varied)
        return f"fleet compare --by {axis} {allowed}, which says what differs beside each ratio"
    for other in ("machine", "model", *sorted(HARDWARE_AXES)):
        if other != axis and _varies(other, variants):
            return f"fleet compare --by {other}"
    return "fleet results"


def _varies(fact: str, variants: Sequence[Variant]) -> bool:
    return len({variant.text(fact) for variant in variants}) > 1
