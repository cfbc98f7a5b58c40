"""What `ollama run --verbose` printed, found in text with any amount of other text around it.

The counters stand in a block like this one; lines that would be zero are left out:

    total duration:       1m2.2s
    load duration:        59.6ms
    prompt eval count:    68 token(s)
    prompt eval duration: 286.7ms
    prompt eval rate:     237.18 tokens/s
    eval count:           512 token(s)
    eval duration:        1m1.8s
    eval rate:            8.28 tokens/s

Model and prompt come from the `ollama run` command and the `>>>` lines before it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from fleet.units import go_duration_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One turn; None for whatever the text does not say."""

    line: int
    """Where its block begins, from 1."""
    model: str | None
    prompt: str | None
    turn: int
    """From 1; later turns carry the conversation before them in their prompt."""
    total_ns: int
    load_ns: int | None
    prompt_tokens: int | None
    prompt_ns: int | None
    output_tokens: int | None
    output_ns: int | None


def read_transcripts(text: str) -> tuple[Transcript, ...]:
    """Every block in the text, in its order."""
    plain = without_escapes(text)
    found: list[Transcript] = []
    session = _Session()
    done = 0
    for block in _BLOCK.finditer(plain):
        if not any(block[name] for name in ("load", "prompt_count", "count", "duration")):
            continue  # the words `total duration: 5s` in some sentence
        for event in _events(plain[done : block.start()]):
            session.take(event)
        found.append(session.turn_of(block, 1 + plain.count("\n", 0, block.start())))
        done = block.end()
    return tuple(found)


def without_escapes(text: str) -> str:
    """The text a terminal would be left with: no escape sequences, backspaces carried out."""
    text = _ESCAPE.sub("", text.replace("\r\n", "\n"))
    while "\b" in text:
        shorter = _RUBBED_OUT.sub("", text)
        text = shorter if shorter != text else text.replace("\b", "")
    return text.replace("\r", "\n")


_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: window titles, links
    r"|\x1b[ -/]*[0-~]"
)
_RUBBED_OUT = re.compile(r"[^\b\n]\x08")

_DURATION = r"-?(?:\d+(?:\.\d+)?(?:h|ms|m|s|µs|μs|us|ns))+(?![\w.])"
_BETWEEN = r"[\s>|│*]*"  # also what surrounds quoted lines and tables
_BLOCK = re.compile(
    rf"total duration:\s*(?P<total>{_DURATION})"
    rf"(?:{_BETWEEN}load duration:\s*(?P<load>{_DURATION}))?"
    rf"(?:{_BETWEEN}prompt eval count:\s*(?P<prompt_count>\d+)\s*token\(s\))?"
    rf"(?:{_BETWEEN}prompt eval duration:\s*(?P<prompt_duration>{_DURATION}))?"
    rf"(?:{_BETWEEN}prompt eval rate:\s*[\d.]+\s*tokens/s)?"
    rf"(?:{_BETWEEN}eval count:\s*(?P<count>\d+)\s*token\(s\))?"
    rf"(?:{_BETWEEN}eval duration:\s*(?P<duration>{_DURATION}))?"
    rf"(?:{_BETWEEN}eval rate:\s*[\d.]+\s*tokens/s)?"
)


@dataclass(frozen=True, slots=True)
class _Command:
    """`ollama run MODEL ...`; `sure` where nothing but a shell can have said it."""

    model: str
    prompt: str | None
    sure: bool


@dataclass(frozen=True, slots=True)
class _Line:
    """What was typed at `>>>`."""

    text: str


class _Session:
    """Which model is being asked what, as far as the text has been read."""

    def __init__(self) -> None:
        self._command: _Command | None = None
        self._other: _Command | None = None
        self._prompt: str | None = None
        self._turn = 0

    def take(self, event: _Command | _Line) -> None:
        if isinstance(event, _Line):
            self._typed(event.text)
        elif event.sure or self._command is None or not self._command.sure:
            self._start(event)
        else:
            self._other = event  # in an answer, or a new session: `/set verbose` will tell

    def turn_of(self, block: re.Match[str], line: int) -> Transcript:
        self._turn += 1
        prompt, self._prompt, self._other = self._prompt, None, None
        return Transcript(
            line=line,
            model=self._command.model if self._command else None,
            prompt=prompt,
            turn=self._turn,
            total_ns=go_duration_ns(block["total"]),
            load_ns=_ns(block["load"]),
            prompt_tokens=_count(block["prompt_count"]),
            prompt_ns=_ns(block["prompt_duration"]),
            output_tokens=_count(block["count"]),
            output_ns=_ns(block["duration"]),
        )

    def _start(self, command: _Command) -> None:
        self._command, self._other, self._prompt = command, None, command.prompt
        self._turn = 0

    def _typed(self, text: str) -> None:
        """A command that brought its prompt is over after its answer: `>>>` is part of that."""
        if self._command and self._command.prompt:
            return
        word, _, rest = text.partition(" ")
        if word == "/clear":
            self._turn, self._prompt = 0, None
        elif word == "/load" and rest.strip():
            self._start(_Command(rest.strip(), None, sure=True))
        elif word == "/bye" and self._command:
            self._command = _Command(self._command.model, None, sure=False)
        elif word == "/set" and rest.strip() == "verbose" and self._other:
            self._start(self._other)
        elif not _SLASH_COMMAND.match(text):
            self._prompt = text


_SLASH_COMMAND = re.compile(r"/(set|show|save|load|clear|bye|help|\?)(\s|$)")


def _ns(text: str | None) -> int | None:
    return None if text is None else go_duration_ns(text)


def _count(text: str | None) -> int | None:
    return None if text is None else int(text)


_PLACEHOLDER = re.compile(r"^(Send a message \(/\? for help\)|Use \"\"\" to end multi-line input)")
_EVENT = re.compile(
    r"^[ \t>|│*]*?>>> ?(?P<typed>[^\n]*)|\bollama(?:\.exe)?[ \t]+run[ \t]+(?=\S)", re.MULTILINE
)
_FENCE = re.compile(r"^\s*```", re.MULTILINE)


def _events(text: str) -> Iterator[_Command | _Line]:
    """Commands and typed lines in their order, code quoted in an answer left out."""
    at, last = 0, None
    while match := _EVENT.search(text, at):
        at = match.end()
        if last is not None and len(_FENCE.findall(text[last : match.start()])) % 2:
            continue
        event: _Command | _Line | None
        if match["typed"] is not None:
            event, at = _typed_line(text, match)
        else:
            event = _command(_before(text, match.start()), text[at:])
            at = _end_of_line(text, at)
        if event is not None:
            yield event
            last = at


def _before(text: str, at: int) -> str:
    """What stands on the line before the program's name, without the folder it is called from."""
    line = text[text.rfind("\n", 0, at) + 1 : at]
    return re.sub(r"[\w.:~-]*(?:[/\\][\w.:~-]*)*[/\\]$", "", line[-_LONGEST_BEFORE:])


def _typed_line(text: str, match: re.Match[str]) -> tuple[_Line | None, int]:
    '''A line typed at `>>>`, or all lines up to the closing """; and where it ends.'''
    typed, at = _PLACEHOLDER.sub("", match["typed"]).strip(), match.end()
    if not typed.startswith('"""'):
        return _Line(typed) if typed else None, at
    whole = _QUOTED.match(text, match.start("typed"))
    if whole is None:
        return _Line(typed.removeprefix('"""')), at
    lines = [line.removeprefix("... ") for line in whole[1].strip().splitlines()]
    return _Line("\n".join(lines).strip()), whole.end()


_QUOTED = re.compile(r'\s*"""(.*?)"""', re.DOTALL)


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


_WITH_VALUE = frozenset({"--format", "--keepalive", "--dimensions"})
_MODEL = re.compile(r"[A-Za-z0-9][\w./@-]*(?::[\w.-]+)?")
_SHELL_PROMPT = re.compile(r"(^|[^\w\s.,'\"])\s*$|[➜❯]|^\s*(\w+=\S*\s+|time\s+|sudo\s+|docker\s)")
_LONGEST_BEFORE = 500
_MOST_QUOTATIONS = 20
_COMPLETE = re.compile(r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^'"\\]""", re.DOTALL)


def _command(before: str, rest: str) -> _Command | None:
    """The command whose words after `ollama run` stand at the start of `rest`."""
    if before.endswith("`"):
        rest = rest.partition("`")[0]
    words = _words(rest.replace("\\\n", " "))
    verbose, plain, at = False, [], 0
    while at < len(words):
        word = words[at]
        verbose = verbose or word in ("--verbose", "--verbose=true")
        if not word.startswith("-"):
            plain.append(word)
        at += 2 if word in _WITH_VALUE else 1
    model = plain[0].rstrip(".,;:)") if plain else ""
    if not _MODEL.fullmatch(model):
        return None
    if not verbose and not _SHELL_PROMPT.search(before):
        return None  # a sentence that speaks of `ollama run`
    return _Command(model, " ".join(plain[1:]).strip(" “”") or None, sure=verbose)


def _words(rest: str) -> list[str]:
    """The shell's words up to a pipe or redirection; a quoted prompt may go over many lines."""
    line_end = end = _end_of_line(rest, 0)
    for _ in range(_MOST_QUOTATIONS):
        lexer = shlex.shlex(rest[:end], posix=True, punctuation_chars="|;&<>")
        lexer.whitespace_split, lexer.commenters = True, ""
        try:
            return _up_to_pipe(list(lexer))
        except ValueError:  # a quotation is open at the end of the line
            quote = _COMPLETE.sub("", rest[:end])[:1]
            closing = rest.find(quote, end)
            if not quote or closing < 0:
                break
            end = _end_of_line(rest, closing)
    return rest[:line_end].split()[:1]


def _up_to_pipe(words: list[str]) -> list[str]:
    stop = next((n for n, word in enumerate(words) if word and set(word) <= set("|;&<>")), None)
    if stop is None:
        return words
    redirected = words[stop].startswith(">") and words[:stop][-1:] in (["1"], ["2"])
    return words[: stop - 1] if redirected else words[:stop]
