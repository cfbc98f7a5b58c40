"""What `ollama run --verbose` printed, found in text with any amount of other text around it.

The figures of a turn begin with `total duration:` and go on in Ollama's order, whatever lines
stand between them; a figure of zero is left out by Ollama, and the cached tokens, which newer
Ollamas count, may stand anywhere among them. They end where a figure comes again,
or where another session begins (`transcript_sessions.py`).

Nothing that was printed is dropped without a word: each figure is read, or is named with its line
as not read, or is part of a turn that is refused. A turn is refused whole where its figures
contradict one another, or where one of them cannot be: nobody can say which of them is the wrong
one, and a speed made of them would be one that no machine had.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fleet.store.transcript_checks import contradiction
from fleet.store.transcript_figures import CACHED, ORDER, TOTAL, Figure, figures_in
from fleet.store.transcript_sessions import Sessions, TurnContext
from fleet.store.transcript_text import as_on_a_terminal, evenly_spaced, unquoted, without_prefix
from fleet.store.written_dates import HeadingDate
from fleet.units import show_text

MOST_LINES_BETWEEN = 100
"""Of other text between two figures of one turn."""
UNKNOWN = "no figure of `ollama run --verbose` that fleet knows"
NO_TOTAL = "the `total duration:` of its turn is missing"
ALONE = "the other figures of its turn are missing"
OUT_OF_ORDER = "its figures do not stand in the order in which Ollama prints them"
WHOLE = 8
"""Figures of a turn of which Ollama leaves none out."""
PROOF = {"load duration", "prompt eval count", "eval count", "eval duration"}
"""Without one of them `total duration: 5s` may be words of some sentence."""

_THOUGHT = re.compile(
    r"\s*Thinking\.\.\.\n(?P<thinking>.*?)\n\.\.\.done thinking\.(?:\n|$)(?P<answer>.*)", re.DOTALL
)
_LIKE_A_FIGURE = re.compile(r"[A-Za-z][\w ()/.-]{1,40}: *-?\d[^\n]{0,60}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One turn; None for whatever the text does not say."""

    line: int
    """Where its figures begin, from 1."""
    model: str | None
    prompt: str | None
    turn: int
    """From 1; later turns carry the conversation before them in their prompt."""
    total_ns: int
    load_ns: int | None
    prompt_tokens: int | None
    cached_tokens: int | None
    prompt_ns: int | None
    output_tokens: int | None
    output_ns: int | None
    answer: str | None
    """The text between what was typed and the figures; None where nothing tells its beginning."""
    thinking: str | None
    date: HeadingDate | None
    """What the nearest heading above it says of the day."""
    heading: str
    """The nearest heading above it; empty: none."""
    model_in_heading: str | None
    figures: int
    """How many were read of it, rates too."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Something that was printed and is not stored, and why."""

    line: int
    text: str
    """One line, harmless to a terminal."""
    why: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A turn whose figures cannot all be true; none of them is stored."""

    line: int
    model: str | None
    why: str
    figures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Everything that a text prints: turns that were read, what was not read, turns refused."""

    transcripts: tuple[Transcript, ...]
    unread: tuple[Unread, ...]
    refused: tuple[Refused, ...]
    unclear_dates: tuple[HeadingDate, ...]
    """Days in headings that may be two, so that they were not taken."""

    @property
    def printed(self) -> int:
        """The number of figures in the text: each of them is in one of the three."""
        read = sum(turn.figures for turn in self.transcripts)
        return read + len(self.unread) + sum(turn.figures for turn in self.refused)


def read_transcripts(text: str) -> tuple[Transcript, ...]:
    """Every turn in the text, in its order."""
    return read_contents(text).transcripts


def read_contents(text: str) -> Contents:
    """Every turn in the text, and all that was printed beside them."""
    return _Reader(as_on_a_terminal(text)).contents()


@dataclass(slots=True)
class _Figures:
    """Figures that belong together; `context` is None where no total duration begins them."""

    context: TurnContext | None
    figures: list[Figure] = field(default_factory=list)
    in_order: bool = True
    """False where a figure directly below them should have stood above them."""

    def by_label(self) -> dict[str, Figure]:
        return {figure.label: figure for figure in self.figures if not figure.why}


class _Reader:
    """One pass over a text, from figure to figure."""

    def __init__(self, text: str) -> None:
        self._original = text
        self._text = evenly_spaced(text)
        self._sessions = Sessions()
        self._open: _Figures | None = None
        self._transcripts: list[Transcript] = []
        self._unread: list[Unread] = []
        self._refused: list[Refused] = []

    def contents(self) -> Contents:
        at, line = 0, 1
        for figure in figures_in(self._text):
            self._take(figure, at, line)
            at, line = figure.end, figure.line + self._text.count("\n", figure.begin, figure.end)
        self._close()
        self._unread += self._lines_below(at, len(self._text), line)
        return Contents(
            transcripts=tuple(self._transcripts),
            unread=tuple(sorted(self._unread, key=lambda unread: unread.line)),
            refused=tuple(self._refused),
            unclear_dates=tuple(self._sessions.unclear_dates),
        )

    def _take(self, figure: Figure, at: int, line: int) -> None:
        """`at` and `line` are those of the text behind the figure before."""
        if self._open is not None and self._goes_on(self._open, figure, at):
            self._unread += _with_digits(self._text, at, figure.begin, line)
        else:
            if self._open is not None:
                self._open.in_order = not self._is_out_of_order(self._open, figure, at)
            self._close()
            self._unread += self._lines_below(at, figure.begin, line)
            self._sessions.read(self._text, at, figure.begin, line)
            begins = figure.label == TOTAL and not figure.why
            self._open = _Figures(self._sessions.next_turn() if begins else None)
        self._open.figures.append(figure)
        if figure.remark:
            self._unread.append(Unread(figure.line, show_text(figure.remark), "a remark"))

    def _goes_on(self, before: _Figures, figure: Figure, at: int) -> bool:
        """Tell whether the figure belongs to the same turn."""
        if _stands_above(figure, before.figures):
            return False
        return self._is_near(figure, at, MOST_LINES_BETWEEN)

    def _is_near(self, figure: Figure, at: int, lines: int) -> bool:
        """So many lines at most stand between, and nothing that ends a session."""
        if self._text.count("\n", at, figure.begin) > lines:
            return False
        return not self._sessions.ends_within(self._text, at, figure.begin)

    def _is_out_of_order(self, before: _Figures, figure: Figure, at: int) -> bool:
        """Tell whether a turn lacks figures that stand directly below it but belong above."""
        if figure.label == TOTAL or len(before.figures) >= WHOLE:
            return False
        return _stands_above(figure, before.figures) and self._is_near(figure, at, lines=2)

    def _close(self) -> None:
        closed, self._open = self._open, None
        if closed is None:
            return
        read = closed.by_label()
        self._unread += [_unread(f, f.why) for f in closed.figures if f.why]
        if closed.context is None:
            self._unread += [_unread(f, f.impossible or NO_TOTAL) for f in read.values()]
        elif not PROOF & set(read):
            self._unread += [_unread(f, f.impossible or ALONE) for f in read.values()]
        elif why := contradiction(read) if closed.in_order else OUT_OF_ORDER:
            model, line = closed.context.model, read[TOTAL].line
            self._refused.append(Refused(line, model, why, len(read)))
        else:
            self._transcripts.append(self._transcript(closed.context, read))

    def _transcript(self, context: TurnContext, read: Mapping[str, Figure]) -> Transcript:
        answer, thinking = self._answer(context, read[TOTAL].begin)
        values = {label: figure.value for label, figure in read.items()}
        return Transcript(
            line=read[TOTAL].line,
            model=context.model,
            prompt=context.prompt,
            turn=context.turn,
            total_ns=values[TOTAL] or 0,
            load_ns=values.get("load duration"),
            prompt_tokens=values.get("prompt eval count"),
            cached_tokens=values.get("prompt eval cached"),
            prompt_ns=values.get("prompt eval duration"),
            output_tokens=values.get("eval count"),
            output_ns=values.get("eval duration"),
            answer=answer,
            thinking=thinking,
            date=context.date,
            heading=show_text(context.heading.title) if context.heading else "",
            model_in_heading=context.heading.model if context.heading else None,
            figures=len(read),
        )

    def _answer(self, context: TurnContext, begin: int) -> tuple[str | None, str | None]:
        """Return what was answered and what was thought before it, as Ollama marks that."""
        if context.answer_at is None:
            return None, None
        line_begin = self._text.rfind("\n", 0, begin) + 1
        text = unquoted(self._original[context.answer_at : max(line_begin, context.answer_at)])
        if not text:
            return None, None
        match = _THOUGHT.match(text)
        return (match["answer"].strip(), match["thinking"].strip()) if match else (text, None)

    def _lines_below(self, at: int, end: int, line: int) -> Iterator[Unread]:
        """Lines that go on below the last figure as figures do, under names that Ollama may get."""
        for number, text in enumerate(self._text[at:end].split("\n")[1:-1] if at else (), line + 1):
            plain = without_prefix(text)
            if not _LIKE_A_FIGURE.fullmatch(plain):
                return
            yield Unread(number, show_text(plain), UNKNOWN)


def _stands_above(figure: Figure, before: Sequence[Figure]) -> bool:
    """Whether Ollama prints it above one of these; the same label twice stands above itself."""
    if figure.label == CACHED:
        return any(other.label == CACHED for other in before)
    last = next((other for other in reversed(before) if other.label != CACHED), None)
    return last is not None and ORDER[figure.label] <= ORDER[last.label]


def _with_digits(text: str, at: int, end: int, line: int) -> Iterator[Unread]:
    """Whole lines between two figures of one turn."""
    for number, between in enumerate(text[at:end].split("\n")[1:-1], line + 1):
        plain = without_prefix(between)
        if any(letter.isdigit() for letter in plain):
            yield Unread(number, show_text(plain), UNKNOWN)


def _unread(figure: Figure, why: str) -> Unread:
    return Unread(figure.line, show_text(figure.text), why)
