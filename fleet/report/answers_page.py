"""Shows answers side by side as a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from fleet.answers.nouns import (
    Agreement,
    AnswerColumn,
    Disagreement,
    Piece,
    Score,
    Sheet,
    TextContrast,
)
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
from fleet.report.page import joined, page, tag
from fleet.units import show_count

TITLE = "Answers side by side"


def answers_page(sheets: Sequence[Sheet]) -> str:
    """Make the whole file."""
    body = joined(map(_sheet, sheets)) if sheets else tag("p", "No answers yet.")
    return page(TITLE, joined((tag("h1", TITLE), body)))


def _sheet(sheet: Sheet) -> Markup:
    name = sheet.job if sheet.point == sheet.job else f"{sheet.job}, {sheet.point}"
    prompt = tag("div", sheet.prompt, css="words prompt") if sheet.prompt is not None else Markup()
    return tag(
        "section",
        tag("h2", name),
        prompt,
        tag("div", joined(map(_answer, sheet.answers)), css="columns"),
        *(tag("p", note, css="faint") for note in sheet.notes),
        _below("Equal prompts, equal outputs?", map(_agreement, sheet.agreements)),
        _below("Word by word", map(_against_the_first, sheet.contrasts)),
    )


def _below(title: str, parts: Iterable[Markup]) -> Markup:
    """Make a part under the columns, with its title; nothing where it is empty."""
    inside = joined(parts)
    return tag("div", tag("h3", title), inside, css="below") if inside else Markup()


def _answer(answer: AnswerColumn) -> Markup:
    return tag(
        "article",
        tag("h3", answer.title),
        tag("p", answer.details, css="faint") if answer.details else Markup(),
        _figures(answer),
        _scores(answer.scores),
        _thinking(answer),
        tag("div", text_of(answer), css="words"),
        css="answer reference" if answer.is_reference else "answer",
    )


def _thinking(answer: AnswerColumn) -> Markup:
    if not answer.thinking:
        return Markup()
    summary = tag("summary", f"thinking, {show_count(answer.thinking_words, 'word')}")
    return tag("details", summary, tag("div", answer.thinking.strip(), css="words"))


def _figures(answer: AnswerColumn) -> Markup:
    rows = list(lengths(answer))
    for timed in answer.timed:
        rows += [("machine", timed.machine)] if timed.machine else []
        rows += figures(timed, thinks=bool(answer.thinking))
    return _table(rows)


def _table(rows: Sequence[tuple[str, str]]) -> Markup:
    return tag("table", tag("tbody", *(_row(name, value) for name, value in rows)))


def _row(name: str, value: str) -> Markup:
    css = "machine" if name == "machine" else ""
    return tag("tr", tag("th", name), tag("td", value, css="number"), css=css)


def _scores(scores: Sequence[Score]) -> Markup:
    if not scores:
        return Markup()
    made = (tag("tr", tag("th", each.check), _verdict(each)) for each in scores)
    return tag("table", tag("tbody", *made))


def _verdict(score: Score) -> Markup:
    css = "" if score.passed is None else "yes" if score.passed else "no"
    return tag("td", verdict_words(score), css=css)


def _agreement(agreement: Agreement) -> Markup:
    line = tag("p", tag("b", agreement.model), f", {agreement_words(agreement)}.")
    return joined((line, *map(_disagreement, agreement.disagreements)))


def _disagreement(pair: Disagreement) -> Markup:
    title = _sides(pair.left, pair.right, f": {differing_prompts(pair)}")
    if pair.contrast is None:
        return joined((title, tag("p", HASHES_ONLY, css="faint")))
    return joined((title, _difference(pair.contrast)))


def _against_the_first(contrast: TextContrast) -> Markup:
    return joined((_sides(contrast.left, contrast.right), _difference(contrast)))


def _sides(left: str, right: str, more: str = "") -> Markup:
    """Name both sides, each in the colour that its words have below."""
    return tag("h4", tag("del", left), " against ", tag("ins", right), more)


def _difference(contrast: TextContrast) -> Markup:
    return joined(
        (
            tag("p", f"{place_of(contrast.first_difference)}:", css="faint"),
            tag("div", joined(map(_piece, contrast.pieces)), css="words difference"),
        )
    )


def _piece(piece: Piece) -> Markup:
    kind, words = piece
    return tag({"same": "span", "left": "del", "right": "ins"}[kind], words)
