"""Answers side by side as a page."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.model.answers import (
    HASHES_ONLY,
    Agreement,
    Answer,
    Contrast,
    Disagreement,
    Piece,
    Score,
    Sheet,
)
from fleet.report.page import Markup, joined, page, tag
from fleet.units import show_count

TITLE = "Answers side by side"


def answers_page(sheets: Sequence[Sheet]) -> str:
    """The whole file; sheets without anything to read are left out of it."""
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
        *map(_agreement, sheet.agreements),
        *map(_against_the_first, sheet.contrasts),
    )


def _answer(answer: Answer) -> Markup:
    return tag(
        "article",
        tag("h3", answer.title),
        tag("p", answer.details, css="faint") if answer.details else Markup(),
        _figures(answer),
        _scores(answer.scores),
        _thinking(answer),
        tag("div", answer.shown(), css="words"),
        css="answer reference" if answer.is_reference else "answer",
    )


def _thinking(answer: Answer) -> Markup:
    if not answer.thinking:
        return Markup()
    summary = tag("summary", f"thinking, {show_count(answer.thinking_words, 'word')}")
    return tag("details", summary, tag("div", answer.thinking.strip(), css="words"))


def _figures(answer: Answer) -> Markup:
    rows = list(answer.lengths())
    for timed in answer.timed:
        rows += [("machine", timed.machine)] if timed.machine else []
        rows += timed.figures(thinks=bool(answer.thinking))
    return _table(rows)


def _table(rows: Sequence[tuple[str, str]]) -> Markup:
    made = (tag("tr", tag("th", name), tag("td", value, css="number")) for name, value in rows)
    return tag("table", tag("tbody", *made))


def _scores(scores: Sequence[Score]) -> Markup:
    if not scores:
        return Markup()
    made = (tag("tr", tag("th", each.check), _verdict(each)) for each in scores)
    return tag("table", tag("tbody", *made))


def _verdict(score: Score) -> Markup:
    css = "" if score.passed is None else "yes" if score.passed else "no"
    return tag("td", score.verdict(), css=css)


def _agreement(found: Agreement) -> Markup:
    line = tag("p", tag("b", found.model), f", {found.said()}.")
    return joined((line, *map(_disagreement, found.disagreements)))


def _disagreement(pair: Disagreement) -> Markup:
    title = tag("h4", pair.title())
    if pair.contrast is None:
        return joined((title, tag("p", HASHES_ONLY, css="faint")))
    return joined((title, _difference(pair.contrast)))


def _against_the_first(found: Contrast) -> Markup:
    title = tag("h4", tag("del", found.left), " against ", tag("ins", found.right))
    return joined((title, _difference(found)))


def _difference(found: Contrast) -> Markup:
    return joined(
        (
            tag("p", f"{found.parting.place()}:", css="faint"),
            tag("div", joined(map(_piece, found.pieces)), css="words difference"),
        )
    )


def _piece(piece: Piece) -> Markup:
    kind, words = piece
    return tag({"same": "span", "left": "del", "right": "ins"}[kind], words)
