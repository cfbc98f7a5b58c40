"""The nouns of answers side by side: references, scores, columns, differences, sheets."""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerColumn:
    """An answer, and every machine that gave exactly this one."""

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
    """Why it ended, where it did not end by itself: `cut at 512 tokens`."""
    timed: tuple[Timed, ...]
    scores: tuple[Score, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstDifference:
    """Where two texts differ first: `common` + `left` is the one, `common` + `right` the other."""

    where: Literal["thinking", "answer"]
    common: str
    common_words: int
    left: str
    right: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextContrast:
    """Two texts set against each other."""

    left: str
    right: str
    first_difference: FirstDifference = field(metadata={"json": "parting"})
    pieces: tuple[Piece, ...]
    """Word by word; the `same` and `left` pieces in order are the left text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """Two machines, or one and itself, gave unlike outputs to equal questions."""

    left: str
    right: str
    """A machine that disagrees with itself is named twice: `alpha once`, `alpha again`."""
    compared: int
    """Equal prompts that both answered."""
    differing: int
    also: str = ""
    """What else is not the same: engine versions, or the libraries of MLX."""
    with_drafts: bool = False
    """Drafts are evaluated several at a time, which rounds otherwise: where two tokens are almost
    equally likely the text may differ from request to request."""
    contrast: TextContrast | None = None
    """The first one of which both texts were kept; None: none was, only hashes are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Outputs of one model that should be equal.

    They have temperature 0, and the same seed, digest, job, settings and prompt.
    """

    model: str
    settings: str
    machines: tuple[str, ...]
    requests: int
    questions: int
    """Different prompts among the requests."""
    repeated: int
    """Prompts that were sent more than once, so that something can be compared."""
    disagreements: tuple[Disagreement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """All answers to one question: a job's point."""

    job: str
    point: str
    prompt: str | None
    """None where the prompt was made of words to an exact length."""
    answers: tuple[AnswerColumn, ...] = ()
    contrasts: tuple[TextContrast, ...] = ()
    """Where asked for: each answer against the first."""
    agreements: tuple[Agreement, ...] = ()
    notes: tuple[str, ...] = ()
