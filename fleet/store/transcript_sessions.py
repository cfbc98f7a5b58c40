"""Which model is asked what, and on which day, as far as a text has been read.

A session begins with a command. It ends with the next command, with a heading of the document,
and where the code block ends that it stands in: what follows those may be another model's, and
where no command names that, it is not known. Headings and code within an answer end nothing: an
answer begins after what was typed and ends with its figures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from fleet.store.transcript_commands import Command, TypedLine, command, typed_line
from fleet.store.transcript_text import PREFIX
from fleet.store.written_dates import HeadingDate, date_in_heading

_LONGEST_TITLE = 200
_FENCE = re.compile(rf"{PREFIX}*+(?P<fence>`{{3,}}|~{{3,}}) *(?P<info>[^\n`]*)(?=\n|$)")
_HASHES = re.compile(r"[ >]*(?P<hashes>#{1,6}) +(?P<title>[^\n]*)")
_TAG = re.compile(
    r"[ >]*(?:<details[^>\n]*> *)?<(?:h(?P<level>[1-6])|summary)\b[^>\n]*>(?P<title>[^\n<]*)",
    re.IGNORECASE,
)
_BOLD = re.compile(r"[ >]*(?P<mark>\*\*|__)(?P<title>[^\n*_]{1,80})(?P=mark):? *")
_LABEL = re.compile(
    rf"{PREFIX}*+(?P<title>(?:model *[:=] *)?[`*\"']*[\w./-]{{0,60}}:[\w.-]{{1,60}}[`*\"':]*) *",
    re.IGNORECASE,
)
_UNDERLINE = re.compile(r"\n(?P<line>={3,}|-{3,}) *(?=\n|$)")
_RUNS = re.compile(r"(?:[\w.:~/\\-]*[/\\])?ollama(?:\.exe)? +run\b")
_MODEL_NAME = re.compile(
    r"(?<![\w./:-])(?:[\w.-]+/)*[A-Za-z][\w.-]*:(?!\d+(?![\w.-]))(?=[\w.-]*\d|latest\b)[\w.-]*\w"
)
_SLASH_COMMAND = re.compile(r"/(set|show|save|load|clear|bye|help|\?)(\s|$)")
_BOLD_LEVEL, _LABEL_LEVEL = 7, 8


@dataclass(frozen=True, slots=True)
class Heading:
    """A line that begins a section of the document."""

    level: int
    """From 1; a bold line that serves as a heading is of level 7, a model's bare name of 8."""
    title: str
    firm: bool = True
    """False for a line that may be something else: a bold one, or one with dashes below it."""

    @property
    def model(self) -> str | None:
        """The first word in it that looks like `name:tag`."""
        match = _MODEL_NAME.search(self.title)
        return match[0] if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnContext:
    """What the text says of the turn whose figures come next."""

    model: str | None
    prompt: str | None
    turn: int
    answer_at: int | None
    """Where its answer begins in the text; None where nothing tells."""
    date: HeadingDate | None
    heading: Heading | None


class Sessions:
    """Follows the sessions of a text, which it is given piece by piece from figure to figure."""

    def __init__(self) -> None:
        self._command: Command | None = None
        self._other: Command | None = None
        self._prompt: str | None = None
        self._turn = 0
        self._answer_at: int | None = None
        self._fence = ""
        self._question_in_fence = False
        self._fence_of_answer = ""
        self._headings: list[Heading] = []
        self._dates: list[tuple[int, HeadingDate]] = []
        self.unclear_dates: list[HeadingDate] = []

    def read(self, text: str, begin: int, end: int, line: int) -> None:
        """Take in the lines between two figures; `line` is the number of the first of them."""
        at, counted = begin, begin
        while at < end:
            line += text.count("\n", counted, at)
            counted = at
            at = self._read_line(text, at, end, line)

    def ends_within(self, text: str, begin: int, end: int) -> bool:
        """Tells whether figures behind these lines belong to another turn than those before."""
        at = begin
        while at < end:
            if _FENCE.match(text, at, end) or typed_line(text, at, end) or command(text, at, end):
                return True
            heading = None if self._fence else _heading(text, at, end)
            if heading is not None and heading.firm:
                return True
            at = _next_line(text, at, end)
        return False

    def next_turn(self) -> TurnContext:
        """Count the turn whose figures begin here; its answer ends with them."""
        self._turn += 1
        if self._command is not None and (self._command.prompt or self._command.fed):
            self._turn = 1
        context = TurnContext(
            model=self._command.model if self._command else None,
            prompt=self._prompt,
            turn=self._turn,
            answer_at=self._answer_at,
            date=self._dates[-1][1] if self._dates else None,
            heading=self._headings[-1] if self._headings else None,
        )
        self._prompt = self._other = self._answer_at = None
        self._fence_of_answer = ""
        return context

    def _read_line(self, text: str, at: int, end: int, line: int) -> int:
        """Take in the line at `at`, and return where the text goes on."""
        if fence := _FENCE.match(text, at, end):
            self._fenced(fence["fence"], fence["info"].strip())
        elif self._fence_of_answer:
            pass
        elif typed := typed_line(text, at, end):
            self._typed(typed)
            return _next_line(text, typed.end, end)
        else:
            if heading := _heading(text, at, end):
                self._headed(heading, line)
            if new := command(text, at, end):
                self._run(new)
                return _next_line(text, new.end, end)
        return _next_line(text, at, end)

    def _fenced(self, fence: str, info: str) -> None:
        """Note that a block of code begins or ends here, in an answer or in the document."""
        if self._fence_of_answer:
            if not info and fence.startswith(self._fence_of_answer):
                self._fence_of_answer = ""
        elif self._fence and not info and fence.startswith(self._fence):
            self._fence = ""
            self._end()
        elif self._answer_at is not None:
            self._fence_of_answer = fence
        elif not self._fence:
            self._fence = fence
            if self._turn:
                self._end()

    def _headed(self, heading: Heading, line: int) -> None:
        if self._answer_at is not None:
            other = heading.model not in (None, self._command and self._command.model)
            if self._question_in_fence or not (heading.firm and other):
                return  # a heading of the answer
        elif self._fence and heading.level != _LABEL_LEVEL:
            return  # a remark in code
        self._end()
        self._headings = [h for h in self._headings if h.level < heading.level] + [heading]
        self._dates = [(level, day) for level, day in self._dates if level < heading.level]
        if (written := date_in_heading(heading.title, line)) is not None:
            if written.day is None:
                self.unclear_dates.append(written)
            else:
                self._dates.append((heading.level, written))

    def _run(self, new: Command) -> None:
        was_typed = new.sure or (self._answer_at is None and not new.mentioned)
        if was_typed or self._command is None or not self._command.sure:
            self._start(new)
        else:
            self._other = new  # in an answer, or a new session: `/set verbose` will tell

    def _start(self, new: Command) -> None:
        self._end()
        self._command, self._prompt = new, new.prompt
        if new.prompt or new.fed:
            self._ask(new.end)

    def _ask(self, end: int) -> None:
        self._answer_at, self._question_in_fence = end, bool(self._fence)

    def _end(self) -> None:
        """End the session: the model of the figures that come next is not known."""
        self._command = self._other = self._prompt = self._answer_at = None
        self._turn, self._fence_of_answer = 0, ""

    def _typed(self, typed: TypedLine) -> None:
        """Take in a typed line.

        A command that brought its prompt ends with its answer, in which `>>>` is a word.
        """
        if self._command and (self._command.prompt or self._command.fed):
            if self._answer_at is not None:
                return
            self._end()
        word, _, rest = typed.text.partition(" ")
        if word == "/clear":
            self._turn, self._prompt = 0, None
        elif word == "/load" and rest.strip():
            self._start(Command(model=rest.strip(), prompt=None, sure=True, end=typed.end))
        elif word == "/bye":
            self._end()
        elif word == "/set" and rest.strip() == "verbose" and self._other:
            self._start(replace(self._other, prompt=None))
        elif typed.text and not _SLASH_COMMAND.match(typed.text):
            self._prompt = typed.text
            self._ask(typed.end)


def _heading(text: str, at: int, end: int) -> Heading | None:
    line_end = _next_line(text, at, end)
    if match := _HASHES.match(text, at, end):
        title = match["title"][:_LONGEST_TITLE].strip(" #")
        return None if _RUNS.match(title) else Heading(len(match["hashes"]), title)
    if match := _TAG.match(text, at, end):
        return Heading(int(match["level"] or 6), match["title"][:_LONGEST_TITLE])
    for form, level in ((_BOLD, _BOLD_LEVEL), (_LABEL, _LABEL_LEVEL)):
        match = form.match(text, at, end)
        if match and text[match.end() : line_end].strip() == "":
            return Heading(level, match["title"], firm=False)
    title = text[at : min(line_end, at + _LONGEST_TITLE)].strip()
    if title and (match := _UNDERLINE.match(text, line_end - 1, end)):
        return Heading(1 if match["line"][0] == "=" else 2, title, firm=match["line"][0] == "=")
    return None


def _next_line(text: str, at: int, end: int) -> int:
    line_end = text.find("\n", at, end)
    return end if line_end < 0 else line_end + 1
