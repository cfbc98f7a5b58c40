"""Answers side by side as a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from fleet.answers.nouns import (
    HASHES_ONLY,
    Agreement,
    Answer,
    Contrast,
    Disagreement,
    Piece,
    Score,
    Sheet,
)
from fleet.report.page import joined, page, tag
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
        _below("Equal prompts, equal outputs?", map(_agreement, sheet.agreements)),
        _below("Word by word", map(_against_the_first, sheet.contrasts)),
    )


def _below(title: str, parts: Iterable[Markup]) -> Markup:
    """A part under the columns, with its title; nothing where it is empty."""
    inside = joined(parts)
    return tag("div", tag("h3", title), inside, css="below") if inside else Markup()


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
    return tag("td", score.verdict(), css=css)


def _agreement(found: Agreement) -> Markup:
    line = tag("p", tag("b", found.model), f", {found.said()}.")
    return joined((line, *map(_disagreement, found.disagreements)))


def _disagreement(pair: Disagreement) -> Markup:
    title = _sides(pair.left, pair.right, f": {pair.counted()}")
    if pair.contrast is None:
        return joined((title, tag("p", HASHES_ONLY, css="faint")))
    return joined((title, _difference(pair.contrast)))


def _against_the_first(found: Contrast) -> Markup:
    return joined((_sides(found.left, found.right), _difference(found)))


def _sides(left: str, right: str, more: str = "") -> Markup:
    """Each in the colour that its words have below."""
    return tag("h4", tag("del", left), " against ", tag("ins", right), more)


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
