"""Finds what differs between two sides besides the axis: refused, or only listed. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from fleet.comparability import (
    ENERGY_FACTS,
    FACTS,
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    AxisRules,
    Difference,
    differing,
    standing,
)
from fleet.compare.sides import Side
from fleet.metrics.metric import Metric
from fleet.names import natural

LENGTHS_ALIKE = 1.10
"""Prompts and answers of lengths within this factor are alike: another tokenizer, the same text."""

LONGEST_SHOWN = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """What differs, in words; the side's value stands first."""

    refused: tuple[str, ...]
    """What forbids the comparison."""
    listed: tuple[str, ...]
    facts: frozenset[str]
    """Names of the refused facts: what `--allow-diff` takes."""


def differences(baseline: Side, side: Side, metric: Metric, rules: AxisRules) -> Differences:
    """Find what forbids the comparison, and what stands beside it."""
    refused, listed, facts = [], [], set[str]()
    for each in differing(baseline.facts, side.facts, rules.axis):
        if _is_told_elsewhere(each, baseline, side):
            continue
        if each.unknown:
            listed.append(f"{each.words} not known on one side")
        elif rules.refuses(each.fact):
            refused.append(f"{each.words} differ: {_pair(each, ' against ')}")
            facts.add(each.fact)
        else:
            listed.append(f"{each.words} {_pair(each, ' / ')}")
    for count, bound in (
        (PROMPT_TOKENS, metric.prompt_bound),
        (OUTPUT_TOKENS, metric.output_bound),
    ):
        lengths = _lengths(baseline, side, count, rules.axis)
        if lengths and bound and count not in rules.allow_diff:
            refused.append(f"{FACTS[count].words} differ: {lengths}{_hint(baseline, side, count)}")
            facts.add(count)
        elif lengths and (bound or count == PROMPT_TOKENS):
            listed.append(f"{FACTS[count].words} {lengths}")
    also = [f"also differs: {', '.join(listed)}"] if listed else []
    return Differences(
        refused=tuple(refused),
        listed=(*_gpu_cores(baseline, side, rules.axis), *also),
        facts=frozenset(facts),
    )


def _is_told_elsewhere(each: Difference, baseline: Side, side: Side) -> bool:
    """Return whether another line says it: a chip's GPU has its name, unread energy a reason."""
    if each.fact == "gpu":
        return all(of.facts("gpu") == of.facts("chip") for of in (baseline, side))
    return each.unknown and each.fact in ENERGY_FACTS


def _lengths(baseline: Side, side: Side, count: str, axis: str) -> str:
    """Return both lengths in words, the longer one first; empty where they are alike."""
    if standing(count, axis) == "implied":
        return ""
    longer, shorter = sorted((baseline.lengths(count), side.lengths(count)), reverse=True)
    if not shorter or longer[-1] <= LENGTHS_ALIKE * shorter[0]:
        return ""
    return f"{_counts(longer)} against {_counts(shorter)}"


def _hint(baseline: Side, side: Side, count: str) -> str:
    if count != PROMPT_TOKENS or not all(map(_is_chat, (baseline, side))):
        return ""
    return " (a conversation before the question counts into the prompt)"


def _is_chat(side: Side) -> bool:
    return side.imported or not any(
        _content(text).get("api") == "generate" for text in side.facts("job_content")
    )


def _content(text: str | None) -> dict[str, object]:
    try:
        content = json.loads(text or "{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _counts(tokens: list[int]) -> str:
    if len(tokens) <= 3:
        return " and ".join(map(str, tokens))
    return f"{tokens[0]} to {tokens[-1]}"


def _gpu_cores(baseline: Side, side: Side, axis: str) -> list[str]:
    """Name two core counts of one chip: the axis implies that they differ, but not by how much."""
    if axis == "gpu_cores" or standing("gpu_cores", axis) != "implied":
        return []
    of_baseline, of_side = baseline.facts("gpu_cores"), side.facts("gpu_cores")
    if of_baseline == of_side or None in of_baseline | of_side:
        return []
    return [f"{_shown('gpu_cores', of_side)} against {_shown('gpu_cores', of_baseline)} GPU cores"]


def _pair(each: Difference, between: str) -> str:
    return f"{_shown(each.fact, each.side)}{between}{_shown(each.fact, each.baseline)}"


def _shown(name: str, values: Iterable[str | None]) -> str:
    if name == "job_content":
        return "one" if values else "none"
    short = str if name in ENERGY_FACTS else _short
    texts = sorted(("not known" if v is None else short(v) for v in values), key=natural)
    return " and ".join(texts)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else text[:12]
