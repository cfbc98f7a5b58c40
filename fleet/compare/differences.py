"""What differs between two sides besides the axis: refused, or only listed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from fleet.comparability import (
    ENERGY_FACTS,
    FACTS,
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    differing,
    standing,
)
from fleet.compare.sides import Side
from fleet.metrics.compared import Metric
from fleet.names import natural

LENGTHS_ALIKE = 1.10
"""Prompts and answers of lengths within this factor are alike: another tokenizer, the same text."""

LONGEST_SHOWN = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """In words, the side's value first."""

    refused: tuple[str, ...]
    """What forbids the comparison."""
    listed: tuple[str, ...]
    facts: frozenset[str]
    """Names of the refused facts: what `--allow-diff` takes."""


def differences(
    baseline: Side, side: Side, metric: Metric, axis: str, freed: frozenset[str]
) -> Differences:
    refused, listed, facts = [], [], set[str]()
    for found in differing(baseline.facts, side.facts, axis):
        if found.fact == "gpu" and all(s.facts("gpu") == s.facts("chip") for s in (baseline, side)):
            continue  # one name for both, and the chip is told
        if found.unknown and found.fact in ENERGY_FACTS:
            continue  # what was not read is told beside the missing value
        if found.unknown:
            listed.append(f"{found.words} not known on one side")
        elif found.standing == "refused" and found.fact not in freed:
            pair = _pair(found.fact, found.side, found.baseline)
            refused.append(f"{found.words} differ: {pair}")
            facts.add(found.fact)
        else:
            pair = _pair(found.fact, found.side, found.baseline, " / ")
            listed.append(f"{found.words} {pair}")
    for count, bound in (
        (PROMPT_TOKENS, metric.prompt_bound),
        (OUTPUT_TOKENS, metric.output_bound),
    ):
        told = _lengths(baseline, side, count, axis)
        if told and bound and count not in freed:
            refused.append(f"{FACTS[count].words} differ: {told}{_hint(baseline, side, count)}")
            facts.add(count)
        elif told and (bound or count == PROMPT_TOKENS):
            listed.append(f"{FACTS[count].words} {told}")
    also = [f"also differs: {', '.join(listed)}"] if listed else []
    return Differences(
        refused=tuple(refused),
        listed=(*_gpu_cores(baseline, side, axis), *also),
        facts=frozenset(facts),
    )


def _lengths(baseline: Side, side: Side, count: str, axis: str) -> str:
    """The longer one first; empty where they are alike."""
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
    """Of one chip with two core counts the axis implies the difference, but its size is news."""
    if axis == "gpu_cores" or standing("gpu_cores", axis) != "implied":
        return []
    theirs, ours = baseline.facts("gpu_cores"), side.facts("gpu_cores")
    if theirs == ours or None in theirs | ours:
        return []
    return [f"{_shown('gpu_cores', ours)} against {_shown('gpu_cores', theirs)} GPU cores"]


def _pair(
    name: str, ours: Iterable[str | None], theirs: Iterable[str | None], by: str = " against "
) -> str:
    return f"{_shown(name, ours)}{by}{_shown(name, theirs)}"


def _shown(name: str, values: Iterable[str | None]) -> str:
    if name == "job_content":
        return "one" if values else "none"
    short = str if name in ENERGY_FACTS else _short
    texts = sorted(("not known" if v is None else short(v) for v in values), key=natural)
    return " and ".join(texts)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else text[:12]
