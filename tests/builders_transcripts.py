"""Sessions of `ollama run --verbose` made at random, and the text that a person pastes of them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

S = 10**9
MODELS = ("gpt-oss:20b", "qwen3:8b-q4_K_M", "hf.co/me/x-GGUF:Q4", "mistral", "gemma3:270m")
QUESTIONS = ("why is gold yellow?", "name three colours", 'how long is the word "kiwi"?')
ANSWERS = (
    "It absorbs blue light.",
    "# A heading of the answer\n\n1. one\n2. two",
    "```python\n>>> print(1)\n$ ollama run other --verbose\n```\nand so on",
    "Thinking...\nshort of words\n...done thinking.\n\nYellow.",
    "",
)
PREFIXES = ("", "> ", "[12:01:33] ", "jo@studio: ", "ollama-1  | ", "12:01:33.250 ", "\t", "│ ")
BEFORE_FIGURES = ("", "- ", "* ", "• ", "1. ", "- **")
UNKNOWN = (
    "draft accept rate:     0.71",
    "peak memory: 5.1 GB",
    "layer 7 of 9 took long",
    "gpu: 98 %",
)
SILENT = ("", "   ", "(so far so good)", "---")


@dataclass
class Expected:
    """What must come out of a text: turns in order, and what no figure is made of."""

    turns: list[dict[str, object]] = field(default_factory=list)
    unread: list[tuple[int, str]] = field(default_factory=list)
    printed: int = 0


def go_duration(ns: int) -> str:
    """As Go prints it: `1m2.202324708s`, `59.609167ms`, `712µs`."""
    if ns < 1_000:
        return f"{ns}ns"
    if ns < 10**6:
        return f"{_fraction(ns, 10**3)}µs"
    if ns < S:
        return f"{_fraction(ns, 10**6)}ms"
    minutes, rest = divmod(ns, 60 * S)
    hours, minutes = divmod(minutes, 60)
    words = f"{hours}h" if hours else ""
    return (
        f"{words}{minutes}m{_fraction(rest, S)}s" if words or minutes else f"{_fraction(rest, S)}s"
    )


def _fraction(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    digits = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


class Paste:
    """A document of several sessions, written line by line while what is expected is noted."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.expected = Expected()
        self._day: date | None = None

    def text(self) -> str:
        for _ in range(self.random.randint(1, 4)):
            self._session()
        end = self.random.choice(("\n", "\r\n"))
        return end.join(self.lines) + end

    def _session(self) -> None:
        choose = self.random.choice
        heading = choose(("none", "plain", "dated"))
        if heading != "none":
            self._heading(dated=heading == "dated")
        fenced = self.random.random() < 0.4
        if fenced:
            self._put("```")
        prefix, model = choose(PREFIXES), choose(MODELS)
        if self.random.random() < 0.5:
            question = choose(QUESTIONS)
            quoted = f'"{question}"' if '"' not in question else f"'{question}'"
            dashes = choose(("--", "--", "\u2013", "\u2014", "\u2212\u2212"))
            self._put(f"{prefix}$ ollama run {model} {dashes}verbose {quoted}")
            self._turn(prefix, model, question, 1)
        else:
            self._put(f"{prefix}$ ollama run --verbose {model}")
            for turn in range(1, self.random.randint(1, 3) + 1):
                question = choose(QUESTIONS)
                self._put(f"{prefix}>>> {question}")
                self._turn(prefix, model, question, turn)
        if fenced:
            self._put("```")
        self._put(choose(("", "and then the next one:", "* * *")))

    def _heading(self, *, dated: bool) -> None:
        self._day = None
        title = "Notes of a session"
        if dated:
            self._day = date(2025, 1, 1) + timedelta(days=self.random.randint(0, 600))
            title = self.random.choice(("{:%Y-%m-%d}", "{:%B %d, %Y}", "on {:%d %b %Y}")).format(
                self._day
            )
        self._put(f"## {title}")

    def _turn(self, prefix: str, model: str, question: str, turn: int) -> None:
        for line in self.random.choice(ANSWERS).split("\n"):
            self._put(prefix + line)
        self._put(prefix.rstrip())
        self.expected.turns.append(
            {
                "line": len(self.lines) + 1,
                "model": model,
                "prompt": question,
                "turn": turn,
                "day": self._day,
                **self._figures(prefix),
            }
        )

    def _figures(self, prefix: str) -> dict[str, int | None]:
        values = self._values()
        rows = list(self._rows(values))
        bullet = self.random.choice(BEFORE_FIGURES)
        for place, (label, value) in enumerate(rows):
            if place and self.random.random() < 0.15:
                self._odd_line(prefix)
            mark = "**" if bullet.endswith("**") else ""
            around = self.random.choice(("{}", "{}", "**{}**", "`{}`"))
            gap = self.random.choice((" ", "       ", "\u00a0"))
            self._put(f"{prefix}{bullet}{label}:{mark}{gap}{around.format(value)}")
            self.expected.printed += 1
        return values

    def _odd_line(self, prefix: str) -> None:
        odd = self.random.choice((*UNKNOWN, *SILENT))
        self._put(prefix + odd)
        if odd in UNKNOWN:
            self.expected.printed += 1
            self.expected.unread.append((len(self.lines), odd.replace("     ", " ")))

    def _values(self) -> dict[str, int | None]:
        """Zeros are left out, as Ollama does."""
        number = self.random.randint
        load, prompt, output = number(10, 9 * S), number(10**4, 90 * S), number(10**4, 4000 * S)
        values: dict[str, int | None] = {
            "load_ns": self._or_none(load),
            "prompt_tokens": self._or_none(number(1, 200_000)),
            "prompt_ns": self._or_none(prompt),
            "output_tokens": number(1, 50_000),
            "output_ns": self._or_none(output),
            "cached_tokens": None,
        }
        if values["prompt_tokens"] and self.random.random() < 0.4:
            values["cached_tokens"] = number(0, values["prompt_tokens"])
        return {**values, "total_ns": load + prompt + output + number(0, S)}

    def _or_none(self, value: int) -> int | None:
        return None if self.random.random() < 0.1 else value

    def _rows(self, values: dict[str, int | None]) -> Iterator[tuple[str, str]]:
        yield from self._durations("total duration", values["total_ns"])
        yield from self._durations("load duration", values["load_ns"])
        yield from self._counts("prompt eval count", values["prompt_tokens"])
        yield from self._counts("prompt eval cached", values["cached_tokens"])
        yield from self._durations("prompt eval duration", values["prompt_ns"])
        uncached = (values["prompt_tokens"] or 0) - (values["cached_tokens"] or 0)
        yield from self._rates("prompt eval rate", uncached, values["prompt_ns"])
        yield from self._counts("eval count", values["output_tokens"])
        yield from self._durations("eval duration", values["output_ns"])
        yield from self._rates("eval rate", values["output_tokens"], values["output_ns"])

    def _durations(self, label: str, ns: int | None) -> Iterator[tuple[str, str]]:
        if ns is not None:
            yield label, go_duration(ns)

    def _counts(self, label: str, tokens: int | None) -> Iterator[tuple[str, str]]:
        if tokens is not None:
            digits = self.random.choice(("{}", "{:,}")).format(tokens)
            digits = digits.replace(",", self.random.choice((",", "\u202f", "\u2009", "'")))
            unit = self.random.choice(
                (" token(s)", " tokens", "tokens", " token", "\u00a0token(s)")
            )
            yield label, digits + unit

    def _rates(self, label: str, tokens: int | None, ns: int | None) -> Iterator[tuple[str, str]]:
        if tokens and ns:
            digits = self.random.choice(("{:.2f}", "{:,.2f}")).format(tokens / (ns / S))
            yield label, digits + self.random.choice((" tokens/s", " t/s", "tok/s", " tokens/sec"))

    def _put(self, line: str) -> None:
        self.lines.append(line)
