"""Answers side by side: what is read from results and reference files, and shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    source: str = ""
    file: str
    line: int = 1
    """Where the file says which job it answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What one check found. `passed` None: there was nothing to decide, `note` says why."""

    check: str
    passed: bool | None = None
    value: float | None = None
    """Similarity, 0 to 1, where that was asked."""
    note: str = ""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One column: an answer, and every machine that gave exactly this one."""

    name: str
    """The model, or the name of the reference."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """Where two texts part: `common` + `left` is the one, `common` + `right` the other."""

    where: Literal["thinking", "answer"]
    common: str
    common_words: int
    left: str
    right: str


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
    compared: int
    """Equal questions that both answered."""
    differing: int
    also: str = ""
    """What else is not the same: engine versions."""
    contrast: Contrast | None = None
    """The first one of which both texts were kept; None: none was, only hashes are known."""


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
