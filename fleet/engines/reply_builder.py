"""What every engine's answer ends as: the stamps and words of its chunks, added up to a reply."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from fleet.engines.incoming import whole_characters
from fleet.errors import TrialError
from fleet.model.measure import Reply
from fleet.units import NS_PER_US

OUTPUT_SEPARATOR = "\x1e"
"""Between thinking and answer in the output hash: the same words elsewhere are another output."""

Failure = tuple[type[TrialError], str]
"""What a broken answer stands for, and what was said about it."""


@dataclass(slots=True)
class ReplyBuilder:
    """Of the chunks that carried text, in the order they came."""

    stamps: list[int] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)
    first_thinking_ns: int | None = None
    first_answer_ns: int | None = None
    failure: Failure | None = None

    def take(self, stamp: int, thinking: str | None, answer: str | None) -> None:
        if not thinking and not answer:
            return
        self.stamps.append(stamp)
        if thinking:
            self.thinking.append(thinking)
            if self.first_thinking_ns is None:
                self.first_thinking_ns = stamp
        if answer:
            self.answer.append(answer)
            if self.first_answer_ns is None:
                self.first_answer_ns = stamp

    def reply(
        self, *, sent_ns: int, ended_ns: int, whole: bool, keep_text: bool, **counters: Any
    ) -> Reply:
        """`counters`: those of the engine's counters. An output that is not whole has no hash."""
        thinking = whole_characters("".join(self.thinking))
        answer = whole_characters("".join(self.answer))
        kind, error = self.failure or (None, None)
        return Reply(
            sent_ns=sent_ns,
            first_chunk_ns=self.stamps[0] if self.stamps else None,
            first_thinking_ns=self.first_thinking_ns,
            first_answer_ns=self.first_answer_ns,
            last_chunk_ns=self.stamps[-1] if self.stamps else None,
            ended_ns=ended_ns,
            chunks=len(self.stamps),
            chunk_gaps_us=gaps_us(self.stamps),
            output_sha256=output_sha256(thinking, answer) if whole else None,
            text=answer if keep_text else None,
            thinking=thinking if keep_text and thinking else None,
            error=error,
            error_reason=kind.reason if kind else None,
            **counters,
        )


def gaps_us(stamps_ns: list[int]) -> tuple[int, ...]:
    """Differences of the offsets rounded to µs, so that their sum never drifts."""
    if not stamps_ns:
        return ()
    first = stamps_ns[0]
    offsets = [(stamp - first + NS_PER_US // 2) // NS_PER_US for stamp in stamps_ns]
    return tuple(after - before for before, after in pairwise(offsets))


def output_sha256(thinking: str, answer: str) -> str:
    return hashlib.sha256(f"{thinking}{OUTPUT_SEPARATOR}{answer}".encode()).hexdigest()
