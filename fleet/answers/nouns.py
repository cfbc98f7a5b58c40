"""Answers side by side: what is read from results and reference files, and shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from fleet.units import show_count, show_ns, show_number, show_time

LONG_NS = 60 * 10**9
"""From here on a time is shown in minutes."""

HASHES_ONLY = "only hashes are known; `keep_text: true` in the job shows where they part"

Piece = tuple[Literal["same", "left", "right"], str]
"""A stretch of text that both have, or only the left or only the right one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An answer from elsewhere that the user pasted into a file."""

    name: str
    text: str
    time_ns: int | None = None
    tokens: int | None = None
    job: str | None = None
    """The job it answers; None: not said."""
    prompt: str | None = None
    """The prompt it answers, or the name of its point; None: not said."""
    source: str = ""
    file: str
    line: int = 1
    """Where the file says which job it answers."""
    prompt_line: int = 1
    """Where it says which prompt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What one check found. `passed` None: there was nothing to decide, `note` says why."""

    check: str
    passed: bool | None = None
    value: float | None = None
    """Similarity, 0 to 1, where that was asked."""
    note: str = ""

    def verdict(self) -> str:
        """`yes`, `no (0.41)`, `0.41`, or why nothing could be decided."""
        value = "" if self.value is None else f"{self.value:.2f}"
        rest = ", ".join(filter(None, (value, self.note)))
        if self.passed is None:
            return rest
        word = "yes" if self.passed else "no"
        return f"{word} ({rest})" if rest else word


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One request that gave an answer. A time or rate that is not known is None."""

    machine: str
    """Empty for a reference."""
    trial_id: str = ""
    request: int | None = None
    total_ns: int | None = None
    """Request sent to the last record, a load within it included."""
    load_ns: int | None = None
    """Loading the model within this request, by the engine's own clock."""
    first_token_ns: int | None = None
    first_answer_ns: int | None = None
    """Request sent to the first token of the answer, thinking before it included."""
    decode_tokens_per_s: float | None = None
    flags: str = ""
    source: str = ""
    """Of figures that others measured: where they come from."""

    def figures(self, *, thinks: bool) -> Iterator[tuple[str, str]]:
        """What is known, in words; of an answer without thinking the first token is enough."""
        if self.source:
            yield "source", self.source
        times = (
            ("total", self.total_ns),
            ("load", self.load_ns),
            ("first token", self.first_token_ns),
            ("first answer token", self.first_answer_ns if thinks else None),
        )
        for name, duration_ns in times:
            if duration_ns is not None:
                long = duration_ns >= LONG_NS
                yield name, show_time(duration_ns) if long else show_ns(duration_ns)
        if self.decode_tokens_per_s is not None:
            yield "decode", f"{show_number(self.decode_tokens_per_s)} tokens/s"
        elif self.machine:
            yield "decode", "too short for a rate"
        if self.flags:
            yield "flags", self.flags


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One column: an answer, and every machine that gave exactly this one."""

    name: str
    """The model, or the name of the reference."""
    title: str
    """The name, with what tells it from other columns of this name."""
    is_reference: bool = False
    details: str = ""
    """Settings that not all columns share; of a reference its source."""
    text: str
    thinking: str = ""
    words: int
    characters: int
    thinking_words: int = 0
    output_tokens: int | None = None
    """Thinking included."""
    ended: str = ""
    """Why it ended, where that is not of its own will: `cut at 512 tokens`."""
    timed: tuple[Timed, ...]
    scores: tuple[Score, ...] = ()

    def lengths(self) -> Iterator[tuple[str, str]]:
        if self.output_tokens is not None:
            yield "tokens", str(self.output_tokens)
        yield "words", str(self.words)
        yield "characters", str(self.characters)
        if self.thinking:
            yield "thinking", show_count(self.thinking_words, "word")
        if self.ended:
            yield "ended", self.ended

    def shown(self) -> str:
        """The text, or why there is none."""
        if self.text.strip():
            return self.text.strip()
        if self.thinking:
            ended = f", {self.ended}" if self.ended else ""
            return f"(no answer: it only thought{ended})"
        return "(an empty answer)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """Where two texts part: `common` + `left` is the one, `common` + `right` the other."""

    where: Literal["thinking", "answer"]
    common: str
    common_words: int
    left: str
    right: str

    def place(self) -> str:
        if not self.common_words:
            return f"they differ from the first word of the {self.where} on"
        return f"they part after {show_count(self.common_words, 'word')} of the {self.where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Two texts set against each other."""

    left: str
    right: str
    parting: Parting
    pieces: tuple[Piece, ...]
    """Word by word; the `same` and `left` pieces in order are the left text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """Two machines, or one and itself, gave unlike outputs to equal questions."""

    left: str
    right: str
    """A machine that parts from itself is named twice: `alpha once`, `alpha again`."""
    compared: int
    """Equal questions that both answered."""
    differing: int
    also: str = ""
    """What else is not the same: engine versions."""
    contrast: Contrast | None = None
    """The first one of which both texts were kept; None: none was, only hashes are known."""

    def counted(self) -> str:
        """`2 of 3 prompts (also differs: engine version 1 against 2)`."""
        also = f" (also differs: {self.also})" if self.also else ""
        return f"{self.differing} of {show_count(self.compared, 'prompt')}{also}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Outputs of one model that should be equal: temperature 0, same seed, digest, job, settings
    and prompt."""

    model: str
    settings: str
    machines: tuple[str, ...]
    requests: int
    questions: int
    """Different prompts among the requests."""
    repeated: int
    """Questions that were asked more than once, so that something can be compared."""
    disagreements: tuple[Disagreement, ...] = ()

    def said(self) -> str:
        outputs = show_count(self.requests, "output")
        asked = f"{outputs} to {show_count(self.questions, 'prompt')} on {', '.join(self.machines)}"
        if not self.repeated:
            return f"{asked}: no prompt was asked twice, so there is nothing to compare"
        if self.disagreements:
            return f"{asked}: outputs differ where they should be the same"
        return f"{asked}: the same prompt always gave the same output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All answers to one question: a job's point."""

    job: str
    point: str
    prompt: str | None
    """None where the prompt was made of words to an exact length."""
    answers: tuple[Answer, ...] = ()
    contrasts: tuple[Contrast, ...] = ()
    """Where asked for: each answer against the first."""
    agreements: tuple[Agreement, ...] = ()
    notes: tuple[str, ...] = ()
