"""Sheets of answers as plain lines: columns where they fit, else one below the other."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from fleet.compare.tables import aligned
from fleet.model.answers import (
    Agreement,
    Answer,
    Contrast,
    Disagreement,
    Parting,
    Score,
    Sheet,
    Timed,
)
from fleet.units import show_count, show_ns, show_number

NARROWEST = 36
BETWEEN = " | "
PROMPT_LETTERS = 300
SHOWN_WORDS = 12
"""Of each text where two part: before the place and after it."""

TOO_SHORT = "too short for a rate"


def answers_lines(sheets: Sequence[Sheet], width: int, *, thinking: bool = False) -> list[str]:
    """`width` in columns of the terminal; `thinking` shows it in front of each answer."""
    lines: list[str] = []
    for sheet in sheets:
        lines += [*([""] if lines else []), *_sheet_lines(sheet, width, thinking=thinking)]
    return lines


def _sheet_lines(sheet: Sheet, width: int, *, thinking: bool) -> Iterator[str]:
    yield from _wrapped(_headline(sheet), width)
    if sheet.answers:
        yield ""
        columns = [_column(each, thinking=thinking) for each in sheet.answers]
        yield from _beside(columns, width) or _below(columns, width)
    told = [*sheet.notes, *agreement_lines(sheet), *_contrast_lines(sheet.contrasts)]
    if told:
        yield ""
    for line in told:
        yield from _wrapped(line, width)


def _headline(sheet: Sheet) -> str:
    name = sheet.job if sheet.point == sheet.job else f"{sheet.job} {sheet.point}"
    if sheet.prompt is None:
        return name
    prompt = " ".join(plain(sheet.prompt).split())
    cut = prompt if len(prompt) <= PROMPT_LETTERS else f"{prompt[: PROMPT_LETTERS - 3]}..."
    return f'{name}   "{cut}"'


Column = tuple[list[str], list[str]]
"""What stands above the rule, and the answer below it."""


def _column(answer: Answer, *, thinking: bool) -> Column:
    above = [*title_lines(answer), *map(score_line, answer.scores)]
    below = plain(answer.text).strip("\n").split("\n") if answer.text.strip() else [no_text(answer)]
    if thinking and answer.thinking:
        thought = plain(answer.thinking).strip("\n").split("\n")
        below = ["(thinking)", *thought, "", "(answer)", *below]
    return above, below


def title_lines(answer: Answer) -> list[str]:
    """Name, what tells it from the others, lengths, times."""
    lines = [answer.name + (" (reference)" if answer.is_reference else ""), plain(answer.details)]
    lines += lengths(answer)
    lines += [line for timed in answer.timed for line in time_lines(timed, answer)]
    return [plain(line) for line in lines if line]


def lengths(answer: Answer) -> list[str]:
    tokens = [] if answer.output_tokens is None else [show_count(answer.output_tokens, "token")]
    size = [show_count(answer.words, "word"), show_count(answer.characters, "character")]
    thought = f"thinking: {show_count(answer.thinking_words, 'word')}" if answer.thinking else ""
    return [", ".join([*tokens, *size]), thought, answer.ended]


def time_lines(timed: Timed, answer: Answer) -> list[str]:
    """On which machine, then total, load, first answer token, rate."""
    known = [
        f"{words} {show_ns(value)}"
        for words, value in (
            ("total", timed.total_ns),
            ("load", timed.load_ns),
            ("first token", timed.first_token_ns),
            ("first answer token", timed.first_answer_ns if answer.thinking else None),
        )
        if value is not None
    ]
    if timed.decode_tokens_per_s is not None:
        known.append(f"{show_number(timed.decode_tokens_per_s)} tokens/s")
    elif not answer.is_reference:
        known.append(TOO_SHORT)
    place = f"on {timed.machine}: " if timed.machine else ""
    flags = f" ({timed.flags})" if timed.flags else ""
    return [f"{place}{', '.join(known)}{flags}"] if known else []


def score_line(score: Score) -> str:
    return plain(f"{score.check}: {verdict_of(score)}")


def verdict_of(score: Score) -> str:
    """`yes`, `no (0.41)`, `0.41`, or why nothing could be decided."""
    words = "" if score.passed is None else "yes" if score.passed else "no"
    value = "" if score.value is None else f"{score.value:.2f}"
    rest = ", ".join(filter(None, (value if words else "", score.note)))
    if words:
        return f"{words} ({rest})" if rest else words
    return " ".join(filter(None, (value, score.note)))


def no_text(answer: Answer) -> str:
    """Why there is nothing to read."""
    if answer.thinking and answer.ended:
        return f"(no answer: {answer.ended}, all of them thinking)"
    return "(no answer: only thinking)" if answer.thinking else "(an empty answer)"


def _beside(columns: Sequence[Column], width: int) -> list[str]:
    """All columns abreast; nothing where they would be too narrow to read."""
    each = (width - len(BETWEEN) * (len(columns) - 1)) // len(columns)
    if len(columns) < 2 or each < NARROWEST:
        return []
    above = _abreast([_wrapped_all(top, each) for top, _ in columns], each)
    below = _abreast([_wrapped_all(text, each) for _, text in columns], each)
    return [*above, "-+-".join("-" * each for _ in columns), *below]


def _abreast(columns: Sequence[list[str]], width: int) -> list[str]:
    height = max(map(len, columns))
    rows = zip(*(column + [""] * (height - len(column)) for column in columns), strict=True)
    return [
        BETWEEN.join(cell + " " * (width - cells(cell)) for cell in row).rstrip() for row in rows
    ]


def _below(columns: Sequence[Column], width: int) -> list[str]:
    lines: list[str] = []
    for above, text in columns:
        lines += [*([""] if lines else []), *_wrapped_all(above, width), "-" * min(width, 72)]
        lines += _wrapped_all(text, width)
    return lines


def agreement_lines(sheet: Sheet) -> list[str]:
    """One line where all outputs that should be equal are, else where each pair parts."""
    many = len({each.settings for each in sheet.agreements}) > 1
    return [line for each in sheet.agreements for line in _agreement(each, many=many)]


def _agreement(found: Agreement, *, many: bool) -> Iterator[str]:
    subject = f"{found.model} {found.settings}" if many and found.settings else found.model
    place = ", ".join(found.machines)
    if not found.repeated:
        yield f"{subject}: no prompt was asked twice, nothing to compare ({place})"
        return
    asked = f"{show_count(found.requests, 'output')} to {show_count(found.questions, 'prompt')}"
    if not found.disagreements:
        yield f"{subject}: {asked} on {place}, all the same where the prompt is the same"
        return
    yield f"{subject}: {asked} on {place}; outputs differ where they should be the same"
    for pair in found.disagreements:
        yield from disagreement_lines(pair)


def disagreement_lines(pair: Disagreement) -> Iterator[str]:
    sides = f"{pair.left} against {pair.right}"
    if pair.left == pair.right:
        sides = f"{pair.left} against itself"
    also = f" (also differs: {pair.also})" if pair.also else ""
    counted = f"  {sides}: {pair.differing} of {show_count(pair.compared, 'prompt')}{also}"
    if pair.contrast is None:
        yield f"{counted}; only hashes are known: `keep_text: true` in the job shows where"
        return
    yield f"{counted}; {parting_words(pair.contrast.parting)}"
    yield from _continuations(pair.contrast)


def parting_words(parting: Parting) -> str:
    """`they part after 14 words of the answer`."""
    return f"they part after {show_count(parting.common_words, 'word')} of the {parting.where}"


def _continuations(found: Contrast) -> list[str]:
    parting = found.parting
    before = " ".join(plain(parting.common).split()[-SHOWN_WORDS:])
    lead = "... " if parting.common_words > SHOWN_WORDS else ""
    names = (found.left, found.right)
    if found.left == found.right:
        names = (f"{found.left} once", f"{found.right} again")
    rows = [
        *([("both", lead + before)] if before else []),
        (names[0], _beginning(parting.left)),
        (names[1], _beginning(parting.right)),
    ]
    return aligned((), [(f"{name}:", text) for name, text in rows], indent="    ")


def _beginning(text: str) -> str:
    words = plain(text).split()
    return " ".join(words[:SHOWN_WORDS]) + (" ..." if len(words) > SHOWN_WORDS else "") or "(ends)"


def _contrast_lines(contrasts: Iterable[Contrast]) -> Iterator[str]:
    """Word by word, as wdiff writes it: [-only the first-] {+only the second+}."""
    marks = {"same": ("", ""), "left": ("[-", "-]"), "right": ("{+", "+}")}
    for each in contrasts:
        yield ""
        yield f"[-{each.left}-] against {{+{each.right}+}}: {parting_words(each.parting)}"
        text = "".join(
            f"{marks[kind][0]}{plain(piece)}{marks[kind][1]}" for kind, piece in each.pieces
        )
        yield from text.split("\n")


def plain(text: str) -> str:
    """Text of a model may hold anything: what would steer a terminal, or turn the direction of
    writing, is shown as `\\x1b` and does nothing."""
    tidy = text.replace("\r\n", "\n").replace("\t", "    ")
    return "".join(_shown(letter) for letter in tidy)


def _shown(letter: str) -> str:
    if letter == "\n" or unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return letter
    if letter in "\u200c\u200d\u00ad\ufeff":  # joiners: parts of words and of emoji
        return letter if letter != "\ufeff" else ""
    return letter.encode("unicode_escape").decode()


def cells(text: str) -> int:
    """Columns of a terminal that the text takes: wide letters take two, marks none."""
    return sum(map(_cells, text))


def _cells(letter: str) -> int:
    if letter.isascii():
        return 1
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _wrapped_all(lines: Iterable[str], width: int) -> list[str]:
    return [part for line in lines for part in _wrapped(line, width)]


def _wrapped(line: str, width: int) -> list[str]:
    """Between words where that is possible; what follows stands under the first word."""
    if cells(line) <= width:
        return [line]
    indent = line[: len(line) - len(line.lstrip())][: width // 2]
    lines, current = [], indent
    for word in line.split():
        joined = f"{current} {word}" if current.strip() else current + word
        if cells(joined) <= width:
            current = joined
            continue
        lines += [current] if current.strip() else []
        *full, current = _broken(indent + word, width, indent)
        lines += full
    return [*lines, current]


def _broken(word: str, width: int, indent: str) -> Iterator[str]:
    """A word longer than a line, in pieces."""
    piece = ""
    for letter in word:
        if cells(piece) + _cells(letter) > width:
            yield piece
            piece = indent
        piece += letter
    yield piece
