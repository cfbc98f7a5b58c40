"""Shows sheets of answers as plain lines: columns where they fit, else one below the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fleet.answers.nouns import AnswerColumn, Disagreement, Sheet, TextContrast
from fleet.report.answers_words import (
    HASHES_ONLY,
    agreement_words,
    differing_prompts,
    figures,
    lengths,
    place_of,
    text_of,
    verdict_words,
)
from fleet.report.results_text import apart_from, shared_parts
from fleet.report.tables import aligned
from fleet.terminal import cells, plain, wrapped, wrapped_all

NARROWEST = 36
BETWEEN = " | "
PROMPT_LETTERS = 300
SHOWN_WORDS = 12
"""Of each text where two part: before the place and after it."""

RULE = 72

KINDS = (
    *("settings", "source", "machine", "tokens", "words", "characters", "thinking", "ended"),
    *("total", "load", "first token", "first answer token", "decode", "flags", "check"),
)
"""Order of the rows: what is to be compared stands one below the other."""


def answers_lines(sheets: Sequence[Sheet], width: int, *, thinking: bool = False) -> list[str]:
    """Make the lines of all sheets. `thinking`: show it in front of each answer."""
    lines: list[str] = []
    for sheet in sheets:
        lines += [*([""] if lines else []), *_sheet_lines(sheet, width, thinking=thinking)]
    return lines


def _sheet_lines(sheet: Sheet, width: int, *, thinking: bool) -> Iterator[str]:
    yield from wrapped(_headline(sheet), width)
    if sheet.answers:
        yield ""
        yield from _table(sheet.answers, width)
        yield ""
        columns = [_column(each, thinking=thinking) for each in sheet.answers]
        yield from _beside(columns, width) or _below(columns, width)
    below = [*sheet.notes, *_agreement_lines(sheet), *_contrast_lines(sheet.contrasts)]
    if below:
        yield ""
    for line in below:
        yield from wrapped(plain(line), width)


def _headline(sheet: Sheet) -> str:
    name = sheet.job if sheet.point == sheet.job else f"{sheet.job} {sheet.point}"
    if sheet.prompt is None:
        return name
    prompt = " ".join(plain(sheet.prompt).split())
    cut = prompt if len(prompt) <= PROMPT_LETTERS else f"{prompt[: PROMPT_LETTERS - 3]}..."
    return f'{name}   "{cut}"'


def _facts(answer: AnswerColumn, *, machines: int) -> Iterator[tuple[str, str, str]]:
    """Yield kind, title and value; the machine stands in the title where there are several."""
    kind = "source" if answer.is_reference else "settings"
    yield kind, kind, answer.details
    if machines == 1:
        yield "machine", "machine", answer.timed[0].machine
    for kind, value in lengths(answer):
        yield kind, kind, value
    for timed in answer.timed:
        place = f" on {timed.machine}" if machines > 1 and timed.machine else ""
        for kind, value in figures(timed, thinks=bool(answer.thinking)):
            yield kind, f"{kind}{place}", value
    for score in answer.scores:
        yield "check", score.check, verdict_words(score)


def _table(answers: Sequence[AnswerColumn], width: int) -> list[str]:
    """Make a column for each answer where that fits, else a paragraph for each."""
    machines = len({timed.machine for each in answers for timed in each.timed if timed.machine})
    facts = [list(_facts(each, machines=machines)) for each in answers]
    kinds = {title: kind for each in facts for kind, title, value in each if value}
    titles = sorted(kinds, key=lambda title: KINDS.index(kinds[title]))
    columns = [{plain(title): plain(value) for _, title, value in each} for each in facts]
    names = [plain(each.title) for each in answers]
    shown = [plain(title) for title in titles]
    whole = aligned(
        ("", *names), [[title, *(c.get(title, "") for c in columns)] for title in shown]
    )
    if max(map(cells, whole)) <= width:
        return whole
    lines: list[str] = []
    for name, column in zip(names, columns, strict=True):
        known = [(title, column[title]) for title in shown if column.get(title)]
        lines += [name, *aligned((), known, indent="  "), ""]
    return wrapped_all(lines[:-1], width)


Column = tuple[str, list[str]]
"""A title and the lines below it."""


def _column(answer: AnswerColumn, *, thinking: bool) -> Column:
    below = plain(text_of(answer)).split("\n")
    if thinking and answer.thinking:
        thought = plain(answer.thinking).strip().split("\n")
        below = ["(thinking)", *thought, "", "(answer)", *below]
    return plain(answer.title), below


def _beside(columns: Sequence[Column], width: int) -> list[str]:
    """Set all columns abreast; nothing where they would be too narrow to read."""
    each = (width - len(BETWEEN) * (len(columns) - 1)) // len(columns)
    if len(columns) < 2 or each < NARROWEST:
        return []
    above = _abreast([wrapped(title, each) for title, _ in columns], each)
    below = _abreast([wrapped_all(text, each) for _, text in columns], each)
    return [*above, "-+-".join("-" * each for _ in columns), *below]


def _abreast(columns: Sequence[list[str]], width: int) -> list[str]:
    height = max(map(len, columns))
    rows = zip(*(column + [""] * (height - len(column)) for column in columns), strict=True)
    return [
        BETWEEN.join(cell + " " * (width - cells(cell)) for cell in row).rstrip() for row in rows
    ]


def _below(columns: Sequence[Column], width: int) -> list[str]:
    lines: list[str] = []
    for title, text in columns:
        lines += [*([""] if lines else []), *wrapped(title, width), "-" * min(width, RULE)]
        lines += wrapped_all(text, width)
    return lines


def _agreement_lines(sheet: Sheet) -> Iterator[str]:
    """Yield one line where all outputs that should be equal are, else one for each pair."""
    shared = shared_parts([each.settings for each in sheet.agreements])
    for each in sheet.agreements:
        name = " ".join(filter(None, (each.model, apart_from(each.settings, shared))))
        yield f"{name}, {agreement_words(each)}"
        for pair in each.disagreements:
            yield from _disagreement_lines(pair)


def _disagreement_lines(pair: Disagreement) -> Iterator[str]:
    subject = f"  {pair.left} against {pair.right}: {differing_prompts(pair)}"
    if pair.contrast is None:
        yield f"{subject}; {HASHES_ONLY}"
        return
    yield f"{subject}; {place_of(pair.contrast.first_difference)}"
    yield from _continuations(pair.contrast)


def _continuations(contrast: TextContrast) -> list[str]:
    difference = contrast.first_difference
    before = " ".join(plain(difference.common).split()[-SHOWN_WORDS:])
    lead = "... " if difference.common_words > SHOWN_WORDS else ""
    rows = [
        *([("both", lead + before)] if before else []),
        (contrast.left, _beginning(difference.left)),
        (contrast.right, _beginning(difference.right)),
    ]
    return aligned((), [(f"{name}:", text) for name, text in rows], indent="    ")


def _beginning(text: str) -> str:
    words = plain(text).split()
    return " ".join(words[:SHOWN_WORDS]) + (" ..." if len(words) > SHOWN_WORDS else "") or "(ends)"


def _contrast_lines(contrasts: Iterable[TextContrast]) -> Iterator[str]:
    """Yield a comparison word by word as wdiff writes it: [-the first-] {+the second+}."""
    marks = {"same": ("", ""), "left": ("[-", "-]"), "right": ("{+", "+}")}
    for each in contrasts:
        yield ""
        yield f"[-{each.left}-] against {{+{each.right}+}}: {place_of(each.first_difference)}"
        text = "".join(
            f"{marks[kind][0]}{plain(piece)}{marks[kind][1]}" for kind, piece in each.pieces
        )
        yield from text.split("\n")
