"""The model of a turn that no command in the file names: the user says it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import UserError
from fleet.store.transcripts import Transcript
from fleet.units import show_count

MOST_SHOWN = 8
_BY_LINE = re.compile(r"(\d{1,9})=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ModelNames:
    """What `--model` says: NAME for the whole file, `LINE=NAME` from that line on."""

    whole_file: str | None = None
    from_line: tuple[tuple[int, str], ...] = ()
    """In the order of the lines."""

    def of(self, line: int) -> str | None:
        """Return the name for figures on this line; None where nothing was said."""
        above = [name for first, name in self.from_line if first <= line]
        return above[-1] if above else self.whole_file


def model_names(words: Sequence[str]) -> ModelNames:
    """Parse the words of `--model`; raises UserError for one that cannot be understood."""
    by_line: dict[int, str] = {}
    whole: list[str] = []
    for word in words:
        match = _BY_LINE.fullmatch(word)
        if match:
            by_line[int(match[1])] = match[2].strip()
        else:
            whole.append(word.strip())
    if not all([*by_line.values(), *whole]) or len(whole) > 1:
        raise UserError(
            f"--model: {' '.join(words) or 'nothing'} is not understood",
            "write --model NAME, or once for each place --model LINE=NAME",
        )
    return ModelNames(whole[0] if whole else None, tuple(sorted(by_line.items())))


def models_of(path: Path, turns: Sequence[Transcript], names: ModelNames) -> list[str]:
    """Return a name for each turn; raises UserError where one is unknown or in doubt."""
    nameless = [turn for turn in turns if turn.model is None]
    unknown = [turn for turn in nameless if names.of(turn.line) is None]
    if unknown:
        raise UserError(
            f"{path}:{unknown[0].line}: no command names the model of "
            f"{show_count(len(unknown), 'turn')}: {_places(unknown)} "
            "(looked for `ollama run MODEL --verbose` in the same session)",
            f"say it: {_options(unknown)}",
        )
    _check_headings(path, nameless, names)
    _check_lines(path, nameless, names)
    return [turn.model or names.of(turn.line) or "" for turn in turns]


def _check_headings(path: Path, nameless: Sequence[Transcript], names: ModelNames) -> None:
    """Raise UserError where the name for the whole file is not the one in a heading."""
    chosen = {first for first, _ in names.from_line}
    others = [
        turn
        for turn in nameless
        if turn.model_in_heading and not any(first <= turn.line for first in chosen)
        if _same(turn.model_in_heading) != _same(names.whole_file or "")
    ]
    if others:
        raise UserError(
            f"{path}:{others[0].line}: --model {names.whole_file}, but the heading above it is "
            f'"{others[0].heading}"',
            f"say it for each: {_options(nameless)}",
        )


def _check_lines(path: Path, nameless: Sequence[Transcript], names: ModelNames) -> None:
    used = {
        max(first for first, _ in names.from_line if first <= turn.line)
        for turn in nameless
        if any(first <= turn.line for first, _ in names.from_line)
    }
    for first, name in names.from_line:
        if first not in used:
            raise UserError(
                f"{path}: --model {first}={name} is of no turn: none from that line on is without "
                "a model",
                "leave it out, or name the line of its `total duration:`",
            )


def _places(turns: Sequence[Transcript]) -> str:
    shown = [
        f'line {turn.line} (below "{turn.heading}")' if turn.heading else f"line {turn.line}"
        for turn in turns[:MOST_SHOWN]
    ]
    more = [f"{len(turns) - MOST_SHOWN} more"] if len(turns) > MOST_SHOWN else []
    return ", ".join([*shown, *more])


def _options(turns: Sequence[Transcript]) -> str:
    """Return the options to type, with the names that the file suggests."""
    options, last = [], ""
    for turn in turns:
        name = turn.model_in_heading or "NAME"
        if name != last:
            options.append(f"--model {turn.line}={name}")
        last = name
    if len(options) == 1:
        return options[0].replace(f"{turns[0].line}=", "")
    return " ".join(options[:MOST_SHOWN])


def _same(name: str) -> str:
    return name.casefold().removesuffix(":latest")
